"""One step of learning: error, credit, updates."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import reduce
from operator import or_

from attrs import define, frozen
from torch import Tensor

from neurosim.circuit import INPUT, OUTPUT, Circuit
from neurosim.credit import Credits, Presentation
from neurosim.errors import SimulationError, UnknownNameError
from neurosim.forward import Activity, Keep
from neurosim.plasticity import NEEDS, PlasticityRule, Signal, rules_by_population
from neurosim.populations import Population
from neurosim.score import finite_loss, not_finite
from neurosim.synapses import Synapses, project_on_components


@define(repr=False, eq=False)
class Step:
    """What one presentation of a batch led to.

    Attributes:
        loss: mean loss of the batch, 0-d, on the device.
        mistakes: number of examples that were decoded wrongly, 0-d, on the device.
        output: ``(batch, K, *output units)``.
        error: the error vector, of the same shape.
        updates: group, or ``"bias of POPULATION"``, to the update: a gradient, which the optimizer descends. Of a
            step made by ``learn`` they are valid until the next one.
        activity: what the forward pass kept.
        credits: every credit that the updates were made of; of a step of learning in time, broadcasts only.
    """

    circuit: Circuit
    loss: Tensor
    mistakes: Tensor
    output: Tensor
    error: Tensor
    updates: Mapping[str, Tensor]
    activity: Activity
    credits: Credits
    _applied: bool = False

    def __repr__(self) -> str:
        loss, mistakes = float(self.loss), f"{int(self.mistakes)} of {len(self.output)} mistaken"
        return f"<Step: loss {loss:.4g}, {mistakes}, {len(self.updates)} updates{not_finite(loss)}>"

    @property
    def mean_loss(self) -> float:
        """``loss`` as a number, read from the device.

        Raises:
            SimulationError: it is not finite.
        """
        return finite_loss(self.loss)

    @property
    def error_rate(self) -> float:
        """Share of the batch that was decoded wrongly, read from the device.

        Raises:
            SimulationError: the loss is not finite, so that the decoded classes mean nothing.
        """
        finite_loss(self.loss)
        return int(self.mistakes) / len(self.output)

    def release(self) -> None:
        """Let go of everything that was kept for the updates; the weights have changed since."""
        self.activity = Activity(output=self.output)
        self.credits.release()
        self.outdate()

    def outdate(self) -> None:
        """From now on compute no more credit: the weights are no longer those of the step."""
        self._applied = True

    def credit(self, population: str, rule: PlasticityRule | None = None) -> Tensor:
        """The credit that reached a population's units, before the gate's derivative.

        Args:
            population: its name.
            rule: whose credit; by default the rule of the population's groups.

        Returns:
            ``(batch, *units)``, all ones for a broadcasting rule; ``(batch, K, *units)`` where credit differs
            between components.

        Raises:
            UnknownNameError: no such population, or one that gets no credit.
            SimulationError: no rule reaches it; or the weights have changed since the step, and it holds no such
                credit: another rule's, or, in vectorization in time, one per unit (use ``Simulator.probe``).
        """
        receiving = [p.name for p in self.circuit.populations.values() if not p.scalar and p.relay_of is None]
        if population not in receiving:
            raise UnknownNameError("population with credit", population, receiving)
        if rule is None:
            rules = [group.rule for group in self.circuit.into(population) if group.rule is not None]
            if not rules:
                raise SimulationError(f"population '{population}': all groups into it are frozen; name a rule=")
            if population != OUTPUT and any(other != rules[0] for other in rules):  # there all have the same credit
                listed = ", ".join(dict.fromkeys(map(str, rules)))
                raise SimulationError(f"population '{population}': its groups learn by {listed}; say which with rule=")
            rule = rules[0]
        if self._applied and not self.credits.has(population, rule):
            raise SimulationError(
                f"the credit of {rule} at '{population}' was not part of this step (or, in time bins, was not kept), "
                f"and its weights have changed since; use probe(images, labels).credit('{population}', {rule})"
            )
        credit = self.credits.of(population, rule)
        if credit is not None:
            return credit.clone()  # it may be a view of feedback weights
        return self.error.new_ones(()).expand(len(self.error), *self.circuit.populations[population].shape)


@frozen(eq=False)
class Watch:
    """Somebody who looks at one step of learning before it changes anything.

    Attributes:
        keep: what to keep of the forward pass besides what learning needs; the step computes the same numbers.
        see: called with the step once its updates are computed, while weights and traces are those that the batch
            met. It must change nothing. What the step kept is let go of afterwards.
    """

    keep: Keep
    see: Callable[[Step], None]

    @classmethod
    def together(cls, watches: Sequence[Watch]) -> Watch | None:
        """One that serves all of them; None for none."""
        if len(watches) < 2:
            return watches[0] if watches else None

        def see(step: Step) -> None:
            for watch in watches:
                watch.see(step)

        return cls(reduce(or_, (watch.keep for watch in watches)), see)


def bias_name(population: str) -> str:
    """How the bias of a population is called among updates and parameters."""
    return f"bias of {population}"


def needed(circuit: Circuit) -> Keep:
    """What a step of learning will use of a forward pass: presynaptic activity of learning groups, and gates."""
    looked_at: dict[str, set[str]] = {need: set() for need in NEEDS}
    rules = rules_by_population(circuit)  # a population may have several, and each may look further
    for population, rule in rules:
        for need in rule.needs:
            looked_at[need].add(population.name)
    presynaptic = {group.pre for group in circuit.groups.values() if group.rule is not None}
    learning = {population.name for population, _ in rules}
    look_further = any(rule.uses & {Signal.FEEDBACK, Signal.NOISE} for _, rule in rules)
    return Keep(
        activations=frozenset(presynaptic | looked_at["activation"]),
        gates=frozenset(circuit.populations if look_further else learning),
        pre_activations=frozenset(looked_at["pre_activation"]),
    )


def everything(circuit: Circuit) -> Keep:
    """All activations, gates and pre-activations."""
    names = frozenset(circuit.populations)
    return Keep(activations=names, gates=names, pre_activations=names - {INPUT})


def per_bias(post: Tensor, population: Population) -> Tensor:
    """A postsynaptic factor summed over the positions that share a bias."""
    shared = population.bias == "channel" and len(population.shape) > 1
    return post.flatten(-2).sum(-1) if shared else post


class Updates:
    """Computes the updates of all learning groups and biases of a circuit from one forward pass."""

    def __init__(self, circuit: Circuit, synapses: Mapping[str, Synapses]) -> None:
        self.circuit, self.synapses = circuit, synapses
        self._together: dict[PlasticityRule, tuple[str, ...]] = {}
        for population, rule in rules_by_population(circuit):
            self._together[rule] = (*self._together.get(rule, ()), population.name)
        self._populations = circuit.populations
        self._group_rules = {name: group.rule for name, group in circuit.groups.items()}
        self._biases = {bias_name(name): (p, circuit.bias_rule(name)) for name, p in self._populations.items()}

    @property
    def rules(self) -> tuple[PlasticityRule, ...]:
        """The rules of hidden populations."""
        return tuple(self._together)

    def credits(self, seen: Presentation) -> Credits:
        """The credits of a batch, each computed when it is asked for."""
        return Credits(seen, self._together)

    def compute(self, seen: Presentation, out: Mapping[str, Tensor]) -> Credits:
        """Write every update into ``out`` and return the credits that led to them.

        Args:
            seen: a batch whose forward pass kept what :func:`needed` names.
            out: learning group or ``"bias of ..."`` to a tensor of the weight's shape.
        """
        credits = self.credits(seen)
        projected: dict[str, Tensor] = {}
        for name, target in out.items():
            rule = self._group_rules.get(name)
            if rule is None:
                self._update_bias(*self._biases[name], credits, target)
            else:
                post = credits.gated(self.synapses[name].group.post, rule)
                self._update_group(self.synapses[name], post, seen, projected, target)
        return credits

    def advance(self, credits: Credits) -> None:
        """Let every rule change its traces; after the updates, in a step of learning only."""
        for rule, populations in self._together.items():
            if type(rule).advance is not PlasticityRule.advance:
                for population in populations:
                    rule.advance(credits.context(population, rule))

    def _update_group(
        self, synapses: Synapses, post: Tensor, seen: Presentation, projected: dict[str, Tensor], target: Tensor
    ) -> None:
        pre, activity = synapses.group.pre, seen.activity.activations
        if post.ndim > 1 + len(synapses.post.shape):
            synapses.update_per_component(post, activity[pre], target)
            return
        error = seen.error.flatten(1)  # one output unit: (batch, K)
        if synapses.unshared or synapses.untied:
            synapses.update_per_unit(post, activity[pre], error, target)
            return
        if pre not in projected:
            projected[pre] = project_on_components(activity[pre], error)
        synapses.update_per_unit(post, projected[pre], error, target)

    def _update_bias(
        self, population: Population, rule: PlasticityRule | None, credits: Credits, target: Tensor
    ) -> None:
        """``sum_b d_mu G``, summed over positions as well where they share a bias."""
        assert rule is not None
        post = credits.gated(population.name, rule)
        per_unit = post.ndim == 1 + len(population.shape)
        post = per_bias(post, population)
        if not per_unit:
            target.copy_(post.sum(0))
            return
        error = credits.seen.error.flatten(1)
        target.copy_((error.t() @ post.flatten(1)).view(target.shape))
