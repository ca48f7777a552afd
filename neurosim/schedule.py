"""When things are known in vectorization in time: after which bin, and after how many presentations."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from enum import Enum
from typing import TYPE_CHECKING

from attrs import frozen

from neurosim.errors import CircuitError
from neurosim.gates import Gate
from neurosim.plasticity import CreditForm, PlasticityRule, Signal, rules_by_population

if TYPE_CHECKING:
    from neurosim.circuit import Circuit
    from neurosim.populations import Population


class CreditTime(Enum):
    """When a rule's credit is computed."""

    LAST_BIN = "once, after the last bin; the eligibility has grown without it"
    OUTCOME = "once, after a presentation that showed the output; then it is there in every bin"
    IN_BIN = "in every bin anew, from the activity of that bin"


def credit_time(circuit: Circuit, population: str, rule: PlasticityRule) -> CreditTime:
    """When the credit of ``rule`` at ``population`` is computed.

    Credit per unit, ``d_mu = c e_mu``, is a factor of the whole eligibility. At the output that holds for every rule.
    """
    if population == "output" or rule.form(circuit) is not CreditForm.PER_COMPONENT:
        return CreditTime.LAST_BIN
    return CreditTime.IN_BIN if rule.needs else CreditTime.OUTCOME


@frozen
class Schedule:
    """What the presentations of one stimulus are for.

    Attributes:
        levels: population -> on the longest way to it, itself included, the gates that look at all bins. After so many
            presentations its gate is known; with a causal gate, in the first bin of the next one.
        outcome: before learning, one presentation shows output, loss and errors.
        perturbed: presentations that show the output under a rule's noise.
    """

    levels: Mapping[str, int]
    outcome: bool
    perturbed: int

    @property
    def depth(self) -> int:
        """Presentations after which all gates are known."""
        return max(self.levels.values())

    @property
    def presentations(self) -> int:
        """Of one stimulus in one step of learning."""
        return self.depth + self.outcome + self.perturbed + 1


def schedule(circuit: Circuit) -> Schedule:
    """The presentations that learning takes in ``circuit``."""
    levels: dict[str, int] = {}
    for name in circuit.order:
        gate = circuit.populations[name].gate
        before = max((levels[group.pre] for group in circuit.into(name)), default=0)
        levels[name] = before + (gate is not None and not gate.causal and circuit.K > 1)
    learning = rules_by_population(circuit)
    perturbed = len({rule for _, rule in learning if Signal.NOISE in rule.uses})
    # once the output has been seen, errors and modulators are there from the first bin
    outcome = circuit.K > 1 and (
        not circuit.readout.error_by_component or any(_waits_for_outcome(circuit, *each) for each in learning)
    )
    return Schedule(levels, outcome, perturbed)


def _waits_for_outcome(circuit: Circuit, population: Population, rule: PlasticityRule) -> bool:
    time = credit_time(circuit, population.name, rule)
    return time is CreditTime.OUTCOME or (time is CreditTime.IN_BIN and Signal.SCALAR in rule.uses)


def refuse_order(circuit: Circuit, causal: bool) -> None:
    """Raise where ``circuit`` cannot be computed bin by bin; where ``causal``, not in one presentation."""
    if circuit.K > 1 and (reasons := list(_impossible(circuit))):
        raise CircuitError("vectorization in time: " + "; ".join(reasons))
    if causal and (reasons := list(_looks_ahead(circuit))):
        raise CircuitError(
            "vectorization in time, causal order: " + "; ".join(reasons) + "; or Temporal(order='replay') as it is"
        )


def _impossible(circuit: Circuit) -> Iterator[str]:
    if untied := [f"'{name}'" for name, group in circuit.groups.items() if group.untied]:
        yield (
            f"untied: {', '.join(untied)}; in time one neuron has one synapse onto another, and its weight would have "
            f"to change from bin to bin; use sharing='tied', or vectorization='group' for K synapses side by side"
        )
    for name, population in circuit.populations.items():
        gate = population.gate
        if gate is not None and not gate.causal and type(gate).gather is Gate.gather:
            yield (
                f"the gate of population '{name}', {gate}, cannot be computed bin by bin: it is not causal and defines "
                f"no gather(constants, h, bin, gathered); define it or use vectorization='group'"
            )
    for population, rule in rules_by_population(circuit):
        if (reason := rule.bin_refusal(circuit)) is not None:
            yield (
                f"the rule {rule} at population '{population.name}' cannot be computed bin by bin: {reason}; or use "
                f"vectorization='group'"
            )
        elif rule.needs and Signal.NOISE in rule.uses:
            yield (
                f"the rule {rule} at population '{population.name}' cannot be computed bin by bin: in a bin there is "
                f"no perturbed presentation to compare with what it looks at; use vectorization='group'"
            )


def _looks_ahead(circuit: Circuit) -> Iterator[str]:
    if circuit.K > 1:
        for name, population in circuit.populations.items():
            if population.gate is not None and not population.gate.causal:
                yield (
                    f"the gate of population '{name}', {population.gate}, is known only after the last bin; use "
                    f"FirstBinGate() or ExternalGate()"
                )
        readout = circuit.readout
        if not readout.error_by_component:
            kind = type(readout).__name__
            yield (
                f"the error of the loss '{readout.loss}' is known only after the last bin, when all components of the "
                f"output are there; use {kind}({readout.classes}, loss='squared') or loss='logistic'"
            )
    for population, rule in rules_by_population(circuit):
        if Signal.NOISE in rule.uses:
            yield (
                f"the rule {rule} at population '{population.name}' compares with a second, perturbed presentation; "
                f"use another rule"
            )
        elif circuit.K > 1 and _waits_for_outcome(circuit, population, rule):
            yield (
                f"the credit of the rule {rule} at population '{population.name}' is known only after the last bin; "
                f"use a rule that waits for no outcome, such as GEVB()"
            )
