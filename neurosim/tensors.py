"""All tensors of a circuit on one device, by kind and name."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import chain

import torch
from attrs import define
from torch import Tensor

from neurosim.circuit import Circuit
from neurosim.parameters import arranged, draw_biases, draw_feedback, draw_gates, draw_weights

KINDS = ("weights", "biases", "gates", "feedback")


@define
class CircuitTensors:
    """What a simulator computes with.

    Attributes:
        weights: group -> ``(K, *weight)`` from scalar units and of untied groups, else ``weight``; arranged as the
            connectivity likes it.
        biases: population -> ``(K, *units)`` or ``(K, channels)``.
        gates: ``"population/constant"`` -> constant of a gate.
        feedback: ``"pathway/group"`` or ``"rule/population/constant"`` -> what feedback pathways and rules drew.
    """

    weights: dict[str, Tensor]
    biases: dict[str, Tensor]
    gates: dict[str, Tensor]
    feedback: dict[str, Tensor]

    @classmethod
    def draw(cls, circuit: Circuit, seed: int, device: torch.device, dtype: torch.dtype) -> CircuitTensors:
        """The initial tensors, drawn on the cpu in float64 and then moved."""
        drawn = cls(
            draw_weights(circuit, seed), draw_biases(circuit), draw_gates(circuit, seed), draw_feedback(circuit, seed)
        )
        return drawn.copied(circuit, device, dtype)

    def copied(self, circuit: Circuit, device: torch.device, dtype: torch.dtype) -> CircuitTensors:
        """A copy on ``device``, everything in ``dtype`` and in the memory order of its connectivity."""
        groups = circuit.groups

        def moved(table: Mapping[str, Tensor]) -> dict[str, Tensor]:
            return {name: tensor.to(device, dtype, copy=True) for name, tensor in table.items()}

        weights = {
            name: arranged(groups[name], circuit.site(groups[name]), tensor.to(device, dtype))
            for name, tensor in self.weights.items()
        }
        return CircuitTensors(weights, moved(self.biases), moved(self.gates), moved(self.feedback))

    def flat(self) -> dict[str, Tensor]:
        """``KIND/NAME`` -> tensor."""
        tables = ([(f"{kind}/{name}", t) for name, t in getattr(self, kind).items()] for kind in KINDS)
        return dict(chain.from_iterable(tables))

    def gate_constants(self, population: str) -> dict[str, Tensor]:
        """The constants of one population's gate."""
        prefix = f"{population}/"
        return {name.removeprefix(prefix): t for name, t in self.gates.items() if name.startswith(prefix)}
