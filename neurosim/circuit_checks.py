"""What a circuit refuses, each with the place, what was found and what would fit."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import attrs
import networkx as nx
import torch

from neurosim.errors import CircuitError, UnknownNameError
from neurosim.gates import Gate
from neurosim.plasticity import NEEDS, CreditForm, PlasticityRule
from neurosim.populations import SHARINGS, Population, SynapseGroup, site_of

if TYPE_CHECKING:
    from neurosim.circuit import Circuit

#: sign -> what draws weights for it
_INITIALIZERS_FOR = {
    "mixed": "He(), OnOff() or Zeros()",
    "nonnegative": "OnOff() past the first layer, HalfNormal() or Zeros()",
    "nonpositive": "HalfNormal() or Zeros()",
}


@contextmanager
def at(place: str) -> Iterator[None]:
    """Say where a :class:`CircuitError` happened."""
    try:
        yield
    except CircuitError as error:
        raise CircuitError(f"{place}: {error}") from error


def refuse_gate(circuit: Circuit, population: Population, gate: Gate) -> None:
    """Raise where a gate cannot serve a population, or cannot hear what it listens to."""
    populations, source = circuit.populations, gate.listens_to
    with at(f"population '{population.name}'"):
        gate.check_components(circuit.K)
        if source is None:
            gate.check(population.shape[0])
            return
        scalar = [name for name, other in populations.items() if other.scalar]
        if source not in populations:
            raise UnknownNameError(f"source of the gate of '{population.name}'", source, scalar)
        if not populations[source].scalar:
            raise CircuitError(
                f"{gate} listens to '{source}', whose units are vectors that depend on pre-activations; expected a "
                f"scalar population, one of: {', '.join(scalar)}"
            )
        gate.check(population.shape[0], populations[source].shape)


def refuse_misplaced(graph: nx.MultiDiGraph[str], group: SynapseGroup, post: Population) -> None:
    """Raise where ``group`` may not run: without weights, into the input or a relay, out of the output, in a cycle."""
    name = group.name
    if not group.connectivity.has_weights:
        raise CircuitError(f"group '{name}': {group.connectivity} has no weights; use relay()")
    if post.scalar or post.relay_of is not None:
        reason = f"is a relay of '{post.relay_of}'" if post.relay_of is not None else "is the input"
        raise CircuitError(f"group '{name}': '{post.name}' {reason} and takes no synapses")
    if group.pre == "output":
        raise CircuitError(f"group '{name}': 'output' is the readout and has no synapses onto others")
    if nx.has_path(graph, post.name, group.pre):
        path = " -> ".join([*nx.shortest_path(graph, post.name, group.pre), post.name])
        raise CircuitError(f"group '{name}' would close the cycle {path}; circuits are acyclic")


def fitted(group: SynapseGroup, pre: Population, post: Population) -> Population:
    """``post`` with its shape inferred where it was left open; an error where it does not fit."""
    with at(f"group '{group.name}'"):
        made = group.connectivity.post_shape(pre.shape, post.shape[0])
    if made == post.shape or (post.shape_open and len(made) == 3):
        return attrs.evolve(post, shape=made, shape_open=False)
    raise CircuitError(
        f"group '{group.name}': {group.connectivity} makes {made} from '{pre.name}' {pre.shape}, but "
        f"'{post.name}' has the shape {post.shape}; give '{post.name}' the shape {made} or change the connectivity"
    )


def refuse_misfit(circuit: Circuit, group: SynapseGroup, pre: Population, post: Population) -> None:
    """Raise where the initializer, the sign or the rule of ``group`` cannot apply."""
    possible = group.init.signs(pre.scalar)
    if group.sign not in possible:
        raise CircuitError(
            f"group '{group.name}': {group.init} draws weights for sign={' or '.join(map(repr, possible))} here, "
            f"not for sign='{group.sign}'; use {_INITIALIZERS_FOR[group.sign]}"
        )
    with at(f"group '{group.name}'"):
        group.init.check(site_of(group, pre, post, circuit.K, 1))
    if not type(group.connectivity).__module__.startswith("neurosim."):
        _refuse_broken_map(circuit, group, pre, post)
    if group.rule is not None:
        _refuse_undeclared(circuit, group, group.rule)
    if group.rule is not None and (reason := group.rule.refusal(circuit, group)) is not None:
        raise CircuitError(f"group '{group.name}': the rule {group.rule} cannot apply: {reason}")


def refuse_missharing(circuit: Circuit, group: SynapseGroup, pre: Population) -> None:
    """Raise where the weights of ``group`` cannot be untied, or where there is nothing to relax."""
    where, relaxation = f"group '{group.name}'", group.relaxation
    if group.sharing not in SHARINGS:
        raise UnknownNameError(f"sharing for group '{group.name}'", str(group.sharing), SHARINGS)
    if circuit.K == 1 and (group.untied or relaxation is not None):
        given = "sharing='untied'" if group.untied else f"relaxation={relaxation}"
        other = f", or use K={circuit.readout.length}" if circuit.readout.length > 1 else ""
        raise CircuitError(
            f"{where}: {given} is for vector units; with K = 1 a pair of units has one synapse; leave it out{other}"
        )
    if pre.scalar and group.untied:
        raise CircuitError(
            f"{where}: synapses from scalar units ('{pre.name}') have weights of their own for every component in any "
            f"case; leave out sharing='untied'"
        )
    if pre.scalar and relaxation is not None:
        raise CircuitError(
            f"{where}: {relaxation} would make the components of a unit equal; synapses from scalar units "
            f"('{pre.name}') are meant to differ between components; leave out relaxation="
        )
    if not group.untied and relaxation is not None:
        raise CircuitError(
            f"{where}: {relaxation} draws the {circuit.K} weights of an untied group together, but this group is tied "
            f"and has one; use sharing='untied', or leave out relaxation="
        )


def _refuse_broken_map(circuit: Circuit, group: SynapseGroup, pre: Population, post: Population) -> None:
    """Run another package's ``forward`` on tensors without numbers, so that a wrong shape shows where it is made."""
    maps, lead = group.connectivity, (3, 2)
    try:
        weight = torch.empty(maps.weight_shape(pre.shape, post.shape), device="meta")
        drive = maps.forward(weight, torch.empty(*lead, *pre.shape, device="meta"), pre.shape)
    except (RuntimeError, TypeError, ValueError, IndexError) as error:
        raise CircuitError(
            f"group '{group.name}': {maps}.forward failed for activity {(*lead, *pre.shape)}, two leading axes and "
            f"'{pre.name}': {error}"
        ) from error
    if tuple(drive.shape) != (*lead, *post.shape):
        raise CircuitError(
            f"group '{group.name}': {maps}.forward must make {(*lead, *post.shape)}, two leading axes and "
            f"'{post.name}', from activity {(*lead, *pre.shape)}; it made {tuple(drive.shape)}"
        )


