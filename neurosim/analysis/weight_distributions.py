"""Distributions of nonnegative weights, and the relative standard deviation that Eq. 15 asks of them."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from attrs import frozen
from torch import Tensor

from neurosim.errors import UnknownNameError
from neurosim.initializers import OnOff, Site

#: posts, pres, generator -> weights ``(posts, pres)``, float32 on the cpu
Draw = Callable[[int, int, torch.Generator], Tensor]


@frozen
class WeightDistribution:
    """Random nonnegative weights; their scale does not matter to relative standard deviations.

    Attributes:
        name: how it is called.
        ratio: ``sigma / mu`` of one weight.
        draw: draws them.
        independent: whether the weights are i.i.d.
    """

    name: str
    ratio: float
    draw: Draw
    independent: bool = True


def _elementwise(fill: Callable[[Tensor, torch.Generator], Tensor]) -> Draw:
    def draw(posts: int, pres: int, generator: torch.Generator) -> Tensor:
        return fill(torch.empty(posts, pres, dtype=torch.float32, device="cpu"), generator)

    return draw


def _on_off(posts: int, pres: int, generator: torch.Generator) -> Tensor:
    """The weights of Eq. 16, as the initializer draws them; rows in whole pairs are independent of other rows."""
    site = Site((posts, pres), 1, pres, None, False, posts == 1, 1, "nonnegative")
    return OnOff().draw(site, generator).float()


def _lognormal(sigma: float) -> WeightDistribution:
    draw = _elementwise(lambda weight, generator: weight.normal_(0.0, sigma, generator=generator).exp_())
    return WeightDistribution(f"lognormal-{sigma:g}", math.sqrt(math.expm1(sigma**2)), draw)


_ALL = (
    WeightDistribution("uniform", math.sqrt(1 / 3), _elementwise(lambda w, g: w.uniform_(0.0, 1.0, generator=g))),
    _lognormal(0.5),
    WeightDistribution(
        "half-normal", math.sqrt(math.pi / 2 - 1), _elementwise(lambda w, g: w.normal_(generator=g).abs_())
    ),
    WeightDistribution("exponential", 1.0, _elementwise(lambda w, g: w.exponential_(generator=g))),
    _lognormal(1.0),
    # the distribution of one weight under ON/OFF initialization, without its structure
    WeightDistribution(
        "rectified-normal", math.sqrt(math.pi - 1), _elementwise(lambda w, g: w.normal_(generator=g).clamp_(min=0))
    ),
    WeightDistribution("on-off", math.sqrt(math.pi - 1), _on_off, independent=False),
)

#: name -> distribution
DISTRIBUTIONS = {distribution.name: distribution for distribution in _ALL}


def distribution_named(name: str) -> WeightDistribution:
    """A distribution by name.

    Raises:
        UnknownNameError: no such distribution.

    Example:
        >>> {name: round(each.ratio, 2) for name, each in DISTRIBUTIONS.items() if each.independent}
        ... # doctest: +NORMALIZE_WHITESPACE
        {'uniform': 0.58, 'lognormal-0.5': 0.53, 'half-normal': 0.76, 'exponential': 1.0, 'lognormal-1': 1.31,
         'rectified-normal': 1.46}
    """
    if name not in DISTRIBUTIONS:
        raise UnknownNameError("weight distribution", name, DISTRIBUTIONS)
    return DISTRIBUTIONS[name]
