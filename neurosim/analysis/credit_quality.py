"""How good a rule's credit is at one moment: its angle to the gradient, the spread of the exact credit, signs."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Any

import torch
from attrs import field, frozen
from torch import Tensor

from neurosim.analysis.alignment import angles, credits_at, refuse_misuse
from neurosim.analysis.relative_std import credit_per_unit, relative_std
from neurosim.analysis.sign_agreement import sign_agreement
from neurosim.circuit import Circuit
from neurosim.description import is_count
from neurosim.errors import SimulationError, UnknownNameError
from neurosim.plasticity import PlasticityRule, rule_named
from neurosim.simulator import Simulator
from neurosim.step import Step

#: what can be measured, as `neurosim align --measure` calls it
MEASURES = ("angle", "r", "signs")
#: table of a measure -> the measure that fills it
TABLES = {"degrees": "angle", "relative_std": "r", "signs_per_example": "signs", "signs_per_batch": "signs"}
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
    measures: str | Collection[str] = MEASURES,
    sign_examples: int = SIGN_EXAMPLES,
) -> CreditQuality:
    """Measure a rule on one batch. Changes nothing and draws from the rule's own streams of this step only.

    Args:
        simulator: the network to measure.
        images, labels: as in :meth:`Simulator.learn`; the paper used the first 128 training images.
        rule: whose credit and updates; by default those that each population and group learns by. The relative
            standard deviation is always that of the exact credit.
        measures: of ``"angle"``, ``"r"``, ``"signs"``, or the tables that they fill, ``"degrees"`` and so on.
        sign_examples: compare the updates of the first so many of the examples one by one, of all where there are
            fewer. Angles, r and the signs of the whole batch are of all examples.

    Raises:
        UnknownNameError: another measure.
        SimulationError: no Simulator, no rule, one that cannot apply or whose constants this simulator lacks; a number
            of examples below 1.

    Example:
        >>> from neurosim import circuits
        >>> from neurosim.datasets import load_dataset
        >>> digits = load_dataset("digits").train.first(8)
        >>> found = credit_quality(Simulator(circuits.load("digits-fc")), digits.images, digits.labels)
        >>> {name: round(value, 1) for name, value in found.relative_std.items()}, found.signs_per_example["fc1->fc2"]
        ({'fc1': 0.3, 'fc2': 1.5}, 1.0)
    """
    wanted = measures_named(measures)
    if not is_count(sign_examples):
        raise SimulationError(f"sign_examples= must be an integer of at least 1, got {sign_examples!r}")
    refuse_misuse("credit_quality", simulator, rule)
    circuit, found = simulator.circuit, CreditQuality()
    if {"angle", "r"} & wanted:
        step = simulator.probe(images, labels)
        for name in hidden_populations(circuit):
            if "angle" in wanted:
                degrees = _angles(step, name, rule)
                found.degrees[name] = float(degrees.nanmean())
                found.kept[name] = int((~degrees.isnan()).sum())
            if "r" in wanted:
                found.relative_std[name] = _median_relative_std(step, name)
    if "signs" in wanted and learning_groups(circuit):
        few = images[:sign_examples], labels[:sign_examples]
        for shares, part, per in (
            (found.signs_per_example, few, "example"),
            (found.signs_per_batch, (images, labels), "batch"),
        ):
            shares |= {name: signs.share for name, signs in sign_agreement(simulator, *part, rule, per).items()}
    return found


def measures_named(measures: str | Collection[str]) -> frozenset[str]:
    """The measures that are asked for, one or several, by their own names or by those of their tables.

    Raises:
        UnknownNameError: another measure.

    Example:
        >>> sorted(measures_named(["degrees", "signs"])), sorted(measures_named("r"))
        (['angle', 'signs'], ['r'])
    """
    several = isinstance(measures, Iterable) and not isinstance(measures, str)
    asked: list[Any] = list(measures) if several else [measures]
    for measure in asked:
        if measure not in (*MEASURES, *TABLES):
            raise UnknownNameError("measure", measure, MEASURES)
    return frozenset(TABLES.get(measure, measure) for measure in asked)


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
