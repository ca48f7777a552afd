"""How good a rule's credit is at one moment: its angle to the gradient, the spread of the exact credit, signs."""

from __future__ import annotations

from collections.abc import Collection

import torch
from attrs import field, frozen
from torch import Tensor

from neurosim.analysis.alignment import angles, credits_at
from neurosim.analysis.relative_std import credit_per_unit, relative_std
from neurosim.analysis.sign_agreement import sign_agreement
from neurosim.circuit import Circuit
from neurosim.errors import SimulationError, UnknownNameError
from neurosim.plasticity import PlasticityRule, rule_named
from neurosim.simulator import Simulator
from neurosim.step import Step

#: what can be measured, as `neurosim align --measure` calls it
MEASURES = ("angle", "r", "signs")
#: examples whose updates are compared one by one; each costs a few steps of learning
SIGN_EXAMPLES = 16


@frozen
class CreditQuality:
    """A rule beside backpropagation, at one moment. A measure that was not asked for is empty; NaN is undefined.

    Attributes:
        degrees: hidden population -> mean angle between the rule's credit and the exact one (Appendix D); NaN where
            no single rule delivers credit.
        kept: hidden population -> how many examples that is the mean of; the others have almost no credit
            (:func:`~neurosim.analysis.alignment.credits_at`).
        relative_std: hidden population -> ``r = |sigma / mu|`` of the exact credit of its units (Eqs. 18-22), the
            tangent of the angle of a constant credit: the median over examples, because weights of mixed sign let
            single means come close to 0.
        signs_per_example: learning group -> share of the weights with a gradient whose update has its sign, each
            example by itself.
        signs_per_batch: the same of the updates of the whole batch.
    """

    degrees: dict[str, float] = field(factory=dict)
    relative_std: dict[str, float] = field(factory=dict)
    signs_per_example: dict[str, float] = field(factory=dict)
    signs_per_batch: dict[str, float] = field(factory=dict)
    kept: dict[str, int] = field(factory=dict)


def credit_quality(
    simulator: Simulator,
    images: Tensor,
    labels: Tensor,
    rule: PlasticityRule | None = None,
    measures: Collection[str] = MEASURES,
    sign_examples: int = SIGN_EXAMPLES,
) -> CreditQuality:
    """Measure a rule on one batch. Changes nothing and draws from the rule's own streams of this step only.

    Args:
        simulator: the network to measure.
        images, labels: as in :meth:`Simulator.learn`; the paper used the first 128 training images.
        rule: whose credit and updates; by default those that each population and group learns by. The relative
            standard deviation is always that of the exact credit.
        measures: of ``"angle"``, ``"r"``, ``"signs"``.
        sign_examples: compare the updates of so many of the examples one by one.

    Raises:
        UnknownNameError: another measure.
        SimulationError: a rule that cannot apply.

    Example:
        >>> from neurosim import circuits
        >>> from neurosim.datasets import load_dataset
        >>> digits = load_dataset("digits").train.first(8)
        >>> found = credit_quality(Simulator(circuits.load("digits-fc")), digits.images, digits.labels)
        >>> {name: round(value, 1) for name, value in found.relative_std.items()}, found.signs_per_example["fc1->fc2"]
        ({'fc1': 0.3, 'fc2': 1.5}, 1.0)
    """
    for measure in measures:
        if measure not in MEASURES:
            raise UnknownNameError("measure", str(measure), MEASURES)
    circuit = simulator.circuit
    for group in circuit.groups.values():
        if rule is not None and (reason := rule.refusal(circuit, group)) is not None:
            raise SimulationError(f"group '{group.name}': the rule {rule} cannot apply: {reason}")
    found = CreditQuality()
    if {"angle", "r"} & set(measures):
        step = simulator.probe(images, labels)
        for name in hidden_populations(circuit):
            if "angle" in measures:
                degrees = _angles(step, name, rule)
                found.degrees[name] = float(degrees.nanmean())
                found.kept[name] = int((~degrees.isnan()).sum())
            if "r" in measures:
                found.relative_std[name] = _median_relative_std(step, name)
    if "signs" in measures and learning_groups(circuit):
        few = images[:sign_examples], labels[:sign_examples]
        for shares, part, per in (
            (found.signs_per_example, few, "example"),
            (found.signs_per_batch, (images, labels), "batch"),
        ):
            shares |= {name: signs.share for name, signs in sign_agreement(simulator, *part, rule, per).items()}
    return found


def hidden_populations(circuit: Circuit) -> list[str]:
    """Populations whose units get credit, without the output, whose credit is exact by every rule."""
    populations = circuit.populations.values()
    return [p.name for p in populations if not p.scalar and p.relay_of is None and p.name != "output"]


def learning_groups(circuit: Circuit) -> list[str]:
    """Synapse groups with a rule."""
    return [name for name, group in circuit.groups.items() if group.rule is not None]


def _angles(step: Step, population: str, rule: PlasticityRule | None) -> Tensor:
    """Of each example, ``(batch,)``; NaN where it is left out or the population has no rule of its own."""
    own = {group.rule for group in step.circuit.into(population)} - {None}
    if rule is None and len(own) != 1:
        return torch.full((len(step.error),), torch.nan, device=step.error.device)
    return angles(*credits_at(step, population, rule))


def _median_relative_std(step: Step, population: str) -> float:
    return float(torch.nanmedian(relative_std(credit_per_unit(step, population, rule_named("bp"))).abs()))
