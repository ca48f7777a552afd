"""The forward pass of all K components at once (vectorization ``group``)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from attrs import define, field, frozen
from torch import Tensor

from neurosim.circuit import INPUT, OUTPUT, Circuit
from neurosim.connectivity.base import empty_in_order_of
from neurosim.errors import UnknownNameError
from neurosim.gates import Gate
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

    def __or__(self, other: Keep) -> Keep:
        return Keep(
            self.activations | other.activations,
            self.gates | other.gates,
            self.pre_activations | other.pre_activations,
        )


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


@define(repr=False)
class Activity:
    """What a forward pass left behind; ``activity["f1"]`` is short for ``activity.activations["f1"]``, and so are
    ``in``, ``len`` and iteration over the names.

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

    def __getitem__(self, population: str) -> Tensor:
        """``a`` of a population, as far as it was kept; unknown names list those kept."""
        if population not in tuple(self.activations):
            raise UnknownNameError("population whose activation was kept", population, self.activations)
        return self.activations[population]

    def __contains__(self, population: object) -> bool:
        return population in tuple(self.activations)

    def __iter__(self) -> Iterator[str]:
        return iter(self.activations)

    def __len__(self) -> int:
        return len(self.activations)

    def __bool__(self) -> bool:
        return True  # a pass of which nothing but the output was kept is one all the same

    def __repr__(self) -> str:
        tables = {"a": self.activations, "G": self.gates, "h": self.pre_activations}
        rows = [f"  {name} of {p}: {_brief(t)}" for name, table in tables.items() for p, t in table.items()]
        return "\n".join([f"<Activity: output {_brief(self.output)}, {len(rows)} tensors kept>", *rows])

    @classmethod
    def joined(cls, parts: Iterable[Activity], batch: int) -> Activity:
        """The activity of a batch from that of its slices, in their order.

        Each is copied at once, while it is in cache; then its memory serves the next slice. Joining all slices at the
        end would read them from memory again and hold every activity twice.
        """
        whole, start = None, 0
        for part in parts:
            if len(part.output) == batch:
                return part
            if whole is None:
                whole = part.with_room_for(batch)
            whole.put(start, part)
            start += len(part.output)
            del part
        assert whole is not None
        return whole

    def with_room_for(self, batch: int) -> Activity:
        """Empty tensors for a whole batch, of which this is a slice."""
        return Activity(
            output=_room(self.output, batch),
            activations={name: _room(tensor, batch) for name, tensor in self.activations.items()},
            gates={name: _room(tensor, batch) for name, tensor in self.gates.items()},
            pre_activations={name: _room(tensor, batch) for name, tensor in self.pre_activations.items()},
        )

    def put(self, start: int, part: Activity) -> None:
        """Copy a slice of the batch, from example ``start`` on, into its place."""
        examples = slice(start, start + len(part.output))
        self.output[examples] = part.output
        for mine, theirs in (
            (self.activations, part.activations),
            (self.gates, part.gates),
            (self.pre_activations, part.pre_activations),
        ):
            for name, tensor in theirs.items():
                mine[name][examples] = tensor


class ForwardPass:
    """The order in which populations are computed, and when each one's activity is no longer needed."""

    def __init__(self, circuit: Circuit, synapses: Mapping[str, Synapses], tensors: CircuitTensors) -> None:
        self.circuit = circuit
        self.biases = tensors.biases
        self.gate_constants = {name: tensors.gate_constants(name) for name in circuit.populations}
        self.populations = circuit.populations
        self.order = [name for name in circuit.order if name != INPUT]
        self.incoming = {name: [synapses[group.name] for group in circuit.into(name)] for name in self.order}
        self._released = released(circuit, self.order)
        self._largest = max(p.units * (1 if p.scalar else circuit.K) for p in self.populations.values())

    def run(self, images: Tensor, keep: Keep, perturbation: Perturbation | None = None) -> Activity:
        """Compute the output for ``images`` ``(batch, *inputs)``, keeping what ``keep`` names."""
        size = self._slice(images)
        perturbations = (
            None if perturbation is None else perturbation.part(start, size) for start in range(0, len(images), size)
        )
        parts = (
            self._run_slice(part, keep, disturbed)
            for part, disturbed in zip(images.split(size), perturbations, strict=True)
        )
        return Activity.joined(parts, len(images))

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
                is_open = perturbation.gates[name] if perturbation else self._open(name, gate, h, live)
                if name in keep.gates:
                    activity.gates[name] = is_open
                mask = is_open.unsqueeze(1)
                a = h * mask if name in keep.pre_activations else h.mul_(mask)  # Eq. 7
            else:
                a = h
            live[name] = a
            if name in keep.activations:
                activity.activations[name] = a
            for finished in self._released[name]:
                del live[finished]
        activity.output = live[OUTPUT]
        return activity

    def _open(self, name: str, gate: Gate, h: Tensor, live: Mapping[str, Tensor]) -> Tensor:
        """``G``, from the pre-activations or from the population that the gate listens to."""
        context = () if gate.listens_to is None else (live[gate.listens_to],)
        return gate.open(self.gate_constants[name], h, *context)

    def _drive(self, name: str, live: Mapping[str, Tensor], bias: Tensor | None) -> Tensor:
        """``h``: the sum of what all groups into ``name`` deliver, and the bias (Eq. 6)."""
        first, *others = self.incoming[name]
        h = first.drive(live[first.group.pre])
        for synapses in others:
            h = h.add_(synapses.drive(live[synapses.group.pre]))
        if bias is not None:
            h = h.add_(bias.reshape(*bias.shape, *[1] * (h.ndim - 1 - bias.ndim)))
        return h


def _brief(tensor: Tensor) -> str:
    return f"{tuple(tensor.shape)} {str(tensor.dtype).removeprefix('torch.')}"


def _room(part: Tensor, batch: int) -> Tensor:
    """An empty tensor for a whole batch in the memory order of ``part``, a slice of it."""
    return empty_in_order_of(part, (batch, *part.shape[1:]))


def released(circuit: Circuit, order: list[str]) -> dict[str, list[str]]:
    """Population -> the populations that nothing listens to after it."""
    last: dict[str, str] = {}
    for name in order:
        gate = circuit.populations[name].gate
        heard = [group.pre for group in circuit.into(name)]
        heard += [gate.listens_to] if gate is not None and gate.listens_to is not None else []
        last |= dict.fromkeys(heard, name)
    return {name: [heard for heard, listener in last.items() if listener == name] for name in order}
