"""Kickback: global error times how strongly a unit drives what comes right after it."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from attrs import frozen
from torch import Tensor

from neurosim.plasticity import CreditForm, PlasticityRule, Signal

if TYPE_CHECKING:
    from neurosim.circuit import Circuit
    from neurosim.credit import CreditContext
    from neurosim.populations import SynapseGroup


@frozen
class Kickback(PlasticityRule):
    """Kickback: backpropagation truncated after one layer, for networks with one scalar output.

        d_i = e sum_k w_ki G(h_k),

    the sum over the units right after unit i, relays passed through, and e ``(batch, 1, 1)`` the scalar error of the
    output. The credit, that sum, and G are ``(batch, *units)``.

    Raises:
        CircuitError: at ``connect``, an output of more than one component.

    Source: Balduzzi, Vanchinathan & Buhmann, "Kickback cuts Backprop's red-tape", AAAI 2015.

    Example:
        >>> from neurosim import Binary, Circuit, Dense
        >>> c = Circuit(inputs=(4,), readout=Binary(2))
        >>> c.connect("input", "output", Dense(), rule=Kickback()).rule
        Kickback()
    """

    uses: ClassVar[frozenset[Signal]] = frozenset(
        {Signal.PRESYNAPTIC, Signal.GATE, Signal.ERROR, Signal.FEEDBACK, Signal.WEIGHTS}
    )

    def form(self, circuit: Circuit) -> CreditForm:
        return CreditForm.PER_UNIT

    def refusal(self, circuit: Circuit, group: SynapseGroup) -> str | None:
        if circuit.readout.length == 1:
            return None
        return (
            f"it is defined for one scalar output (reference 25 of the paper), but the readout {circuit.readout} has "
            f"{circuit.readout.length} components; use Binary(2), or GEVB for vector outputs"
        )

    def credit(self, context: CreditContext) -> Tensor | None:
        return context.one_hop(context.forward_weights)
