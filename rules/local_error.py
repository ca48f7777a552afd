"""Local errors: every unit predicts the target by itself."""

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
class LocalError(PlasticityRule):
    """Each vector unit predicts the target itself and descends its own loss; nothing comes from the output.

        d_i = dL/da evaluated at a = a_i, for cross-entropy softmax(a_i) - y

    with d and a ``(batch, K, *units)`` and y ``(batch, K)``, divided by the number of examples of the batch.

    The contrast to GEVB that Section 7.2 draws with gated linear networks: a local error at each unit, no pressure to
    form features for later layers.

    Raises:
        CircuitError: at ``connect``, units with fewer components than the target; in vectorization in time, a loss
            whose error needs all components at once.

    Source: Veness et al., "Gated linear networks", arXiv:1910.01526, 2019 (the idea of local errors).

    Example:
        >>> sorted(signal.name for signal in LocalError().uses)
        ['GATE', 'POSTSYNAPTIC', 'PRESYNAPTIC', 'TARGET']
    """

    error_driven: ClassVar[bool] = False
    needs: ClassVar[frozenset[str]] = frozenset({"activation"})
    uses: ClassVar[frozenset[Signal]] = frozenset({Signal.PRESYNAPTIC, Signal.GATE, Signal.POSTSYNAPTIC, Signal.TARGET})

    def form(self, circuit: Circuit) -> CreditForm:
        return CreditForm.PER_COMPONENT

    def refusal(self, circuit: Circuit, group: SynapseGroup) -> str | None:
        if circuit.output_units == 1:
            return None
        return (
            f"each unit predicts the target itself and so needs its {circuit.readout.length} components, but units "
            f"here are scalar; use K={circuit.readout.length}"
        )

    def bin_refusal(self, circuit: Circuit) -> str | None:
        if circuit.readout.error_by_component:
            return None
        return (
            f"the error of the loss '{circuit.readout.loss}' at a unit needs all its components at once; use "
            f"loss='squared' or 'logistic'"
        )

    def credit(self, context: CreditContext) -> Tensor | None:
        a = context.activation.flatten(2)  # (batch, K, units)
        guesses = a.transpose(1, 2)  # (batch, units, K)
        error = context.local_errors(guesses)
        return error.transpose(1, 2).reshape(context.activation.shape)
