"""Learning in time: eligibility that grows bin by bin, into the same updates as those of vectorization ``group``.

The eligibility of a synapse between vector units is ``sum_mu c G a_mu e_mu`` (Section 7.1). Gate and credit per unit
are the same in all bins, so of an example only ``sum_mu a_mu e_mu`` has to be kept, one trace per presynaptic unit; it
grows in every bin by that bin's activity and error, and meets the postsynaptic ``c G`` after the last bin. Where credit
differs between components, ``d_mu G a_mu`` is added to the update in every bin.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from attrs import define, field, frozen
from torch import Tensor

from neurosim.circuit import OUTPUT, Circuit
from neurosim.credit import Credits, Presentation
from neurosim.forward import Activity
from neurosim.plasticity import NEEDS, PlasticityRule
from neurosim.populations import Population
from neurosim.schedule import CreditTime, credit_time
from neurosim.step import Updates, bias_name, per_bias
from neurosim.synapses import Synapses
from neurosim.temporal import Bin, Stimulus, TemporalPass

#: how a simulator shows examples to the rules: activity, target, error, losses, which of how many examples
Present = Callable[[Activity, Tensor, Tensor, Tensor, slice, int], Presentation]


@frozen(eq=False)
class Learning:
    """A tensor that learns: a group's weight, or, without synapses, a population's bias.

    Attributes:
        name: of the update.
        post: the postsynaptic population.
        time: when the credit is known.
    """

    name: str
    post: Population
    rule: PlasticityRule
    synapses: Synapses | None
    time: CreditTime

    @property
    def pre(self) -> str | None:
        """The presynaptic vector population, whose activity is another one in every bin."""
        return None if self.synapses is None or self.synapses.pre.scalar else self.synapses.group.pre


@define(eq=False)
class Lesson:
    """Some examples of a batch while they are learnt from.

    Attributes:
        examples: which of the ``whole`` batch.
        output, error: ``(batch, K, *output units)``, in a single presentation filled bin by bin.
        losses: ``(batch,)``, NaN until the output is known.
        traces: population -> ``sum_mu a_mu e_mu`` of the bins so far, ``(batch, *units)``.
    """

    stimulus: Stimulus
    target: Tensor
    examples: slice
    whole: int
    output: Tensor
    error: Tensor
    losses: Tensor
    traces: dict[str, Tensor] = field(factory=dict)

    @property
    def fresh(self) -> bool:
        """Whether these are the first examples of the batch, so that updates hold nothing yet."""
        first: bool = self.examples.start == 0
        return first


class TemporalUpdates:
    """Presents a batch and computes the updates of all learning groups and biases."""

    def __init__(self, circuit: Circuit, synapses: Mapping[str, Synapses], run: TemporalPass, updates: Updates) -> None:
        self.circuit, self._pass, self._updates = circuit, run, updates
        self._learning = _all_learning(circuit, synapses)
        late = [learning for learning in self._learning if learning.time is CreditTime.LAST_BIN]
        self._early = [learning for learning in self._learning if learning not in late]
        # output first: credit is then there no earlier than it is used, and traces no longer
        self._late = sorted(late, key=lambda learning: circuit.order.index(learning.post.name), reverse=True)
        self._last_use = {learning.pre: learning.name for learning in self._late}
        self._traced = sorted({learning.pre for learning in late if learning.pre is not None})
        self._needs: dict[str, set[str]] = {need: set() for need in NEEDS}
        for learning in self._early:
            for need in learning.rule.needs:
                self._needs[need].add(learning.post.name)
        wanted = {*self._traced, *self._needs["activation"], *(e.pre for e in self._early if e.pre is not None)}
        self._show = run.plan({OUTPUT})
        self._learn = run.plan(wanted if run.schedule.outcome else wanted | {OUTPUT}, self._needs["pre_activation"])
        self._advancing = any(type(rule).advance is not PlasticityRule.advance for rule in updates.rules)

    def compute(
        self, images: Tensor, target: Tensor, present: Present, out: Mapping[str, Tensor]
    ) -> tuple[Presentation, Credits]:
        """Learn from a batch, one slice of its examples after the other.

        Args:
            images: ``(batch, *inputs)``.
            target: ``(batch, K)``.
            present: shows examples to the rules.
            out: learning group or ``"bias of ..."`` to a tensor of the weight's shape, overwritten.

        Returns:
            What is known of the whole batch afterwards, neither activity nor credit per unit among it, because all
            examples' together would be as large as the rest of a step.
        """
        lessons, broadcasts = [], frozenset[tuple[str, PlasticityRule]]()
        for examples in self._pass.slices(images):
            lesson = self._begin(images[examples], target[examples], examples, len(images))
            broadcasts = self._teach(lesson, present, out)
            if not self._advancing:
                lesson.stimulus = Stimulus({})
            lessons.append(lesson)
        gates = [lesson.stimulus.gates for lesson in lessons]
        output, error, losses = (
            torch.cat([getattr(lesson, name) for lesson in lessons]) for name in ("output", "error", "losses")
        )
        activity = Activity(output, gates={name: torch.cat([part[name] for part in gates]) for name in gates[0]})
        seen = present(activity, target, error, losses, slice(0, len(images)), len(images))
        credits = self._updates.credits(seen)
        credits.keep(broadcasts)
        return seen, credits

    def _begin(self, images: Tensor, target: Tensor, examples: slice, whole: int) -> Lesson:
        shape = (len(images), self.circuit.K, self.circuit.output_units)
        unknown = (
            images.new_full(shape, torch.nan),
            images.new_full(shape, torch.nan),
            images.new_full(shape[:1], torch.nan),
        )
        return Lesson(self._pass.begin(images), target, examples, whole, *unknown)

    def _teach(
        self, lesson: Lesson, present: Present, out: Mapping[str, Tensor]
    ) -> frozenset[tuple[str, PlasticityRule]]:
        """All presentations of some examples; which credits were broadcasts."""
        self._pass.settle(lesson.stimulus)
        known: dict[tuple[str, PlasticityRule], Tensor] = {}
        if self._pass.schedule.outcome:
            for component, now in self._pass.present(lesson.stimulus, self._show):
                lesson.output[:, component] = now.activations[OUTPUT]
                del now
            self._judge(lesson)
            known = self._known_before(lesson, present)
        for component, now in self._pass.present(lesson.stimulus, self._learn):
            if not self._pass.schedule.outcome:
                self._judge_bin(lesson, component, now)
            self._grow(lesson, component, now)
            if self._early:
                posts = known | self._known_in_bin(lesson, component, now, present)
                self._update_in_bin(lesson, component, now, posts, out)
            del now  # or two bins would be there at once
        if not self._pass.schedule.outcome:
            lesson.losses = self.circuit.readout.losses_of(lesson.output.flatten(1), lesson.target)
        credits = self._updates.credits(self._seen(lesson, present))
        self._update_after(lesson, credits, out)
        return credits.broadcasts

    # -- loss and error ------------------------------------------------------------------------------------------

    def _judge(self, lesson: Lesson) -> None:
        """Error and loss, from all components of the output."""
        output, readout = lesson.output.flatten(1), self.circuit.readout
        error = readout.error(output, lesson.target).view_as(lesson.error)
        lesson.error = error * (len(output) / lesson.whole)
        lesson.losses = readout.losses_of(output, lesson.target)

    def _judge_bin(self, lesson: Lesson, component: int, now: Bin) -> None:
        """The error of one bin, from the output and the target of that bin."""
        output, target = now.activations[OUTPUT], lesson.target[:, component : component + 1]
        lesson.output[:, component] = output
        lesson.error[:, component] = self.circuit.readout.error(output, target) * (len(output) / lesson.whole)

    # -- credit --------------------------------------------------------------------------------------------------

    def _seen(self, lesson: Lesson, present: Present) -> Presentation:
        activity = Activity(lesson.output, gates=lesson.stimulus.gates)
        return present(activity, lesson.target, lesson.error, lesson.losses, lesson.examples, lesson.whole)

    def _known_before(self, lesson: Lesson, present: Present) -> dict[tuple[str, PlasticityRule], Tensor]:
        """``d G`` ``(batch, K, *units)`` of rules that look at no activity, once the outcome is known."""
        return self._known(self._seen(lesson, present), CreditTime.OUTCOME)

    def _known_in_bin(
        self, lesson: Lesson, component: int, now: Bin, present: Present
    ) -> dict[tuple[str, PlasticityRule], Tensor]:
        """``d G`` ``(batch, 1, *units)`` of rules that look at activity, of which there is one bin's."""
        this = slice(component, component + 1)
        activity = Activity(
            lesson.output[:, this],
            activations={name: now.activations[name].unsqueeze(1) for name in self._needs["activation"]},
            gates=lesson.stimulus.gates,
            pre_activations={name: now.pre_activations[name].unsqueeze(1) for name in self._needs["pre_activation"]},
        )
        target, error = lesson.target[:, this], lesson.error[:, this]
        seen = present(activity, target, error, lesson.losses, lesson.examples, lesson.whole)
        return self._known(seen, CreditTime.IN_BIN)

    def _known(self, seen: Presentation, time: CreditTime) -> dict[tuple[str, PlasticityRule], Tensor]:
        """``d G`` of what is computed at this time."""
        credits = self._updates.credits(seen)
        wanted = dict.fromkeys((early.post.name, early.rule) for early in self._early if early.time is time)
        return {(name, rule): credits.gated(name, rule) for name, rule in wanted}

    # -- eligibility and updates ---------------------------------------------------------------------------------

    def _grow(self, lesson: Lesson, component: int, now: Bin) -> None:
        """Every trace grows by ``a_mu e_mu``."""
        for name in self._traced:
            a = now.activations[name]
            error = lesson.error[:, component].view(-1, *[1] * (a.ndim - 1))
            if name in lesson.traces:
                lesson.traces[name].addcmul_(a, error)
            else:
                lesson.traces[name] = a * error

    def _update_in_bin(
        self,
        lesson: Lesson,
        component: int,
        now: Bin,
        posts: Mapping[tuple[str, PlasticityRule], Tensor],
        out: Mapping[str, Tensor],
    ) -> None:
        """``sum_b d_mu G a_mu`` of this bin."""
        for learning in self._early:
            post = posts[learning.post.name, learning.rule]
            post = post[:, component if post.shape[1] > 1 else 0]
            target = out[learning.name]
            if learning.synapses is not None:
                pre = now.activations[learning.synapses.group.pre]
                learning.synapses.accumulate_in_bin(post, pre, component, target, lesson.fresh)
            elif lesson.fresh:
                target[component] = per_bias(post, learning.post).sum(0)
            else:
                target[component] += per_bias(post, learning.post).sum(0)

    def _update_after(self, lesson: Lesson, credits: Credits, out: Mapping[str, Tensor]) -> None:
        """``sum_b c G`` times the traces; from scalar units and for biases, which every bin has of its own, times e."""
        error = lesson.error.flatten(1)
        for learning in self._late:
            post, target = credits.gated(learning.post.name, learning.rule), out[learning.name]
            if learning.synapses is None:
                total = target.view(len(target), -1)
                total.addmm_(error.t(), per_bias(post, learning.post).flatten(1), beta=0 if lesson.fresh else 1)
                continue
            pre = learning.synapses.group.pre
            grown = lesson.traces[pre] if learning.pre is not None else lesson.stimulus.scalars[pre]
            learning.synapses.accumulate_per_unit(post, grown, error, target, lesson.fresh)
            if learning.pre is not None and self._last_use[learning.pre] == learning.name:
                del lesson.traces[learning.pre]


def _all_learning(circuit: Circuit, synapses: Mapping[str, Synapses]) -> list[Learning]:
    populations, found = circuit.populations, []
    for name, group in circuit.groups.items():
        if group.rule is not None:
            time = credit_time(circuit, group.post, group.rule)
            found.append(Learning(name, populations[group.post], group.rule, synapses[name], time))
    for name, population in populations.items():
        if (rule := circuit.bias_rule(name)) is not None:
            found.append(Learning(bias_name(name), population, rule, None, credit_time(circuit, name, rule)))
    return found
