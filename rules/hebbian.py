"""Three-factor Hebbian learning with a scalar modulator."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, ClassVar

import torch
from attrs import field, frozen
from torch import Tensor

from neurosim.description import fraction, plain_name
from neurosim.plasticity import CreditForm, PlasticityRule, Signal

if TYPE_CHECKING:
    from neurosim.circuit import Circuit
    from neurosim.credit import CreditContext
    from neurosim.populations import Population


@frozen
class ThreeFactorHebbian(PlasticityRule):
    """Presynaptic times postsynaptic activity times one scalar for the whole network: success against expectation.

        dw_ij ~ -m sum_mu a_imu a_jmu,    m = L - Lbar

    m ``(batch,)`` is how much worse than expected an example went, and Lbar a running mean of the loss, so that
    activity before a success is strengthened. Activity ``a = G h`` is ``(batch, K, *units)``; the credit is
    ``m a / G``, because the engine multiplies by G ``(batch, *units)``. The plain three-factor rule that GEVB
    generalizes: the modulator knows how well, not in which direction.

    Args:
        rate: of the running mean, ``Lbar += rate (L - Lbar)`` with L the mean over the batch, after every step.
        name: of the running mean, ``sim.feedback["NAME/POPULATION/expected_loss"]``; rules of different rates in one
            circuit need different names.

    Raises:
        CircuitError: a rate outside (0, 1]; in a simulator, two of one name that differ; the causal order of
            vectorization in time, in which no bin knows the loss.

    Source: Fremaux & Gerstner, Frontiers in Neural Circuits 9:85, 2016 (reference 23 of the paper gives the family).

    Example:
        >>> ThreeFactorHebbian(rate=0.1).rate
        0.1
    """

    error_driven: ClassVar[bool] = False
    needs: ClassVar[frozenset[str]] = frozenset({"activation"})
    uses: ClassVar[frozenset[Signal]] = frozenset({Signal.PRESYNAPTIC, Signal.GATE, Signal.POSTSYNAPTIC, Signal.SCALAR})
    rate: float = field(default=0.05, validator=fraction)
    name: str = field(default="ThreeFactorHebbian", validator=plain_name)

    @property
    def label(self) -> str:
        return self.name

    def form(self, circuit: Circuit) -> CreditForm:
        return CreditForm.PER_COMPONENT

    def bin_refusal(self, circuit: Circuit) -> str | None:
        return None  # a component's credit is its own activity, times a number

    def draw(
        self, circuit: Circuit, population: Population, stream: Callable[..., torch.Generator]
    ) -> dict[str, Tensor]:
        return {"expected_loss": torch.zeros(1, dtype=torch.float64, device="cpu")}

    def credit(self, context: CreditContext) -> Tensor | None:
        a = context.activation
        modulator = (context.losses - context.state("expected_loss")) * context.batch_scale
        return context.ungated(a * modulator.view(-1, *[1] * (a.ndim - 1)))  # a = G h has its gate already

    def advance(self, context: CreditContext) -> None:
        expected = context.state("expected_loss")
        expected.lerp_(context.losses.mean().to(expected.dtype).view(1), self.rate)
