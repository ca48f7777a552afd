"""The forward pass in time (vectorization ``temporal``): one component of all units per time bin.

What there is of a hidden population at any moment is its activity in one bin, ``(batch, *units)``, and its gates, of
the same size. Nothing here holds K of them, unless somebody asks to record them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

import networkx as nx
import torch
from attrs import define, field, frozen
from torch import Tensor

from neurosim.circuit import INPUT, OUTPUT, Circuit
from neurosim.forward import Activity, Keep, Perturbation, released
from neurosim.plasticity import CreditForm
from neurosim.schedule import Schedule
from neurosim.synapses import Synapses
from neurosim.tensors import CircuitTensors

#: On the cpu a batch runs in slices whose largest activity has about this many bytes,
_SLICE_BYTES = 4 * 2**20
#: or this share of them, where rules hold credit of every unit beside it.
_SHARE_BESIDE_CREDIT = 3 / 4


@frozen
class Plan:
    """Which populations a presentation computes.

    Attributes:
        order: vector populations, every one after those it listens to.
        released: population -> those that nobody listens to after it.
        pre_activations: where the pre-activations of a bin are wanted as well.
    """

    order: tuple[str, ...]
    released: Mapping[str, list[str]]
    pre_activations: frozenset[str] = frozenset()


@define
class Stimulus:
    """Some examples, while they are presented.

    Attributes:
        scalars: the scalar populations, which are the same in all bins.
        gates: the gates that are known so far.
        gathering: population -> what its gate has gathered of the bins so far.
    """

    scalars: dict[str, Tensor]
    gates: dict[str, Tensor] = field(factory=dict)
    gathering: dict[str, Tensor] = field(factory=dict)


@define
class Bin:
    """Activity in one time bin, ``(batch, *units)``."""

    activations: dict[str, Tensor]
    pre_activations: dict[str, Tensor] = field(factory=dict)


class TemporalPass:
    """Presents stimuli, bin by bin."""

    def __init__(
        self, circuit: Circuit, synapses: Mapping[str, Synapses], tensors: CircuitTensors, schedule: Schedule
    ) -> None:
        self.circuit, self.schedule, self.biases = circuit, schedule, tensors.biases
        self.populations = circuit.populations
        self.gate_constants = {name: tensors.gate_constants(name) for name in circuit.populations}
        self.incoming = {name: [synapses[g.name] for g in circuit.into(name)] for name in circuit.order}
        self._scalars = [name for name in circuit.order if self.populations[name].scalar and name != INPUT]
        self._vectors = [name for name in circuit.order if not self.populations[name].scalar]
        self._gathering = [self.plan(self._gates_at(level)) for level in range(1, schedule.depth + 1)]
        self._largest = max(population.units for population in self.populations.values())
        rules = {group.rule for group in circuit.groups.values() if group.rule is not None}
        broadcasting = all(rule.form(circuit) is CreditForm.BROADCAST for rule in rules)
        self._share = 1.0 if broadcasting else _SHARE_BESIDE_CREDIT

    def _gates_at(self, level: int) -> list[str]:
        """The populations whose gates a presentation makes known, because those before them are known already."""
        gates = {name: self.populations[name].gate for name in self._vectors}
        waiting = (name for name, gate in gates.items() if gate is not None and not gate.causal)
        return [name for name in waiting if self.schedule.levels[name] == level]

    def plan(self, wanted: Iterable[str], pre_activations: Iterable[str] = ()) -> Plan:
        """A presentation after which the activity of ``wanted`` is there in every bin."""
        kept = set(wanted) | set(pre_activations)
        heard = kept.union(*(nx.ancestors(self.circuit.graph, name) for name in kept))
        order = tuple(name for name in self._vectors if name in heard)
        freed = {
            name: [other for other in others if other in order and other not in kept]
            for name, others in released(self.circuit, list(order)).items()
        }
        return Plan(order, freed, frozenset(pre_activations))

    # -- presentations -------------------------------------------------------------------------------------------

    def slices(self, images: Tensor) -> list[slice]:
        """The parts in which a batch is presented: on the cpu as even as possible, elsewhere one."""
        batch, count = len(images), 1
        if images.device.type == "cpu":
            size = batch * self._largest * images.element_size()
            count = max(1, round(size / (_SLICE_BYTES * self._share)))
        size = max(1, -(-batch // count))
        return [slice(start, min(start + size, batch)) for start in range(0, batch, size)]

    def begin(self, images: Tensor) -> Stimulus:
        """Scalar populations: the input and its relays."""
        stimulus = Stimulus({INPUT: images})
        for name in self._scalars:
            stimulus.scalars[name] = self._drive(name, 0, stimulus.scalars)
        return stimulus

    def settle(self, stimulus: Stimulus) -> None:
        """Present the stimulus until the gates are known that look at all bins."""
        for plan in self._gathering:
            for _ in self.present(stimulus, plan):
                pass
            for name, gathered in stimulus.gathering.items():
                gate = self.populations[name].gate
                assert gate is not None
                stimulus.gates[name] = gate.verdict(gathered)
            stimulus.gathering.clear()

    def present(
        self, stimulus: Stimulus, plan: Plan, noise: Mapping[str, Tensor] | None = None
    ) -> Iterator[tuple[int, Bin]]:
        """One presentation: bin after bin, none computed before it is asked for."""
        for component in range(self.circuit.K):
            yield component, self.bin(stimulus, component, plan, noise or {})

    def bin(self, stimulus: Stimulus, component: int, plan: Plan, noise: Mapping[str, Tensor]) -> Bin:
        """One time bin, from the synapses and currents of ``component``, gates, and nothing else of other bins."""
        now, live = Bin({}), dict(stimulus.scalars)
        for name in plan.order:
            h = self._drive(name, component, live)
            if name in noise:
                h = h.add_(noise[name][:, component])
            if name in plan.pre_activations:
                now.pre_activations[name] = h
            if self.populations[name].gate is None:
                live[name] = h
            elif (is_open := self._gate(name, component, h, stimulus)) is not None:
                live[name] = h * is_open if name in plan.pre_activations else h.mul_(is_open)  # Eq. 7
            for finished in plan.released[name]:
                live.pop(finished, None)
        now.activations = live
        return now

    def _gate(self, name: str, component: int, h: Tensor, stimulus: Stimulus) -> Tensor | None:
        """``G``, or None where the gate is still gathering."""
        if name in stimulus.gates:
            return stimulus.gates[name]
        gate, constants = self.populations[name].gate, self.gate_constants[name]
        assert gate is not None
        if not gate.causal:
            stimulus.gathering[name] = gate.gather(constants, h, component, stimulus.gathering.get(name))
            return None
        context = () if gate.listens_to is None else (stimulus.scalars[gate.listens_to],)
        stimulus.gates[name] = gate.open(constants, h.unsqueeze(1), *context)
        return stimulus.gates[name]

    def _drive(self, name: str, component: int, live: Mapping[str, Tensor]) -> Tensor:
        first, *others = self.incoming[name]
        h = first.drive_in_bin(live[first.group.pre], component)
        for synapses in others:
            h = h.add_(synapses.drive_in_bin(live[synapses.group.pre], component))
        bias = self.biases.get(name)
        if bias is not None:  # the current of this bin
            h = h.add_(bias[component].reshape(*bias.shape[1:], *[1] * (h.ndim - bias.ndim)))
        return h

    # -- what an observer sees -----------------------------------------------------------------------------------

    def run(self, images: Tensor, keep: Keep, perturbation: Perturbation | None = None) -> Activity:
        """As :meth:`neurosim.forward.ForwardPass.run`; what ``keep`` names is recorded in all bins and stacked."""
        wanted = keep.activations | keep.gates | {OUTPUT}
        plan = self.plan(wanted - set(self._scalars) - {INPUT}, keep.pre_activations - set(self._scalars) - {INPUT})
        parts = (self._recorded(images, examples, plan, keep, perturbation) for examples in self.slices(images))
        return Activity.joined(parts, len(images))

    def _recorded(
        self, images: Tensor, examples: slice, plan: Plan, keep: Keep, perturbation: Perturbation | None
    ) -> Activity:
        stimulus, noise = self.begin(images[examples]), None
        if perturbation is not None:
            part = perturbation.part(examples.start, examples.stop - examples.start)
            stimulus.gates, noise = dict(part.gates), part.noise
        else:
            self.settle(stimulus)
        vectors = [name for name in plan.order if name in keep.activations | {OUTPUT}]
        activations: dict[str, list[Tensor]] = {name: [] for name in vectors}
        drives: dict[str, list[Tensor]] = {name: [] for name in plan.pre_activations}
        for _, now in self.present(stimulus, plan, noise):
            for table, found in ((activations, now.activations), (drives, now.pre_activations)):
                for name, bins in table.items():
                    bins.append(found[name])
        stacked = {name: torch.stack(bins, dim=1) for name, bins in activations.items()}
        output = stacked[OUTPUT] if OUTPUT in keep.activations else stacked.pop(OUTPUT)
        scalars = {name: a for name, a in stimulus.scalars.items() if name in keep.activations}
        relayed = {name: a for name, a in stimulus.scalars.items() if name in keep.pre_activations and name != INPUT}
        return Activity(
            output=output,
            activations=scalars | stacked,
            gates={name: gate for name, gate in stimulus.gates.items() if name in keep.gates},
            pre_activations=relayed | {name: torch.stack(bins, dim=1) for name, bins in drives.items()},
        )
