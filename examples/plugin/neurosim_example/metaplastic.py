"""A rule whose synapses remember how active their unit has been."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, ClassVar

import torch
from attrs import field, frozen, validators
from torch import Tensor

from neurosim.plasticity import CreditForm, PlasticityRule, Signal

if TYPE_CHECKING:
    from neurosim.circuit import Circuit
    from neurosim.credit import CreditContext
    from neurosim.populations import Population


@frozen
class Metaplastic(PlasticityRule):
    """GEVB with metaplasticity: the more active a unit has lately been, the less plastic are its synapses.

        dw_ij ~ -c_i G(h_i) sum_mu a_jmu e_mu,    c_i = 1 / (1 + strength theta_i)

    theta_i is a running mean of ``|a_i|^2``, the unit's own activity, like the sliding threshold of Bienenstock, Cooper
    and Munro (1982). Since ``c_i`` is positive, each update keeps the sign that GEVB gives it.

    Needs one output unit. ``sim.feedback["Metaplastic/POPULATION/theta"]`` is theta, of the population's shape.

    Args:
        strength: how much activity takes away plasticity; 0 is GEVB.
        rate: of the running mean, ``theta += rate (<|a|^2> - theta)`` after every step.
    """

    needs: ClassVar[frozenset[str]] = frozenset({"activation"})
    uses: ClassVar[frozenset[Signal]] = PlasticityRule.uses | {Signal.POSTSYNAPTIC}
    strength: float = field(default=1.0, validator=validators.ge(0))
    rate: float = field(default=0.05, validator=[validators.gt(0), validators.le(1)])

    def form(self, circuit: Circuit) -> CreditForm:
        return CreditForm.PER_UNIT

    def draw(
        self, circuit: Circuit, population: Population, stream: Callable[..., torch.Generator]
    ) -> dict[str, Tensor]:
        return {"theta": torch.zeros(population.shape, dtype=torch.float64, device="cpu")}

    def credit(self, context: CreditContext) -> Tensor | None:
        plasticity = 1 / (1 + self.strength * context.state("theta"))
        return plasticity.to(context.error.dtype).expand(len(context.error), *plasticity.shape)

    def advance(self, context: CreditContext) -> None:
        theta = context.state("theta")
        squared_length = context.activation.square().sum(1)  # of every unit's vector: (batch, *units)
        theta.lerp_(squared_length.mean(0).to(theta.dtype), self.rate)
