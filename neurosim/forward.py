"""The forward pass of all K components at once (vectorization ``group``)."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from attrs import define, field, frozen
from torch import Tensor

from neurosim.circuit import INPUT, OUTPUT, Circuit
from neurosim.synapses import Synapses
from neurosim.tensors import CircuitTensors

#: On the cpu a batch runs in slices whose largest activity has about this many bytes: it stays in cache, and memory
#: is reused instead of being asked of the system again (the allocator keeps blocks up to 32 MiB).
_SLICE_BYTES = 16 * 2**20


@frozen
class Keep:
    """Which tensors of a forward pass are kept, by population; everything else is freed as soon as it is used."""

    activations: frozenset[str] = frozenset()
    gates: frozenset[str] = frozenset()
    pre_activations: frozenset[str] = frozenset()


@frozen(eq=False)
class Perturbation:
    """Noise on the pre-activations of some populations, ``(batch, K, *units)``, while all gates are held."""

    noise: Mapping[str, Tensor]
    gates: Mapping[str, Tensor]

    def part(self, start: int, size: int) -> Perturbation:
        """Of the examples from ``start`` on, at most ``size``."""
        examples = slice(start, start + size)
        return Perturbation(
            {name: noise[examples] for name, noise in self.noise.items()},
            {name: gate[examples] for name, gate in self.gates.items()},
        )


@define
class Activity:
    """What a forward pass left behind.

    Attributes:
        output: ``(batch, K, *output units)``.
        activations: population -> ``(batch, K, *units)``; scalar populations ``(batch, *units)``.
        gates: population -> ``G`` ``(batch, *units)``; populations without a gate have none.
        pre_activations: population -> ``h`` ``(batch, K, *units)``.
    """

    output: Tensor
    activations: dict[str, Tensor] = field(factory=dict)
    gates: dict[str, Tensor] = field(factory=dict)
    pre_activations: dict[str, Tensor] = field(factory=dict)


class ForwardPass:
    """The order in which populations are computed, and when each one's activity is no longer needed."""

    def __init__(self, circuit: Circuit, synapses: Mapping[str, Synapses], tensors: CircuitTensors) -> None:
        self.circuit = circuit
        self.biases = tensors.biases
        self.gate_constants = {name: tensors.gate_constants(name) for name in circuit.populations}
        self.populations = circuit.populations
        self.order = [name for name in circuit.order if name != INPUT]
        self.incoming = {name: [synapses[group.name] for group in circuit.into(name)] for name in self.order}
        self._last_listener = {}
        for name in self.order:
            for group in circuit.into(name):
                self._last_listener[group.pre] = name
        self._largest = max(p.units * (1 if p.scalar else circuit.K) for p in self.populations.values())

    def run(self, images: Tensor, keep: Keep, perturbation: Perturbation | None = None) -> Activity:
        """Compute the output for ``images`` ``(batch, *inputs)``, keeping what ``keep`` names."""
        size = self._slice(images)
        starts = range(0, len(images), size)
        perturbations = [None if perturbation is None else perturbation.part(start, size) for start in starts]
        parts = [
            self._run_slice(part, keep, disturbed)
            for part, disturbed in zip(images.split(size), perturbations, strict=True)
        ]
        if len(parts) == 1:
            return parts[0]
        return Activity(
            output=_cat_batch([part.output for part in parts]),
            activations=_joined([part.activations for part in parts]),
            gates=_joined([part.gates for part in parts]),
            pre_activations=_joined([part.pre_activations for part in parts]),
        )

    def _slice(self, images: Tensor) -> int:
        if images.device.type != "cpu":
            return max(1, len(images))
        return max(8, _SLICE_BYTES // (self._largest * images.element_size()))

    def _run_slice(self, images: Tensor, keep: Keep, perturbation: Perturbation | None) -> Activity:
        live, activity = {INPUT: images}, Activity(output=images)
        if INPUT in keep.activations:
            activity.activations[INPUT] = images
        for name in self.order:
            h = self._drive(name, live, self.biases.get(name))
            if perturbation is not None and name in perturbation.noise:
                h = h.add_(perturbation.noise[name])
            if name in keep.pre_activations:
                activity.pre_activations[name] = h
            gate = self.populations[name].gate
            if gate is not None:
                is_open = perturbation.gates[name] if perturbation else gate.open(self.gate_constants[name], h)
                if name in keep.gates:
                    activity.gates[name] = is_open
                mask = is_open.unsqueeze(1)
                a = h * mask if name in keep.pre_activations else h.mul_(mask)  # Eq. 7
            else:
                a = h
            live[name] = a
            if name in keep.activations:
                activity.activations[name] = a
            for synapses in self.incoming[name]:
                if self._last_listener[synapses.group.pre] == name:
                    live.pop(synapses.group.pre, None)
        activity.output = live[OUTPUT]
        return activity

    def _drive(self, name: str, live: Mapping[str, Tensor], bias: Tensor | None) -> Tensor:
        """``h``: the sum of what all groups into ``name`` deliver, and the bias (Eq. 6)."""
        first, *others = self.incoming[name]
        h = first.drive(live[first.group.pre])
        for synapses in others:
            h = h.add_(synapses.drive(live[synapses.group.pre]))
        if bias is not None:
            h = h.add_(bias.reshape(*bias.shape, *[1] * (h.ndim - 1 - bias.ndim)))
        return h


def _joined(parts: list[dict[str, Tensor]]) -> dict[str, Tensor]:
    return {name: _cat_batch([part[name] for part in parts]) for name in parts[0]}


def _cat_batch(parts: list[Tensor]) -> Tensor:
    """``torch.cat`` along the batch that keeps the memory order of the parts, which torch would make contiguous."""
    order = sorted(range(parts[0].ndim), key=parts[0].stride, reverse=True)
    joined = torch.cat([part.permute(order) for part in parts], dim=order.index(0))
    return joined.permute([order.index(axis) for axis in range(len(order))])
