"""The tensors that a circuit starts with, drawn on the cpu from named streams."""

from __future__ import annotations

import torch
from torch import Tensor

from neurosim.circuit import Circuit
from neurosim.initializers import Site
from neurosim.populations import Population, SynapseGroup
from neurosim.streams import stream


def draw_weights(circuit: Circuit, seed: int) -> dict[str, Tensor]:
    """Initial weights by group, float64 on the cpu: ``(K, *weight)`` from scalar units, else ``weight``."""
    drawn = {}
    for name, group in circuit.groups.items():
        drawn[name] = group.init.draw(circuit.site(group), stream(seed, "weights", name))
    return drawn


def draw_biases(circuit: Circuit) -> dict[str, Tensor]:
    """Biases by population; they start at 0."""
    return {
        name: torch.zeros(bias_shape(population, circuit.K), dtype=torch.float64, device="cpu")
        for name, population in circuit.populations.items()
        if population.bias is not None
    }


def draw_gates(circuit: Circuit, seed: int) -> dict[str, dict[str, Tensor]]:
    """The constants of every gate, by population and name."""
    return {
        name: population.gate.draw(circuit.K, population.shape[0], stream(seed, "gate", name))
        for name, population in circuit.populations.items()
        if population.gate is not None
    }


def bias_shape(population: Population, components: int) -> tuple[int, ...]:
    """``(K, *units)``, per channel ``(K, channels)``."""
    shape = population.shape[:1] if population.bias == "channel" else population.shape
    return (components, *shape)


def arranged(group: SynapseGroup, site: Site, weight: Tensor) -> Tensor:
    """A copy of ``weight`` in the memory order that the group's connectivity runs fastest on."""
    copy = weight.clone()
    if site.copies is None:
        return group.connectivity.arrange(copy)
    unfolded: Tensor = group.connectivity.arrange(copy.flatten(0, 1)).unflatten(0, (site.copies, -1))
    return unfolded
