"""Relative standard deviation of credit in random networks that really run: gates open as the activity decides."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import torch

from neurosim.analysis.relative_std import credit_relative_std
from neurosim.analysis.weight_distributions import WeightDistribution, distribution_named
from neurosim.analysis.width_theory import Values
from neurosim.circuit import Circuit
from neurosim.connectivity import Dense
from neurosim.gates import SignGate
from neurosim.initializers import OnOff, Zeros
from neurosim.readout import OneHot
from neurosim.simulator import Simulator
from neurosim.streams import stream

_INPUTS = 64


def sign_gated_relative_std(
    widths: Iterable[int],
    distribution: str | WeightDistribution = "half-normal",
    *,
    hidden: int = 3,
    components: int = 10,
    examples: int = 8,
    seeds: Iterable[int] = range(3),
) -> Values:
    """As :func:`~neurosim.analysis.width_theory.measured_relative_std`, with :class:`SignGate` and a forward pass.

    The first layer is ``(+W, -W)`` (Eq. 16), the images are white noise.

    Args:
        widths: of the networks; weights are held whole, ``(width, width)`` per layer.
        distribution: of all weights past the first layer.
        hidden: number of hidden layers.
        components: K.
        examples: images per network.
        seeds: a network each.

    Returns:
        ``(widths, seeds, examples, hidden)``, layers first to last.

    Raises:
        UnknownNameError: an unknown distribution.

    Example:
        >>> sign_gated_relative_std([64], hidden=2, examples=4, seeds=[0, 1]).shape
        (1, 2, 4, 2)
    """
    drawn = distribution_named(distribution) if isinstance(distribution, str) else distribution
    seeds = list(seeds)
    found = [[_network(width, drawn, hidden, components, examples, seed) for seed in seeds] for width in widths]
    return np.array(found, dtype=np.float64)


def _network(
    width: int, drawn: WeightDistribution, hidden: int, components: int, examples: int, seed: int
) -> list[list[float]]:
    circuit = Circuit((_INPUTS,), OneHot(components))
    names = [f"layer{number + 1}" for number in range(hidden)]
    for pre, name in zip(["input", *names[:-1]], names, strict=True):
        circuit.population(name, width, gate=SignGate(), bias=None)
        circuit.connect(pre, name, Dense(), init=OnOff() if pre == "input" else Zeros())
    circuit.connect(names[-1], "output", Dense(), init=Zeros())
    simulator = Simulator(circuit, seed=seed)
    for group in circuit.groups.values():
        if group.pre != "input":
            posts, pres = simulator.weights[group.name].shape
            weights = drawn.draw(posts, pres, stream(seed, "width networks", drawn.name, width, group.name))
            # r has no scale; i.i.d. nonnegative weights would make the activity explode (Section 5)
            simulator.weights[group.name] = weights / weights.sum(1, keepdim=True).mean()
    generator = stream(seed, "width networks", "images", width)
    images = torch.randn(examples, _INPUTS, generator=generator, dtype=torch.float32, device="cpu")
    labels = torch.zeros(examples, dtype=torch.int64, device="cpu")
    r = credit_relative_std(simulator, images, labels)
    measured: list[list[float]] = torch.stack([r[name] for name in names], dim=1).tolist()
    return measured
