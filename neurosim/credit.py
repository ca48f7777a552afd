"""Credit: what a rule says the units contributed to the loss, and what a rule may look at to say so."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from difflib import get_close_matches
from typing import Any, ClassVar, TypeVar

from attrs import define, field, frozen
from torch import Tensor

from neurosim.circuit import OUTPUT, Circuit
from neurosim.errors import SimulationError, UnknownNameError
from neurosim.feedback import Feedback, ForwardWeights
from neurosim.forward import Activity
from neurosim.plasticity import CreditForm, PlasticityRule
from neurosim.synapses import Synapses

Value = TypeVar("Value")


@frozen(eq=False, repr=False)
class Presentation:
    """One batch, as the rules see it.

    Attributes:
        activity: what the forward pass kept.
        error: ``e = dL/d(output)``, ``(batch, K, *output units)``; it carries the ``1 / batch``.
        target: ``(batch, length)``.
        losses: loss of every example, ``(batch,)``.
        whole: number of examples of the batch that learns together; these may be a slice of it.
        constants: what feedback pathways and rules drew, by name.
        noise: rule's label and population -> standard normal ``(batch, K, *units)``, the same within a step.
        rerun: noise by population -> losses ``(batch,)`` of a pass in which it is added to the pre-activations while
            the gates stay as they are.
        redraw: a redrawn pathway and a group -> this step's constants.
        learners: the rules that learn, whose constants these are.
    """

    circuit: Circuit
    synapses: Mapping[str, Synapses]
    activity: Activity
    error: Tensor
    target: Tensor
    losses: Tensor
    whole: int
    constants: Mapping[str, Tensor]
    noise: Callable[[str, str], Tensor]
    rerun: Callable[[Mapping[str, Tensor]], Tensor]
    redraw: Callable[[Feedback, str], Tensor]
    learners: tuple[PlasticityRule, ...]

    def gated(self, population: str, credit: Tensor) -> Tensor:
        """``credit`` times the gate, the signal at the pre-activations; a linear population passes everything."""
        gate = self.activity.gates.get(population)
        if gate is None:
            return credit
        return credit * (gate if credit.ndim == gate.ndim else gate.unsqueeze(1))

    def ungated(self, population: str, signal: Tensor) -> Tensor:
        """The credit that :meth:`gated` turns into ``signal`` at open gates, and into 0 at closed ones."""
        gate = self.activity.gates.get(population)
        if gate is None:
            return signal
        divisor = gate.masked_fill(gate == 0, 1.0)  # by 1, which changes no digit, where gates are open or closed
        return signal / (divisor if signal.ndim == gate.ndim else divisor.unsqueeze(1))

    def per_component(self, population: str, signal: Tensor) -> Tensor:
        """A signal per unit times the error vector, ``(batch, K, *units)``; one per component as it is."""
        units = self.circuit.populations[population].shape
        if signal.ndim == 2 + len(units):
            return signal
        return signal.unsqueeze(1) * self.error.view(*self.error.shape[:2], *[1] * len(units))


@define(eq=False, repr=False)
class Pathways:
    """Signals that travel back from the output, computed only as deep as asked for and shared by all who ask.

    With one output unit the signal is one number per unit, 1 at the output (Eq. 13); with several it is one number
    per unit and component, the error itself at the output (Eq. 3). A signal per unit that crosses an untied group is
    multiplied by the error vector there and is per component from then on: every component has its own way back.
    """

    seen: Presentation
    _signals: dict[tuple[Feedback, str], Tensor] = field(factory=dict)
    _redrawn: dict[tuple[Feedback, str], Tensor] = field(factory=dict)

    def at(self, feedback: Feedback, population: str) -> Tensor:
        """The signal at the outputs of ``population``'s gates: ``(batch, *units)`` or ``(batch, K, *units)``."""
        key = (feedback, population)
        if key not in self._signals:
            exact = population == OUTPUT
            self._signals[key] = self._exact_at_output() if exact else self._gathered(feedback, population, self.at)
        return self._signals[key]

    def one_hop(self, feedback: Feedback, population: str) -> Tensor:
        """``sum_k f_ki G(h_k)`` over the units k that ``population`` reaches directly, or through relays."""

        def ones(_: Feedback, post: str) -> Tensor:
            described = self.seen.circuit.populations[post]
            if described.relay_of is not None:
                return self.one_hop(feedback, post)
            return self.seen.error.new_ones(len(self.seen.error), *described.shape)

        return self._gathered(feedback, population, ones)

    def _exact_at_output(self) -> Tensor:
        error = self.seen.error
        return error.new_ones(error.shape[0], 1) if self.seen.circuit.output_units == 1 else error

    def _gathered(self, feedback: Feedback, population: str, signal: Callable[[Feedback, str], Tensor]) -> Tensor:
        total: Tensor | None = None
        for group in self.seen.circuit.out_of(population):
            synapses = self.seen.synapses[group.name]
            weight = None if synapses.weight is None else self._effective(feedback, group.name, synapses.weight)
            arriving = self.seen.gated(group.post, signal(feedback, group.post))
            if synapses.untied:
                arriving = self.seen.per_component(group.post, arriving)
            carried = synapses.transpose(weight, arriving)
            if total is not None and total.ndim != carried.ndim:
                total, carried = (self.seen.per_component(population, part) for part in (total, carried))
            total = carried if total is None else total + carried
        assert total is not None, f"'{population}' has no way to the output"  # Circuit.check refuses this
        return total

    def _effective(self, feedback: Feedback, group: str, weight: Tensor) -> Tensor:
        key = (feedback, group)
        if feedback.redrawn and key not in self._redrawn:
            self._redrawn[key] = self.seen.redraw(feedback, group)
        constants = self._redrawn.get(key, self.seen.constants.get(f"{feedback.label}/{group}"))
        if constants is None and feedback.constant:
            raise SimulationError(
                f"the feedback pathway {feedback} has no weights for group '{group}' in this simulator, because no "
                f"rule of the circuit listens to it there; give a group the rule that does"
            )
        if constants is not None and not feedback.redrawn:
            heard = [each for rule in self.seen.learners for each in rule.pathways]
            _refuse_namesake(feedback, heard, f"{feedback.label}/{group}")
        return feedback.effective(weight, constants)


