"""Why wide nonnegative networks need no backward pass: Eq. 15, and its measurement on random networks.

The exact credit of a layer, ``c_i = sum_k w_ki G(h_k) c_k`` (Eq. 13), is a sum over many active units. With nonnegative
weights its mean grows like their number and its spread between units like the root of that, so that credit becomes one
constant for all, GEVB's, as the next layer gets wide.

**What ON/OFF initialization breaks.** Eq. 15 assumes i.i.d. weights and independent gates at 1/2. Under Eq. 16

1. weights are not independent: of the two weights from an ON/OFF pair onto one unit exactly one is 0 (their correlation
   is -1 / (pi - 1) = -0.47), and the partner unit has the same two, swapped. Where both members of a pair have credit
   the two terms vary less than independent ones;
2. gates are not independent: both members of a pair share one value, which is what lets 1 act: with independent gates
   half of its effect is gone;
3. half of the last hidden layer has weight 0 onto the output, so its credit is 0, not positive (Appendix C). Of each
   pair exactly one: the last hidden layer's r is ``sqrt(pi - 1)``, 55.7 degrees, as i.i.d. weights of the same
   distribution would give, and one layer further down, where only one member of each pair brings credit, Eq. 15
   still holds. From then on it overestimates.

:func:`predicted_onoff_relative_std` follows from 1 to 3; in wide networks its r is ``sqrt((pi - 2) / (pi - 1))`` = 0.73
of Eq. 15's everywhere before the last two hidden layers. Numbers: docs/theory.md.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from neurosim.analysis.relative_std import relative_std
from neurosim.analysis.weight_distributions import WeightDistribution, distribution_named
from neurosim.description import is_count, is_number
from neurosim.errors import SimulationError
from neurosim.streams import stream

Values = NDArray[np.float64]

#: rows of a weight matrix drawn at once: 2^13 x 2^13 weights would take 256 MB
_ROWS = 1024


def predicted_relative_std(widths: Sequence[int], ratio: float | Sequence[float]) -> tuple[float, ...]:
    """The relative standard deviation of every hidden layer's credit, for i.i.d. weights (Eq. 15).

        r[l] = sqrt(2 / n[l+1]) (sigma/mu)[l+1] sqrt(1 + r[l+1]^2),    r[L-1] = (sigma/mu)[L]

    as Eqs. 23 and 27 give it (in Eq. 15 as printed in some copies the ratio has slipped inside the first root).

    Args:
        widths: units of the hidden layers, first to last.
        ratio: ``sigma / mu`` of the weights, one for all layers or one per hidden layer, of the weights that leave it.

    Raises:
        SimulationError: no layers, or another number of ratios than of layers; a layer without units; a negative
            ratio.

    Example:
        >>> [round(r, 3) for r in predicted_relative_std((200, 200, 200), ratio=1.0)]
        [0.101, 0.141, 1.0]
    """
    ratios = list(ratio) if isinstance(ratio, Iterable) else [float(ratio)] * len(widths)
    if not widths or len(ratios) != len(widths):
        raise SimulationError(
            f"predicted_relative_std: expected one ratio, or one per hidden layer, got {len(ratios)} ratios and "
            f"{len(widths)} layers"
        )
    if not all(is_count(width) for width in widths):
        raise SimulationError(f"predicted_relative_std: expected widths of at least 1 unit, got {list(widths)}")
    if not all(is_number(each) and each >= 0 for each in ratios):
        raise SimulationError(f"predicted_relative_std: expected ratio numbers of at least 0, got {ratios}")
    found = [ratios[-1]]
    for below, out in zip(reversed(widths[1:]), reversed(ratios[:-1]), strict=True):
        found.append(math.sqrt(2 / below) * out * math.sqrt(1 + found[-1] ** 2))
    return tuple(reversed(found))


def predicted_onoff_relative_std(widths: Sequence[int], shared_gates: bool = True) -> tuple[float, ...]:
    """The same under ON/OFF initialization (Eq. 16), pair by pair.

    With ``k`` the mean product of a pair's credits over the squared mean credit, ``s = pi - 1`` the squared ratio of
    one weight, and ``p`` the probability that both gates of a pair are open over that of one, 1 or 1/2:

        r[l]^2 = 2 / n[l+1] (s (1 + r[l+1]^2) - p k[l+1]),    r[L-1]^2 = s
        k[l] = 1 + 2 / n[l+1] (s p k[l+1] - (1 + r[l+1]^2)),  k[L-1] = 0

    Args:
        widths: units of the hidden layers, first to last.
        shared_gates: whether the two members of a pair share one gate value, as they do at initialization.

    Example:
        >>> onoff, independent = predicted_onoff_relative_std((512,) * 4), predicted_relative_std((512,) * 4, 1.4634)
        >>> [round(a / b, 2) for a, b in zip(onoff, independent)]
        [0.73, 0.74, 1.0, 1.0]
    """
    s, p = math.pi - 1, 1.0 if shared_gates else 0.5
    squares, pairs = [s], 0.0
    for below in reversed(widths[1:]):
        second = 1 + squares[-1]
        squares.append(2 / below * (s * second - p * pairs))
        pairs = 1 + 2 / below * (s * p * pairs - second)
    return tuple(math.sqrt(square) for square in reversed(squares))


def predicted_angle(relative_std: float) -> float:
    """The angle in degrees between GEVB's update and the gradient, ``atan r`` (Eq. 22).

    Example:
        >>> predicted_angle(1.0)
        45.0
    """
    return math.degrees(math.atan(relative_std))


GATES = ("independent", "paired")


def measured_relative_std(
    widths: Iterable[int],
    distribution: str | WeightDistribution = "half-normal",
    *,
    hidden: int = 3,
    gates: str = "independent",
    examples: int = 8,
    seeds: Iterable[int] = range(3),
) -> Values:
    """The relative standard deviation of credit in random networks whose hidden layers all have one width.

    Weights are drawn some rows at a time, so width 2^13 needs no more memory than the credit and a few such rows. For
    gates that a forward pass opens see :func:`neurosim.analysis.width_networks.sign_gated_relative_std`.

    Args:
        widths: of the networks.
        distribution: of all weights past the first layer.
        hidden: number of hidden layers.
        gates: open with probability 1/2, ``"independent"`` or ``"paired"``: units 2i and 2i + 1 alike.
        examples: draws of the gates per network.
        seeds: a network each.

    Returns:
        ``(widths, seeds, examples, hidden)``, layers first to last.

    Raises:
        SimulationError: an odd width, an unknown kind of gates, no hidden layers or examples.
        UnknownNameError: an unknown distribution.

    Example:
        >>> r = measured_relative_std([256], "exponential", hidden=2, seeds=[0])
        >>> r.shape, bool(abs(r[..., 0].mean() / predicted_relative_std((256, 256), 1.0)[0] - 1) < 0.1)
        ((1, 1, 8, 2), True)
    """
    drawn = distribution_named(distribution) if isinstance(distribution, str) else distribution
    if gates not in GATES:
        raise SimulationError(f"measured_relative_std: gates= must be one of {', '.join(GATES)}, got {gates!r}")
    for name, number in (("hidden", hidden), ("examples", examples)):
        if number < 1:
            raise SimulationError(f"measured_relative_std: {name}= must be at least 1, got {number!r}")
    seeds = list(seeds)
    found: list[list[list[list[float]]]] = []
    for width in widths:
        if width < 2 or width % 2:
            raise SimulationError(f"measured_relative_std: widths must be even, for ON/OFF pairs, got {width}")
        found.append([_network(width, drawn, hidden, gates == "paired", examples, seed) for seed in seeds])
    return np.array(found, dtype=np.float64)


def _network(
    width: int, drawn: WeightDistribution, hidden: int, paired: bool, examples: int, seed: int
) -> list[list[float]]:
    """r of every example and layer, ``(examples, hidden)``."""
    generator = stream(seed, "width theory", drawn.name, width)
    credit = drawn.draw(1, width, generator).expand(examples, width)
    layers = [relative_std(credit)]
    for _ in range(hidden - 1):
        post = credit * _random_gates(width, examples, paired, generator)
        credit = torch.zeros(examples, width, dtype=torch.float32, device="cpu")
        for block in post.split(_ROWS, dim=1):
            credit.addmm_(block, drawn.draw(block.shape[1], width, generator))
        credit = credit / credit.mean()  # r has no scale; float32 has
        layers.append(relative_std(credit))
    measured: list[list[float]] = torch.stack(layers[::-1], dim=1).tolist()
    return measured


def _random_gates(width: int, examples: int, paired: bool, generator: torch.Generator) -> Tensor:
    size = (examples, width // 2 if paired else width)
    gates = torch.randint(2, size, generator=generator, dtype=torch.float32, device="cpu")
    return gates.repeat_interleave(2, dim=1) if paired else gates


def log_log_slope(widths: Sequence[int], values: Values) -> float:
    """The slope of ``values`` over ``widths``, both logarithmic, by least squares; ``-1/2`` for ``1 / sqrt(n)``.

    Example:
        >>> round(log_log_slope([1, 4, 16], np.array([8.0, 4.0, 2.0])), 6)
        -0.5
    """
    return float(np.polyfit(np.log(np.asarray(widths, dtype=np.float64)), np.log(values), 1)[0])
