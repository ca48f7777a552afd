"""The tensors that a circuit starts with, drawn on the cpu from named streams."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import attrs
import networkx as nx
import torch
from torch import Tensor

from neurosim.circuit import Circuit
from neurosim.circuit_checks import at
from neurosim.connectivity import Shape
from neurosim.errors import CircuitError
from neurosim.feedback import Feedback
from neurosim.gates import Gate
from neurosim.initializers import Site
from neurosim.plasticity import PlasticityRule, rules_by_population
from neurosim.populations import Population, SynapseGroup
from neurosim.streams import stream


def draw_weights(circuit: Circuit, seed: int) -> dict[str, Tensor]:
    """Initial weights by group, float64 on the cpu: ``(K, *weight)`` from scalar units and untied, else ``weight``."""
    drawn = {}
    for name, group in circuit.groups.items():
        weight = group.init.draw(circuit.site(group), stream(seed, "weights", name))
        drawn[name] = _copied_if_untied(circuit, group, weight)
    return drawn


def _copied_if_untied(circuit: Circuit, group: SynapseGroup, drawn: Tensor) -> Tensor:
    """What was drawn as for a tied group, for every component; so untied circuits start where tied ones do."""
    return drawn.expand(circuit.K, *drawn.shape).clone() if group.untied else drawn


def draw_biases(circuit: Circuit) -> dict[str, Tensor]:
    """Biases by population; they start at 0."""
    return {
        name: torch.zeros(bias_shape(population, circuit.K), dtype=torch.float64, device="cpu")
        for name, population in circuit.populations.items()
        if population.bias is not None
    }


def draw_gates(circuit: Circuit, seed: int) -> dict[str, Tensor]:
    """The constants of every gate, as ``"population/constant"``."""
    drawn: dict[str, Tensor] = {}
    for name, population in circuit.populations.items():
        if (gate := population.gate) is not None:
            heard = gate.listens_to
            source = () if heard is None else (circuit.populations[heard].shape,)
            draw = partial(gate.draw, circuit.K, population.shape[0], stream(seed, "gate", name), *source)
            if type(gate).__module__.startswith("neurosim."):
                constants = draw()
            else:
                constants = _constants_of(gate, draw, name)
                _refuse_broken_gate(gate, constants, (circuit.K, *population.shape), name, source)
            drawn |= {f"{name}/{key}": tensor for key, tensor in constants.items()}
    return drawn


def _constants_of(gate: Gate, draw: Callable[[], dict[str, Tensor]], name: str) -> dict[str, Tensor]:
    """What another package's gate draws.

    Raises:
        CircuitError: it fails, or gives no tensors by name.
    """
    where = f"population '{name}': {gate}.draw(components, channels, generator)"
    try:
        constants = draw()
    except Exception as error:  # whatever a stranger's code raises
        raise CircuitError(f"{where} failed: {error!r}") from error
    named = isinstance(constants, dict) and all(isinstance(key, str) for key in constants)
    if not named or not all(isinstance(value, Tensor) for value in constants.values()):
        raise CircuitError(f"{where} must give the constants as a dict, name -> tensor; got {constants!r}")
    return constants


def _refuse_broken_gate(
    gate: Gate, constants: dict[str, Tensor], shape: Shape, name: str, source: tuple[Shape, ...]
) -> None:
    """Open another package's gate once, for two examples, so that a wrong ``G`` shows before there is a step to slow.

    Raises:
        CircuitError: ``open`` fails, or gives a ``G`` of another shape or dtype, one that is (part of) ``h``, or an
            ``h`` that was written to.
    """

    def ones(*extents: int) -> Tensor:
        return torch.ones(extents, dtype=torch.float64, device="cpu")

    where, h = f"population '{name}': {gate}.open(constants, h)", ones(2, *shape)
    before = h._version
    try:
        opened = gate.open(constants, h, *(ones(2, *heard) for heard in source))
    except Exception as error:  # whatever a stranger's code raises
        raise CircuitError(f"{where} failed for h of the shape {(2, *shape)}, (batch, K, *units): {error!r}") from error
    wanted = (2, *shape[1:])
    if not isinstance(opened, Tensor) or tuple(opened.shape) != wanted or opened.dtype != h.dtype:
        found = f"{tuple(opened.shape)} of {opened.dtype}" if isinstance(opened, Tensor) else repr(opened)
        raise CircuitError(
            f"{where} must give G, one number per unit, {wanted} of {h.dtype} for h {(2, *shape)}, (batch, K, *units); "
            f"got {found}"
        )
    if h._version != before or opened.untyped_storage()._cdata == h.untyped_storage()._cdata:
        raise CircuitError(
            f"{where} must leave h as it is and give a new tensor G, piecewise constant in h, but it "
            f"{'changed h' if h._version != before else 'gave h itself, or a view of it'}; the engine makes a = G(h) h"
        )


def draw_feedback(circuit: Circuit, seed: int) -> dict[str, Tensor]:
    """What feedback pathways and rules need: ``"pathway/group"`` and ``"rule/population/constant"``.

    A pathway is drawn for every group on a way from the output down to a population whose rule listens to it, whatever
    that group's own rule; pathways that are equal are one.
    """
    drawn: dict[str, Tensor] = {}
    owners: dict[str, Feedback | PlasticityRule] = {}
    for population, rule in rules_by_population(circuit):
        for feedback in rule.pathways:
            _claim(owners, feedback.label, feedback)
            for group in _groups_after(circuit, population):
                if not feedback.redrawn and f"{feedback.label}/{group.name}" not in drawn:
                    constants = draw_pathway(circuit, seed, feedback, group)
                    drawn |= {} if constants is None else {f"{feedback.label}/{group.name}": constants}
        state = rule.draw(circuit, population, partial(stream, seed, "feedback", rule.label))
        if state:
            _claim(owners, rule.label, rule)
        drawn |= {f"{rule.label}/{population.name}/{key}": tensor for key, tensor in state.items()}
    return drawn


def draw_pathway(
    circuit: Circuit, seed: int, feedback: Feedback, group: SynapseGroup, step: int | None = None
) -> Tensor | None:
    """The constants of a pathway for one group; of a redrawn one those of a step."""
    names = ("feedback", feedback.label, group.name) if step is None else ("feedback", feedback.label, group.name, step)
    with at(f"group '{group.name}'"):
        drawn = feedback.draw(group.init, circuit.site(group), stream(seed, *names))
    return None if drawn is None else _copied_if_untied(circuit, group, drawn)


def bias_shape(population: Population, components: int) -> tuple[int, ...]:
    """``(K, *units)``, per channel ``(K, channels)``."""
    shape = population.shape[:1] if population.bias == "channel" else population.shape
    return (components, *shape)


def arranged(group: SynapseGroup, site: Site, weight: Tensor) -> Tensor:
    """A copy of ``weight`` in the memory order that the group's connectivity runs fastest on."""
    copy = weight.clone()
    if copy.ndim == len(site.weight_shape):
        return group.connectivity.arrange(copy)
    unfolded: Tensor = group.connectivity.arrange(copy.flatten(0, 1)).unflatten(0, (len(copy), -1))
    return unfolded


def _groups_after(circuit: Circuit, population: Population) -> list[SynapseGroup]:
    """The groups with weights on any way from ``population`` to the output."""
    below = nx.descendants(circuit.graph, population.name) | {population.name}
    return [group for group in circuit.groups.values() if group.pre in below]


def _claim(owners: dict[str, Feedback | PlasticityRule], label: str, owner: Feedback | PlasticityRule) -> None:
    """Two that differ may not keep their constants under one name."""
    if owners.setdefault(label, owner) != owner:
        raise CircuitError(
            f"{owners[label]} and {owner} would both keep their feedback under the name '{label}'; {_renamed(owner)}"
        )


def _renamed(owner: Feedback | PlasticityRule) -> str:
    kind = type(owner)
    if attrs.has(kind) and any(each.name == "name" for each in attrs.fields(kind)):
        return "give one another name="
    return (
        f"{kind.__name__} has no name= to tell them apart, so use one of the two everywhere, or give the class a field "
        f"name: str that its property label returns, as DFA has"
    )