def _refuse_namesake(
    asking: Feedback | PlasticityRule, owners: Sequence[Feedback | PlasticityRule], constants: str
) -> None:
    """A rule that does not learn may be asked for its credit, and finds constants by name: they must be its own."""
    if asking in owners:
        return
    owner = next((each for each in owners if each.label == asking.label), None)
    if owner is not None:
        raise SimulationError(
            f"{asking} cannot be asked for credit in this simulator: its '{constants}' was drawn by {owner}, which has "
            f"the same name and learns here; ask {owner}, or train with {asking}"
        )


@define(eq=False, repr=False)
class CreditContext:
    """What a rule may look at when it answers which credit reaches the units of one population.

    Attributes:
        population: name of the postsynaptic population, a text; :attr:`units` is its shape.
        rule: the rule that asks.
    """

    population: str
    rule: PlasticityRule
    _pathways: Pathways
    _shared: dict[PlasticityRule, Any]
    _together: tuple[str, ...]
    forward_weights: ClassVar[Feedback] = ForwardWeights()

    def __repr__(self) -> str:
        return f"<CreditContext of {self.rule} at '{self.population}', units {self.units}>"

    def __getattr__(self, name: str) -> Any:
        seen = [each for each in dir(type(self)) if not each.startswith("_")]
        near = get_close_matches(name, seen, n=1)
        meant = f"did you mean '{near[0]}'? There is" if near else "there is"
        raise AttributeError(f"a CreditContext has no '{name}'; {meant}: {', '.join(seen)}", name=name, obj=self)

    @property
    def units(self) -> tuple[int, ...]:
        """The population's shape, ``(n,)`` or ``(channels, height, width)``.

        A constant credit per unit is ``constant.expand(len(context.error), *context.units)``.
        """
        return self._pathways.seen.circuit.populations[self.population].shape

    @property
    def error(self) -> Tensor:
        """The error vector, ``(batch, K, *output units)``; it carries the ``1 / batch``."""
        return self._pathways.seen.error

    @property
    def target(self) -> Tensor:
        """The target, ``(batch, length)``."""
        return self._pathways.seen.target

    @property
    def losses(self) -> Tensor:
        """The loss of every example, ``(batch,)``."""
        return self._pathways.seen.losses

    @property
    def batch_scale(self) -> float:
        """``1 / batch``, the factor of a per-example signal whose sum is to be a mean over the batch."""
        return 1.0 / self._pathways.seen.whole

    @property
    def activation(self) -> Tensor:
        """``a`` of the population, ``(batch, K, *units)``; the rule must list ``"activation"`` in ``needs``.

        In vectorization in time K is 1 here: credit is asked bin by bin.
        """
        return self._kept("activation", self._pathways.seen.activity.activations)

    @property
    def pre_activation(self) -> Tensor:
        """``h`` of the population, as :attr:`activation`; the rule must list ``"pre_activation"`` in ``needs``."""
        return self._kept("pre_activation", self._pathways.seen.activity.pre_activations)

    def _kept(self, need: str, table: Mapping[str, Tensor]) -> Tensor:
        if need not in self.rule.needs:  # it may be there for others, or in a probe, and not when the rule learns
            raise SimulationError(
                f"{self.rule} looks at context.{need} at '{self.population}' without declaring it; write "
                f'needs = frozenset({{"{need}"}}) in the class, and Signal.POSTSYNAPTIC in uses'
            )
        if self.population not in table:
            raise SimulationError(
                f"the {need} of '{self.population}' was not kept for {self.rule}: a rule lists what its credit looks "
                f"at in needs; after a step of vectorization in time nothing of it is left"
            )
        return table[self.population]

    def local_errors(self, guesses: Tensor) -> Tensor:
        """The error vector of every guess as if it were the network's output: ``(batch, units, K)``, for both."""
        target = self.target.unsqueeze(1).expand_as(guesses)
        error = self._pathways.seen.circuit.readout.error(guesses.flatten(0, 1), target.flatten(0, 1))
        # the readout divided by the number of guesses, not by that of the examples of the whole batch
        return error.view(guesses.shape) * (guesses.shape[0] * guesses.shape[1] / self._pathways.seen.whole)

    def ungated(self, signal: Tensor) -> Tensor:
        """The credit of a signal that is there after the gate already: divided by G where G is not 0.

        The engine multiplies credit by G (0, 1 or, by Eq. 7, any other constant), which gives the signal back; nothing
        passes closed gates. For what is measured or compared at the pre-activations, such as ``dL/dh = G dL/da``.

        Args:
            signal: ``(batch, *units)`` or ``(batch, K, *units)``, as the credit.
        """
        return self._pathways.seen.ungated(self.population, signal)

    @property
    def together(self) -> tuple[str, ...]:
        """The hidden populations that learn by this very rule, this one included."""
        return self._together

    def state(self, key: str) -> Tensor:
        """A constant or trace that the rule drew for this population."""
        name = f"{self.rule.label}/{self.population}/{key}"
        if name not in self._pathways.seen.constants:
            kept = [n.rpartition("/")[2] for n in self._pathways.seen.constants if n.startswith(name[: -len(key)])]
            if kept:
                raise UnknownNameError(f"constant of {self.rule}", key, kept)
            raise SimulationError(
                f"the rule {self.rule} keeps nothing for '{self.population}' in this simulator: either its draw() "
                f"gives nothing, or no group there learns by it"
            )
        _refuse_namesake(self.rule, self._pathways.seen.learners, name)
        return self._pathways.seen.constants[name]

    def feedback(self, feedback: Feedback) -> Tensor:
        """What a feedback pathway delivers to the population, before its gate's derivative.

        With one output unit per unit, ``(batch, *units)``, unless it crosses an untied group: then, as with several
        output units, per component with the error included, ``(batch, K, *units)``.
        """
        return self._pathways.at(feedback, self.population)

    def one_hop(self, feedback: Feedback) -> Tensor:
        """How strongly the population drives the active units right after it: ``sum_k f_ki G(h_k)``.

        Through an untied group per component, times the error vector.
        """
        return self._pathways.one_hop(feedback, self.population)

    def noise(self, population: str | None = None) -> Tensor:
        """This step's standard normal noise of a population, ``(batch, K, *units)``."""
        return self._pathways.seen.noise(self.rule.label, population or self.population)

    def rerun(self, noise: Mapping[str, Tensor]) -> Tensor:
        """Losses ``(batch,)`` when ``noise`` is added to the pre-activations while all gates are held."""
        return self._pathways.seen.rerun(noise)

    def once(self, compute: Callable[[CreditContext], Value]) -> Value:
        """The value of ``compute(self)``, computed once a step for all populations of this rule."""
        if self.rule not in self._shared:
            self._shared[self.rule] = compute(self)
        value: Value = self._shared[self.rule]
        return value


