"""Write a plasticity rule of your own: what credit reaches the postsynaptic units?

This one gives every unit a fixed random sign and multiplies it with the global error vector. Nothing but the sign is
specific to the unit, and it is wrong for half of the units: does it learn?

Run it:  python examples/your_own_rule.py
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from attrs import frozen
from torch import Tensor

from neurosim import GEVB, Circuit, CreditForm, PlasticityRule, Simulator, circuits
from neurosim.analysis import gradient_alignment
from neurosim.credit import CreditContext
from neurosim.datasets import load_dataset
from neurosim.plasticity import Signal
from neurosim.populations import Population
from neurosim.training import Trainer


@frozen  # settings are attrs fields, so that circuits can be compared and saved
class RandomSigns(PlasticityRule):
    """Credit of a fixed random sign per unit: ``c_i = s_i``, times the error vector."""

    uses = PlasticityRule.uses | {Signal.FEEDBACK}  # a sign of the unit's own is specific to the unit

    def form(self, circuit: Circuit) -> CreditForm:
        return CreditForm.PER_UNIT  # (batch, *units); the engine multiplies by error, gate and presynaptic activity

    def draw(
        self, circuit: Circuit, population: Population, stream: Callable[..., torch.Generator]
    ) -> dict[str, Tensor]:
        coins = torch.randint(2, population.shape, generator=stream(population.name), device="cpu")
        return {"signs": 2.0 * coins.double() - 1.0}  # owned, moved and saved by the simulator

    def credit(self, context: CreditContext) -> Tensor | None:
        signs = context.state("signs")
        return signs.expand(len(context.error), *signs.shape)


def main(epochs: int = 10) -> dict[str, float]:
    """Train with the rule and with GEVB on the embedded digits; returns the test errors."""
    digits = load_dataset("digits")
    first = digits.train.first(128)
    errors = {}
    for rule in (RandomSigns(), GEVB()):
        simulator = Simulator(circuits.load("digits-fc").with_rules(rule), seed=0)
        errors[str(rule)] = Trainer(simulator, digits, epochs=epochs).run().epochs[-1].test_error
        angles = gradient_alignment(simulator, first.images, first.labels)
        after = ", ".join(f"{population} {degrees:.0f}" for population, degrees in angles.items())
        print(f"{rule!s:14} test error {errors[str(rule)]:6.2%}   angle to the gradient after training: {after}")
    return errors


if __name__ == "__main__":
    main()
