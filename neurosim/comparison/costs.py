"""What a step of learning costs where weights are relaxed every so many steps only.

A few steps that are measured say nothing of a relaxation that is not due in any of them, so the step in which it is due
is measured by itself.
"""

from __future__ import annotations

from collections.abc import Mapping

from attrs import evolve

from neurosim.circuit import Circuit
from neurosim.relaxation import NoiseRelaxation
from neurosim.step_costs import StepCost

#: of the steps in which no relaxation is due but those of every step
ORDINARY = 1


def waits(circuit: Circuit) -> dict[str, int]:
    """Steps of learning between two relaxations, by group that learns and is relaxed.

    Example:
        >>> from neurosim import Relaxation, circuits
        >>> waits(circuits.load("digits-fc").with_sharing("untied", Relaxation(every=10)))
        {'fc1->fc2': 10, 'fc2->output': 10}
    """
    learning = [group for group in circuit.groups.values() if group.rule is not None]
    return {group.name: group.relaxation.every for group in learning if group.relaxation is not None}


def kinds_of_step(circuit: Circuit) -> dict[int, Circuit]:
    """Circuits of which every step of learning is like some steps of ``circuit``, by how many steps apart these are.

    Under 1 the relaxations that wait are left out; under each N > 1 those that run every N steps run in every step.
    Groups are relaxed one after the other, so where several waits meet in a step its memory is that of the largest.

    Example:
        >>> from neurosim import Relaxation, circuits
        >>> untied = circuits.load("digits-fc").with_sharing("untied", Relaxation(every=10))
        >>> {wait: circuit.groups["fc1->fc2"].relaxation for wait, circuit in kinds_of_step(untied).items()}
        {1: None, 10: Relaxation(rate=1.0, every=1)}
    """
    return {wait: _with_due(circuit, {ORDINARY, wait}) for wait in sorted({ORDINARY, *waits(circuit).values()})}


def _with_due(circuit: Circuit, due: set[int]) -> Circuit:
    """A copy with the relaxations that run every so many steps, and these in every step; no others."""
    data = circuit.to_dict()
    for entry in data["groups"]:
        relaxation = entry.get("relaxation")
        if relaxation is not None:
            entry["relaxation"] = relaxation | {"every": 1} if relaxation["every"] in due else None
    return type(circuit).from_dict(data)


def averaged(costs: Mapping[int, StepCost]) -> StepCost:
    """A step's cost: what a wait of N steps adds to an ordinary step in time counts 1 / N, in memory in full.

    Args:
        costs: of each of :func:`kinds_of_step`.

    Example:
        >>> averaged({1: StepCost(1.0, 2.0, 100), 10: StepCost(6.0, 7.0, 300)})
        StepCost(wall_seconds=1.5, cpu_seconds=2.5, peak_bytes=300)
    """
    ordinary = costs[ORDINARY]
    wall, cpu = ordinary.wall_seconds, ordinary.cpu_seconds
    for wait, cost in costs.items():  # noise of the measurement alone could make a relaxation save time
        wall += max(0.0, cost.wall_seconds - ordinary.wall_seconds) / wait
        cpu += max(0.0, cost.cpu_seconds - ordinary.cpu_seconds) / wait
    peaks = [cost.peak_bytes for cost in costs.values()]
    known = [peak for peak in peaks if peak is not None]
    return evolve(ordinary, wall_seconds=wall, cpu_seconds=cpu, peak_bytes=max(known, default=None))


def remainders(circuit: Circuit) -> dict[str, float]:
    """What a phase of noise is expected to leave of the spread of K weights, by group that learns and is so relaxed.

    :meth:`~neurosim.relaxation.NoiseRelaxation.remaining_rms` at each group's fan-in.

    Example:
        >>> from neurosim import circuits
        >>> remainders(circuits.load("digits-fc").with_sharing("untied", NoiseRelaxation(presentations=256)))
        {'fc1->fc2': 0.606, 'fc2->output': 0.366}
    """
    return {
        name: group.relaxation.remaining_rms(group.connectivity.fan_in(circuit.populations[group.pre].shape))
        for name, group in circuit.groups.items()
        if group.rule is not None and isinstance(group.relaxation, NoiseRelaxation)
    }