@define(eq=False, repr=False)
class Credits:
    """The credit of every population by every rule, each computed once in a step."""

    _seen: Presentation | None
    _together: Mapping[PlasticityRule, tuple[str, ...]]
    _found: dict[tuple[str, PlasticityRule], Tensor | None] = field(factory=dict)
    _shared: dict[PlasticityRule, Any] = field(factory=dict)
    _pathways: Pathways | None = None

    @property
    def seen(self) -> Presentation:
        """What the rules saw."""
        assert self._seen is not None, "released"
        return self._seen

    def has(self, population: str, rule: PlasticityRule) -> bool:
        """Whether this credit has been computed."""
        return (population, rule) in self._found

    @property
    def broadcasts(self) -> frozenset[tuple[str, PlasticityRule]]:
        """Population and rule of the credits found so far that are 1 at every unit, and so take no memory."""
        return frozenset(key for key, credit in self._found.items() if credit is None)

    def keep(self, broadcasts: Iterable[tuple[str, PlasticityRule]]) -> None:
        """Take over from the slices of this batch that these credits are broadcasts."""
        self._found |= dict.fromkeys(broadcasts)

    def release(self) -> None:
        """Keep the credits found so far and nothing else."""
        self._seen = self._pathways = None
        self._shared.clear()

    def context(self, population: str, rule: PlasticityRule) -> CreditContext:
        """What ``rule`` may look at in ``population``."""
        if self._pathways is None:
            self._pathways = Pathways(self.seen)
        everyone = tuple(p for p in self.seen.activity.gates) or (population,)
        return CreditContext(population, rule, self._pathways, self._shared, self._together.get(rule, everyone))

    def of(self, population: str, rule: PlasticityRule) -> Tensor | None:
        """A rule's credit, in the form it gave it; at the output the exact one, whatever the rule."""
        key = (population, rule)
        if key not in self._found:
            if population == OUTPUT:
                self._found[key] = self.seen.error if self.seen.circuit.output_units > 1 else None
            else:
                credit = rule.credit(self.context(population, rule))
                self._refuse_misshapen(credit, population, rule)
                self._found[key] = credit
        return self._found[key]

    def _refuse_misshapen(self, credit: Tensor | None, population: str, rule: PlasticityRule) -> None:
        """A credit of another shape would reach other synapses than the rule means."""
        circuit, (batch, components) = self.seen.circuit, self.seen.error.shape[:2]
        form, units = rule.form(circuit), circuit.populations[population].shape
        wanted = {
            CreditForm.BROADCAST: None,
            CreditForm.PER_UNIT: (batch, *units),
            CreditForm.PER_COMPONENT: (batch, components, *units),
        }[form]
        kind = self.seen.error.dtype
        shape = tuple(credit.shape) if isinstance(credit, Tensor) else None
        crossed = form is CreditForm.PER_UNIT and shape == (batch, components, *units) and self._crosses_untied()
        fits = credit is None if wanted is None else shape == wanted or crossed
        if not fits or (credit is not None and credit.dtype != kind):
            means = "None" if wanted is None else f"the shape {wanted} of {kind}"
            found = f"{tuple(credit.shape)} of {credit.dtype}" if isinstance(credit, Tensor) else repr(credit)
            raise SimulationError(
                f"the credit of {rule} at '{population}': its form {form.name} means {means}, got {found}"
            )

    def _crosses_untied(self) -> bool:
        """Whether credit per unit may have become credit per component on its way."""
        return any(synapses.untied for synapses in self.seen.synapses.values())

    def gated(self, population: str, rule: PlasticityRule) -> Tensor:
        """``c G`` or ``d G``: the postsynaptic factor of the update, ``(batch, *units)`` or ``(batch, K, *units)``."""
        credit = self.of(population, rule)
        if credit is not None:
            return self.seen.gated(population, credit)
        gate = self.seen.activity.gates.get(population)
        if gate is not None:
            return gate
        shape = self.seen.circuit.populations[population].shape
        return self.seen.error.new_ones(len(self.seen.error), *shape)