def _refuse_undeclared(circuit: Circuit, group: SynapseGroup, rule: PlasticityRule) -> None:
    """Raise where a rule declares something that does not exist."""
    if not isinstance(rule.form(circuit), CreditForm):
        raise CircuitError(
            f"group '{group.name}': {rule}.form(circuit) must return a CreditForm, got {rule.form(circuit)!r}"
        )
    for need in rule.needs:
        if need not in NEEDS:
            raise UnknownNameError(f"need of {rule}", need, NEEDS)


def refuse_incomplete(circuit: Circuit) -> None:
    """Raise unless every population hears the input, reaches the output, and knows how its bias learns."""
    for loose in loose_ends(circuit):
        raise CircuitError(loose)
    for name in circuit.populations:
        _refuse_bias_rule(circuit, name)


def loose_ends(circuit: Circuit) -> list[str]:
    """Which populations do not hear the input, or have no way to the output, each with what would mend it."""
    deaf = [name for name in circuit.populations if name != "input" and not circuit.into(name)]  # there are no cycles
    found = [f"population '{name}' has no input; connect() a group into it" for name in deaf]
    sources = {p.gate.listens_to for p in circuit.populations.values() if p.gate is not None}
    for name in circuit.populations:
        heard = nx.descendants(circuit.graph, name) | {name}
        if "output" not in heard and not heard & sources:
            found.append(
                f"population '{name}' has no way to 'output'; connect() it to 'output' or to another population"
            )
    return found


def _refuse_bias_rule(circuit: Circuit, population: str) -> None:
    """Raise where a bias does not know how it learns, or by a rule that cannot apply."""
    if (rule := circuit.bias_rule(population)) is None or population == "output":  # exact there, by whatever rule
        return
    for group in circuit.into(population):
        if (reason := rule.refusal(circuit, group)) is not None:
            raise CircuitError(f"population '{population}': bias_rule={rule} cannot apply: {reason}")
