"""Backpropagation, the reference."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from attrs import frozen
from torch import Tensor

from neurosim.plasticity import CreditForm, PlasticityRule, Signal

if TYPE_CHECKING:
    from neurosim.circuit import Circuit
    from neurosim.credit import CreditContext


@frozen
class BP(PlasticityRule):
    """Backpropagation: the credit is the exact derivative of the loss, transported by the forward weights.

    In a network of vector units with one output unit the transport is one scalar per unit (Eq. 13), K times cheaper
    than automatic differentiation:

        c_i = sum_k w_ki G(h_k) c_k,    c = 1 at the output,    dw_ij = c_i G(h_i) sum_mu a_jmu e_mu    (Eq. 14)

    In a conventional network, one scalar per unit and component (Eqs. 2, 3):

        d_i = sum_k w_ki phi'(h_k) d_k,    d = e at the output.

    With c and G ``(batch, *units)``, d and a ``(batch, K, *units)``, e ``(batch, K, *output units)``, and k over all
    units that listen to unit i.

    Source: Rumelhart, Hinton & Williams, Nature 323:533-536, 1986; of vector units Clark, Abbott & Chung, NeurIPS 2021.

    Example:
        >>> from neurosim import Circuit, Dense, OneHot
        >>> vector = Circuit(inputs=(4,), readout=OneHot(10))
        >>> conventional = Circuit(inputs=(4,), readout=OneHot(10), K=1)
        >>> BP().form(vector).name, BP().form(conventional).name
        ('PER_UNIT', 'PER_COMPONENT')
    """

    uses: ClassVar[frozenset[Signal]] = frozenset(
        {Signal.PRESYNAPTIC, Signal.GATE, Signal.ERROR, Signal.FEEDBACK, Signal.WEIGHTS}
    )

    def form(self, circuit: Circuit) -> CreditForm:
        return CreditForm.PER_UNIT if circuit.output_units == 1 else CreditForm.PER_COMPONENT

    def credit(self, context: CreditContext) -> Tensor | None:
        return context.feedback(context.forward_weights)
