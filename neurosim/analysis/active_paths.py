"""Appendix C's assumption on a batch: from every open unit an active path of nonzero weights leads to the output."""

from __future__ import annotations

import torch
from attrs import frozen
from torch import Tensor

from neurosim.circuit import OUTPUT
from neurosim.guarantees import Condition
from neurosim.simulator import Simulator

_NAME = "active paths (Appendix C)"


@frozen
class ActivePaths:
    """Units without an active path, counted over the examples of a batch.

    A closed unit needs none: its update and its gradient are both 0. An open unit without a path has a gradient of 0
    while GEVB changes its weights, to the sign that the gradient would have had; nothing is opposed.

    Attributes:
        missing: hidden population -> share of its open units, over all examples, that have no active path.
        condition: the assumption as a condition of the theorem.
    """

    missing: dict[str, float]
    condition: Condition


@torch.no_grad()
def active_paths(simulator: Simulator, images: Tensor) -> ActivePaths:
    """Which open units of the hidden populations have no active path to the output.

    Args:
        simulator: whose weights and gates.
        images: as in :meth:`Simulator.forward`.

    Example:
        >>> from neurosim import circuits
        >>> from neurosim.datasets import load_dataset
        >>> images = load_dataset("digits").train.first(8).images
        >>> print(active_paths(Simulator(circuits.load("digits-fc")), images).condition.reason)
        open units without an active path: 50.0 % of 'fc2'
    """
    circuit, gates = simulator.circuit, simulator.forward(images, keep="all").gates
    reached: dict[str, Tensor] = {}
    for name in reversed(circuit.order):
        population = circuit.populations[name]
        if population.scalar:
            continue
        if name == OUTPUT:
            first = next(iter(simulator.weights.values()))
            reached[name] = first.new_ones(len(images), *population.shape)
            continue
        total: Tensor | None = None
        for group in circuit.out_of(name):
            signal = reached[group.post]
            open_only = signal * gates[group.post] if group.post in gates else signal
            carried = group.connectivity.transpose(_present(simulator, group.name), open_only, population.shape)
            total = carried if total is None else total + carried
        assert total is not None or not circuit.out_of(name)
        if total is not None:
            reached[name] = (total > 0).to(total.dtype)  # 0 or 1 everywhere, so that long paths do not overflow
    hidden = [p.name for p in circuit.populations.values() if p.relay_of is None and p.name in reached]
    missing = {name: _missing(reached[name], gates.get(name)) for name in hidden if name != OUTPUT}
    return ActivePaths(missing, _condition(missing))


def _present(simulator: Simulator, group: str) -> Tensor | None:
    """1 where a synapse has weight, for all components of an untied group; None for a relay's pooling."""
    described = simulator.circuit.groups.get(group)
    if described is None:
        return None
    present = simulator.weights[group] != 0
    return (present.all(0) if described.untied else present).to(simulator.weights[group].dtype)


def _missing(reached: Tensor, gate: Tensor | None) -> float:
    opened = gate if gate is not None else torch.ones_like(reached)
    units = float(opened.sum(dtype=torch.float64))
    return float((opened * (1 - reached)).sum(dtype=torch.float64)) / units if units else 0.0


def _condition(missing: dict[str, float]) -> Condition:
    found = [f"{_percent(share)} of '{name}'" for name, share in missing.items() if share > 0]
    if not found:
        return Condition(_NAME, True, "every open unit has one in every example")
    return Condition(_NAME, False, f"open units without an active path: {', '.join(found)}")


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %" if share >= 0.001 else f"{100 * share:.1g} %"
