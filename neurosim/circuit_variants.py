"""Copies of a circuit whose groups learn by other rules, or share their weights otherwise."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import attrs

from neurosim.circuit_checks import refuse_misfit, refuse_missharing
from neurosim.errors import CircuitError
from neurosim.plasticity import PlasticityRule
from neurosim.populations import SHARINGS, SynapseGroup
from neurosim.relaxation import WeightRelaxation

if TYPE_CHECKING:
    from neurosim.circuit import Circuit


def with_rules(
    circuit: Circuit, rules: PlasticityRule | None | Mapping[str, PlasticityRule | None], *, frozen_too: bool
) -> Circuit:
    """A copy whose learning groups use other rules; see :meth:`neurosim.circuit.Circuit.with_rules`."""
    if not isinstance(rules, Mapping | PlasticityRule | None):
        raise CircuitError(f"with_rules: expected a rule such as GEVB(), None, or GROUP -> rule, got {rules!r}")
    chosen: dict[str, PlasticityRule | None]
    if isinstance(rules, Mapping):
        chosen = {circuit.group(name).name: rule for name, rule in rules.items()}
    else:
        chosen = {g.name: rules for g in circuit.groups.values() if g.rule is not None or frozen_too}
    twin = circuit.copy()
    for name, rule in chosen.items():
        group = attrs.evolve(circuit.group(name), rule=rule)
        refuse_misfit(twin, group, circuit.populations[group.pre], circuit.populations[group.post])
        _replace(twin, group)
    for name, population in twin.populations.items():
        # an explicit bias_rule follows one rule for all, and does not outlive the freezing of all groups
        frozen = all(group.rule is None for group in twin.into(name))
        if isinstance(population.bias_rule, PlasticityRule) and (not isinstance(rules, Mapping) or frozen):
            twin.graph.nodes[name]["population"] = attrs.evolve(population, bias_rule="shared")
    return twin


def with_sharing(circuit: Circuit, sharing: str, relaxation: WeightRelaxation | None) -> Circuit:
    """A copy with tied or untied groups between vector units; see :meth:`neurosim.circuit.Circuit.with_sharing`."""
    if sharing not in SHARINGS:
        raise CircuitError(
            f"with_sharing: expected 'tied' or 'untied', for all groups between vector units, got {sharing!r}; "
            f"single groups are given theirs by connect(..., sharing=...)"
        )
    twin = circuit.copy()
    for group in circuit.groups.values():
        if not circuit.populations[group.pre].scalar:
            changed = attrs.evolve(group, sharing=sharing, relaxation=relaxation)
            refuse_missharing(twin, changed, circuit.populations[group.pre])
            _replace(twin, changed)
    return twin


def _replace(circuit: Circuit, group: SynapseGroup) -> None:
    circuit.graph.edges[group.pre, group.post, group.name]["group"] = group
