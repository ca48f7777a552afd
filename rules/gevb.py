"""Global error-vector broadcasting."""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import frozen
from torch import Tensor

from neurosim.plasticity import CreditForm, PlasticityRule

if TYPE_CHECKING:
    from neurosim.circuit import Circuit
    from neurosim.credit import CreditContext


@frozen
class GEVB(PlasticityRule):
    """Global error-vector broadcasting: every unit gets the same error vector, and no feedback of its own (Eq. 9).

        dw_ij ~ -G(h_i) sum_mu a_jmu e_mu

    A synapse changes by the inner product of presynaptic activity ``a_j`` and the global error vector ``e`` while its
    postsynaptic unit is active (``G = 1``): three-factor Hebbian learning with a vector-valued third factor. With
    nonnegative weights past the first layer each example's update has the sign of the gradient (Section 3.3).

    With ``a`` ``(batch, K, *units)``, ``e`` ``(batch, K, 1)`` and ``G`` ``(batch, *units)``; the credit is 1 everywhere
    and takes no memory.

    Raises:
        CircuitError: at ``connect``, a circuit that has not exactly one output unit, of any K.

    Source: Clark, Abbott & Chung, "Credit Assignment Through Broadcasting a Global Error Vector", NeurIPS 2021.

    Example:
        >>> from neurosim import Circuit, Dense, OneHot
        >>> c = Circuit(inputs=(4,), readout=OneHot(10))
        >>> c.connect("input", "output", Dense(), rule=GEVB()).name
        'input->output'
    """

    def form(self, circuit: Circuit) -> CreditForm:
        return CreditForm.BROADCAST

    def credit(self, context: CreditContext) -> Tensor | None:
        return None
