"""How weights start. Every initializer is told where it draws for: fan-in, the pairing of both sides, the sign."""

from __future__ import annotations

import math
from typing import ClassVar

import attrs
import torch
from attrs import field, frozen
from torch import Tensor

from neurosim.connectivity import Shape
from neurosim.description import Description, positive
from neurosim.errors import CircuitError

SIGNS = ("mixed", "nonnegative", "nonpositive")


@frozen
class Site:
    """Where an initializer draws.

    Attributes:
        weight_shape: shape of one (shared) weight, its first axis the postsynaptic channels.
        pre_axis: the axis of ``weight_shape`` that runs over presynaptic channels.
        fan_in: presynaptic units per postsynaptic unit; scalar inputs count once, not K times.
        copies: K for synapses from scalar onto vector units, which have weights of their own for every component
            (then the result is ``(K, *weight_shape)``), else None.
        pre_scalar: whether the presynaptic population is scalar (the first layer).
        post_single: whether the postsynaptic population is one unit, which has no partner.
        sources: how many groups drive the postsynaptic population; each one's variance is divided by this, so that
            the summed drive keeps its scale.
        sign: the group's sign constraint.
        pre_units: units of the presynaptic population; as many as ``fan_in`` where all connect to all.
    """

    weight_shape: Shape
    pre_axis: int
    fan_in: int
    copies: int | None
    pre_scalar: bool
    post_single: bool
    sources: int
    sign: str
    pre_units: int | None = None

    @property
    def shape(self) -> Shape:
        return (self.copies, *self.weight_shape) if self.copies is not None else self.weight_shape


class Initializer(Description):
    """Draws the initial weights of a group."""

    kind: ClassVar[str] = "initializer"

    def signs(self, pre_scalar: bool) -> tuple[str, ...]:
        """The sign constraints that the drawn weights satisfy."""
        return ("mixed",)

    def check(self, site: Site) -> None:
        """Raise a :class:`CircuitError` where this initializer cannot draw."""

    def draw(self, site: Site, generator: torch.Generator) -> Tensor:
        """Weights of ``site.shape``, float64 on the cpu."""
        raise NotImplementedError(f"{type(self).__name__} must define draw(site, generator)")


def _normal(shape: Shape, std: float, generator: torch.Generator) -> Tensor:
    return torch.randn(shape, generator=generator, dtype=torch.float64, device="cpu").mul_(std)


@frozen
class He(Initializer):
    """Normal, mean 0, std ``1 / sqrt(n_in)`` from scalar units and ``sqrt(2 / n_in)`` after, output included.

    From scalar units (images scaled to [-1, 1]) no gate has halved the activity yet, hence no factor 2.
    """

    def draw(self, site: Site, generator: torch.Generator) -> Tensor:
        gain = 1.0 if site.pre_scalar else 2.0
        return _normal(site.shape, math.sqrt(gain / site.fan_in / site.sources), generator)


