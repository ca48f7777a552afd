"""The parts of a circuit: populations and synapse groups, inert attrs classes."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from types import EllipsisType
from typing import Any, Literal

import attrs
from attrs import field, frozen

from neurosim.connectivity import Connectivity, Shape
from neurosim.connectivity.base import count
from neurosim.description import is_count, slip
from neurosim.errors import CircuitError
from neurosim.gates import Gate
from neurosim.initializers import He, Initializer, Site
from neurosim.plasticity import PlasticityRule
from neurosim.relaxation import WeightRelaxation

BIASES = ("unit", "channel", None)
SHARINGS = ("tied", "untied")

#: A bias learns by the rule that its population's groups share.
Shared = Literal["shared"]


def _name(instance: object, attribute: attrs.Attribute[str], value: str) -> None:
    if not isinstance(value, str) or not value or "/" in value or not value.isprintable():
        raise CircuitError(f"a {attribute.name} must be a printable, non-empty text without '/', got {value!r}")
    if value in (".", ".."):
        raise CircuitError(f"'{value}' names a folder in a run file; choose another {attribute.name}")
    if value.startswith("bias of "):
        raise CircuitError(f"'{value}' is what the bias of a population is called; choose another {attribute.name}")


def _object_of(kind: type, example: str, also: tuple[object, ...] = ()) -> Callable[[Any, Any, Any], None]:
    """A validator that knows the usual slip: the class ``GEVB`` where the object ``GEVB()`` is meant."""

    def check(instance: Any, attribute: attrs.Attribute[Any], value: object) -> None:
        if isinstance(value, kind):
            _refuse_opaque(instance, value)
            return
        if any(value is other or value == other for other in also):
            return
        raise CircuitError(f"'{instance.name}': {attribute.name} must be {example}, got {value!r}{slip(value)}")

    return check


def _refuse_opaque(instance: Any, value: object) -> None:
    """Settings that attrs does not know of could be neither compared nor saved: runs would silently lose them."""
    writer = next(kind for kind in type(value).__mro__ if "__init__" in kind.__dict__)
    if writer is not object and "__attrs_attrs__" not in writer.__dict__:
        raise CircuitError(
            f"'{instance.name}': {writer.__name__} has an __init__ of its own, so its settings can be neither compared "
            f"nor saved; make it an attrs class: @attrs.frozen above the class, and fields in the place of __init__"
        )


def whole_number(what: str, value: Any) -> int:
    """``value`` as a Python integer of at least 1, of whatever integer type it is."""
    if not is_count(value):
        raise CircuitError(f"{what} must be a whole number of at least 1, got {value!r}")
    return int(value)


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
    gate: Gate | None = field(default=None, validator=_object_of(Gate, "a gate such as SignGate(), or None", (None,)))
    bias: str | None = "unit"
    bias_rule: PlasticityRule | None | Shared = field(
        default="shared", validator=_object_of(PlasticityRule, "a rule, None or 'shared'", (None, "shared"))
    )
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
        sharing: ``"tied"``, one weight for all K components of a pair of vector units; ``"untied"``, one each. From
            scalar units every component has weights of its own in any case.
        relaxation: what draws the K weights of an untied group together; None lets them drift apart.
    """

    name: str = field(validator=_name)
    pre: str
    post: str
    connectivity: Connectivity = field(validator=_object_of(Connectivity, "a connectivity such as Dense()"))
    rule: PlasticityRule | None = field(
        default=None, validator=_object_of(PlasticityRule, "a rule such as GEVB(), or None", (None,))
    )
    sign: str = "mixed"
    init: Initializer = field(factory=He, validator=_object_of(Initializer, "an initializer such as He()"))
    sharing: str = "tied"
    relaxation: WeightRelaxation | None = field(
        default=None, validator=_object_of(WeightRelaxation, "a relaxation such as Relaxation(), or None", (None,))
    )

    @property
    def untied(self) -> bool:
        """Between vector units, with weights of its own for every component."""
        return self.sharing == "untied"


def declared_shape(name: str, shape: int | tuple[int | EllipsisType, ...]) -> Shape:
    """``shape`` checked; a trailing ``...`` leaves the place in space to the first group into the population."""
    extents: tuple[Any, ...] = tuple(shape) if isinstance(shape, Iterable) else (shape,)
    is_open = len(extents) == 2 and extents[1] is Ellipsis
    given = [int(n) for n in (extents[:1] if is_open else extents) if is_count(n)]
    if len(given) not in (1, 3) or len(given) + is_open != len(extents):
        raise CircuitError(
            f"population '{name}': a shape is (n,), (channels, height, width) or (channels, ...), got {shape!r}"
        )
    return tuple(given)


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
        pre_units=pre.units,
    )
