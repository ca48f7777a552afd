"""The parts of a circuit: populations and synapse groups, inert attrs classes."""

from __future__ import annotations

from types import EllipsisType
from typing import Literal

import attrs
from attrs import field, frozen, validators

from neurosim.connectivity import Connectivity, Shape
from neurosim.connectivity.base import count
from neurosim.errors import CircuitError
from neurosim.gates import Gate
from neurosim.initializers import He, Initializer, Site
from neurosim.plasticity import PlasticityRule

BIASES = ("unit", "channel", None)

#: A bias learns by the rule that its population's groups share.
Shared = Literal["shared"]


def _name(instance: object, attribute: attrs.Attribute[str], value: str) -> None:
    if not value or any(mark in value for mark in "/\n"):
        raise CircuitError(f"a {attribute.name} must be a non-empty text without '/', got {value!r}")


@frozen
class Population:
    """A named set of units of one shape.

    Attributes:
        name: unique in the circuit.
        shape: ``(n,)`` or ``(channels, height, width)``.
        gate: the nonlinearity ``a = G(h) h``; None is linear.
        bias: ``"unit"`` (one per unit), ``"channel"`` (one per channel) or None; K components each.
        bias_rule: the rule that the bias learns by; ``"shared"`` is the rule its learning groups have in common.
        scalar: scalar units; true of the input and of relays of scalar populations.
        relay_of: the population that this relay pools, or None.
        shape_open: only the channels are known yet; the first group into it tells height and width.
    """

    name: str = field(validator=_name)
    shape: Shape
    gate: Gate | None = field(default=None, validator=validators.optional(validators.instance_of(Gate)))
    bias: str | None = "unit"
    bias_rule: PlasticityRule | None | Shared = "shared"
    scalar: bool = False
    relay_of: str | None = None
    shape_open: bool = False

    @property
    def units(self) -> int:
        return count(self.shape)


@frozen
class SynapseGroup:
    """All synapses from one population to another.

    Attributes:
        name: unique in the circuit; ``"pre->post"`` unless given.
        pre, post: names of the two populations.
        connectivity: who connects to whom.
        rule: the plasticity rule; None freezes the group.
        sign: ``"mixed"``, ``"nonnegative"`` or ``"nonpositive"``, enforced after every update.
        init: how the weights start.
    """

    name: str = field(validator=_name)
    pre: str
    post: str
    connectivity: Connectivity = field(validator=validators.instance_of(Connectivity))
    rule: PlasticityRule | None = field(
        default=None, validator=validators.optional(validators.instance_of(PlasticityRule))
    )
    sign: str = "mixed"
    init: Initializer = field(factory=He, validator=validators.instance_of(Initializer))


def declared_shape(name: str, shape: int | tuple[int | EllipsisType, ...]) -> Shape:
    """``shape`` checked; a trailing ``...`` leaves the place in space to the first group into the population."""
    extents = (shape,) if isinstance(shape, int) else tuple(shape)
    given = extents[:-1] if extents and extents[-1] is Ellipsis else extents
    if len(given) not in (1, 3) or not all(isinstance(n, int) and n > 0 for n in given):
        raise CircuitError(
            f"population '{name}': a shape is (n,), (channels, height, width) or (channels, ...), got {shape!r}"
        )
    return tuple(int(n) for n in given if isinstance(n, int))


def site_of(group: SynapseGroup, pre: Population, post: Population, components: int, sources: int) -> Site:
    """What the initializer of ``group`` is told about the place it draws for."""
    connectivity = group.connectivity
    return Site(
        weight_shape=connectivity.weight_shape(pre.shape, post.shape),
        pre_axis=connectivity.pre_axis(post.shape),
        fan_in=connectivity.fan_in(pre.shape),
        copies=components if pre.scalar else None,
        pre_scalar=pre.scalar,
        post_single=post.units == 1,
        sources=sources,
        sign=group.sign,
    )