@frozen(repr=False)
class OnOff(Initializer):
    """ON/OFF initialization (Eq. 16): the two units of a pair start with opposite pre-activations.

    Units 2i and 2i + 1 are a pair, so the blocks of Eq. 16 are interleaved. From scalar units: ``(+W, -W)`` with
    W of half the size, std ``1 / sqrt(n_in)``. After: ``[[W]+, [-W]+; [-W]+, [W]+]`` with He's scale for W's own
    fan-in n_in / 2, that is std ``2 / sqrt(n_in)``. A single postsynaptic unit (the vector output) has no partner
    and takes one row, ``([W]+, [-W]+)``. Weights after the first layer are nonnegative.

    Args:
        flattened: take adjacent entries of the flattened presynaptic population ``(channels, height, width)`` for
            pairs instead of channels 2i and 2i + 1. These are no ON/OFF pairs, so that pre-activations are no longer
            opposite; the paper's published conventional networks did this between space and the first dense layer.

    Raises:
        CircuitError: an odd number of units or channels on a side that must be paired.
    """

    flattened: bool = False

    def __repr__(self) -> str:
        return f"OnOff({'flattened=True' if self.flattened else ''})"

    def signs(self, pre_scalar: bool) -> tuple[str, ...]:
        return ("mixed",) if pre_scalar else ("mixed", "nonnegative")

    def check(self, site: Site) -> None:
        spatial = site.pre_axis + 3 == len(site.weight_shape)
        if self.flattened and (site.pre_scalar or not spatial or site.fan_in != site.pre_units):
            raise CircuitError(
                "OnOff(flattened=True) is for a dense group from a population (channels, height, width) past the first "
                "layer, which this one is not; use OnOff()"
            )
        site = self._as_paired(site)
        widths = {"postsynaptic": 2 if site.post_single else site.weight_shape[0]}
        widths["presynaptic"] = 2 if site.pre_scalar else site.weight_shape[site.pre_axis]
        for side, width in widths.items():
            if width % 2:
                raise CircuitError(
                    f"OnOff pairs units 2i and 2i + 1; the {side} population has an odd number of units (or "
                    f"channels), {width}; use {width + 1}, or another initializer"
                )

    def _as_paired(self, site: Site) -> Site:
        """The site whose presynaptic axis holds the pairs."""
        if not self.flattened:
            return site
        before, inside = site.weight_shape[: site.pre_axis], site.weight_shape[site.pre_axis :]
        return attrs.evolve(site, weight_shape=(*before, math.prod(inside)))

    def draw(self, site: Site, generator: torch.Generator) -> Tensor:
        return self._draw_paired(self._as_paired(site), generator).reshape(site.shape)

    def _draw_paired(self, site: Site, generator: torch.Generator) -> Tensor:
        offset = 0 if site.copies is None else 1
        post_axis, pre_axis = offset, offset + site.pre_axis
        half = list(site.shape)
        if not site.post_single:
            half[post_axis] //= 2
        if site.pre_scalar:
            on = _normal(tuple(half), math.sqrt(1.0 / site.fan_in / site.sources), generator)
            return on if site.post_single else _interleave(on, -on, post_axis)
        half[pre_axis] //= 2
        mixed = _normal(tuple(half), math.sqrt(4.0 / site.fan_in / site.sources), generator)
        same, opposite = mixed.clamp(min=0), (-mixed).clamp(min=0)
        on = _interleave(same, opposite, pre_axis)
        return on if site.post_single else _interleave(on, _interleave(opposite, same, pre_axis), post_axis)


def _interleave(even: Tensor, odd: Tensor, axis: int) -> Tensor:
    """``even`` at the places 0, 2, 4, ... of ``axis``, ``odd`` at 1, 3, 5, ..."""
    return torch.stack([even, odd], dim=axis + 1).flatten(axis, axis + 1)


@frozen
class Zeros(Initializer):
    """All weights 0. BP learns nothing through such weights (Section 5); broadcasting rules do."""

    def signs(self, pre_scalar: bool) -> tuple[str, ...]:
        return SIGNS

    def draw(self, site: Site, generator: torch.Generator) -> Tensor:
        return torch.zeros(site.shape, dtype=torch.float64, device="cpu")


@frozen
class HalfNormal(Initializer):
    """``scale |z| / n_in`` with z standard normal, positive in a nonnegative group and negative in a nonpositive one.

    The mean drive, ``sqrt(2 / pi) scale`` times the mean presynaptic activity, does not depend on the fan-in. Of use
    for inhibitory (nonpositive) groups, and for i.i.d. nonnegative weights, whose forward pass Section 5 warns of.
    """

    scale: float = field(default=1.0, validator=positive)

    def signs(self, pre_scalar: bool) -> tuple[str, ...]:
        return ("nonnegative", "nonpositive")

    def draw(self, site: Site, generator: torch.Generator) -> Tensor:
        size = _normal(site.shape, self.scale / site.fan_in / math.sqrt(site.sources), generator).abs_()
        return -size if site.sign == "nonpositive" else size
