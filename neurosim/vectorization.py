"""Vectorization: how the K components of a vector unit exist."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from attrs import Attribute, field, frozen

from neurosim.description import Description
from neurosim.errors import CircuitError, UnknownNameError
from neurosim.schedule import refuse_order

if TYPE_CHECKING:
    from neurosim.circuit import Circuit


class Vectorization(Description):
    """How the K components of a vector unit exist; a member is known by its ``name``."""

    kind: ClassVar[str] = "vectorization"
    name: ClassVar[str]

    def check(self, circuit: Circuit) -> None:
        """Raise a :class:`CircuitError` where ``circuit`` cannot run in this way."""


@frozen
class Group(Vectorization):
    """K neurons side by side: all components of all units are computed at once."""

    name: ClassVar[str] = "group"


ORDERS = ("replay", "causal")


def _known_order(instance: object, attribute: Attribute[str], value: str) -> None:
    if value not in ORDERS:
        raise UnknownNameError("order of time bins", str(value), ORDERS)


@frozen
class Temporal(Vectorization):
    """One neuron, and its K components one after the other in K time bins (Section 7.1).

    In bin mu the input neurons of component mu are active, biases are the currents of that bin, and the output is
    component mu of the network's output. A synapse's eligibility ``sum_mu G a_mu e_mu`` grows bin by bin, so that
    with the same gates and weights the update is that of :class:`Group`, up to rounding. One neuron has one synapse
    onto another, the same in all bins; so circuits with untied groups, K weights a pair, are refused.

    Args:
        order: ``"replay"``: the stimulus is presented as often as it takes until gates and errors are known; once for
            every gate on the longest way to the output that looks at all bins, once more to learn, and once more for
            cross-entropy or a rule that needs the loss or a perturbed pass; so one presentation where nothing looks
            ahead.
            ``"causal"``: one presentation; a circuit that would need more is refused.

    Raises:
        UnknownNameError: another order.

    Example:
        >>> from neurosim import Simulator, Temporal, circuits
        >>> sim = Simulator(circuits.load("digits-fc"), vectorization=Temporal("replay"))
        >>> sim.presentations  # two gated populations, cross-entropy
        4
    """

    name: ClassVar[str] = "temporal"
    order: str = field(default="replay", validator=_known_order)

    def check(self, circuit: Circuit) -> None:
        refuse_order(circuit, causal=self.order == "causal")


_BY_NAME: dict[str, Vectorization] = {Group.name: Group(), Temporal.name: Temporal()}


def vectorization_named(name: str | Vectorization) -> Vectorization:
    """The vectorization of that name: ``group``, ``temporal``, ``temporal:causal``; an object is returned as it is.

    Raises:
        UnknownNameError: the message lists the known ones.
        CircuitError: neither a name nor a vectorization; an order of time bins where there are none.

    Example:
        >>> vectorization_named("temporal:causal")
        Temporal(order='causal')
    """
    if isinstance(name, Vectorization):
        return name
    if not isinstance(name, str):
        raise CircuitError(
            f"vectorization: expected 'group', 'temporal', 'temporal:causal' or Temporal(order=...), got {name!r}"
        )
    kind, colon, order = name.partition(":")
    if kind not in _BY_NAME:
        hint = f"; that order of time bins is temporal:{kind}" if kind in ORDERS else ""
        raise UnknownNameError("vectorization", name, [*_BY_NAME, *(f"temporal:{each}" for each in ORDERS)], hint)
    if colon and kind != Temporal.name:
        raise CircuitError(f"vectorization '{name}': an order of time bins is for 'temporal', as in temporal:causal")
    return Temporal(order) if colon else _BY_NAME[kind]
