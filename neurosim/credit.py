"""Credit: what a rule says the units contributed to the loss, and the feedback pathways that carry it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from attrs import define, field, frozen
from torch import Tensor

from neurosim.circuit import OUTPUT, Circuit
from neurosim.description import Description
from neurosim.forward import Activity
from neurosim.plasticity import PlasticityRule
from neurosim.synapses import Synapses


class Feedback(Description):
    """A feedback pathway: a map from group to the effective weight that carries signals back through it."""

    kind: ClassVar[str] = "feedback"

    def effective(self, weight: Tensor) -> Tensor:
        """The weight that the backward signal crosses instead of the forward ``weight``."""
        raise NotImplementedError(f"{type(self).__name__} must define effective(weight)")


@frozen
class ForwardWeights(Feedback):
    """Weight transport: signals return through the forward weights themselves, as in backpropagation."""

    def effective(self, weight: Tensor) -> Tensor:
        return weight


@define
class Pathways:
    """Signals that travel back from the output, computed only as deep as asked for and shared by all who ask.

    With one output unit the signal is one number per unit, 1 at the output (Eq. 13); with several it is one number
    per unit and component, the error itself at the output (Eq. 3).

    Attributes:
        error: ``(batch, K, *output units)``.
    """

    circuit: Circuit
    synapses: Mapping[str, Synapses]
    activity: Activity
    error: Tensor
    _signals: dict[tuple[Feedback, str], Tensor] = field(factory=dict)

    def at(self, feedback: Feedback, population: str) -> Tensor:
        """The signal at the outputs of ``population``'s gates: ``(batch, *units)`` or ``(batch, K, *units)``."""
        key = (feedback, population)
        if key not in self._signals:
            self._signals[key] = self._exact_at_output() if population == OUTPUT else self._gathered(*key)
        return self._signals[key]

    def gated(self, population: str, credit: Tensor) -> Tensor:
        """``credit`` times the gate, the signal at the pre-activations; a linear population passes everything."""
        gate = self.activity.gates.get(population)
        if gate is None:
            return credit
        return credit * (gate if credit.ndim == gate.ndim else gate.unsqueeze(1))

    def _exact_at_output(self) -> Tensor:
        if self.circuit.output_units == 1:
            return self.error.new_ones(self.error.shape[0], 1)
        return self.error

    def _gathered(self, feedback: Feedback, population: str) -> Tensor:
        total: Tensor | None = None
        for group in self.circuit.out_of(population):
            synapses = self.synapses[group.name]
            weight = None if synapses.weight is None else feedback.effective(synapses.weight)
            signal = synapses.transpose(weight, self.gated(group.post, self.at(feedback, group.post)))
            total = signal if total is None else total + signal
        assert total is not None, f"'{population}' has no way to the output"  # Circuit.check refuses this
        return total


@define
class CreditContext:
    """What a rule may look at when it answers which credit reaches the units of one population.

    Attributes:
        population: name of the postsynaptic population.
        error: the error vector ``e = dL/d(output)``, ``(batch, K, *output units)``; it carries the ``1 / batch``.
    """

    population: str
    error: Tensor
    _pathways: Pathways
    forward_weights: ClassVar[Feedback] = ForwardWeights()

    def feedback(self, feedback: Feedback) -> Tensor:
        """What a feedback pathway delivers to the population, before its gate's derivative."""
        return self._pathways.at(feedback, self.population)


@define
class Credits:
    """The credit of every population by every rule, each computed once in a step."""

    circuit: Circuit
    _pathways: Pathways | None
    _found: dict[tuple[str, PlasticityRule], Tensor | None] = field(factory=dict)

    @property
    def pathways(self) -> Pathways:
        assert self._pathways is not None, "released"
        return self._pathways

    def has(self, population: str, rule: PlasticityRule) -> bool:
        """Whether this credit has been computed."""
        return (population, rule) in self._found

    def release(self) -> None:
        """Keep the credits found so far and nothing else."""
        self._pathways = None

    def of(self, population: str, rule: PlasticityRule) -> Tensor | None:
        """A rule's credit, in the form it gave it; at the output the exact one, whatever the rule."""
        key = (population, rule)
        if key not in self._found:
            if population == OUTPUT:
                exact = self.pathways.error if self.circuit.output_units > 1 else None
                self._found[key] = exact
            else:
                self._found[key] = rule.credit(CreditContext(population, self.pathways.error, self.pathways))
        return self._found[key]

    def gated(self, population: str, rule: PlasticityRule) -> Tensor:
        """``c G`` or ``d G``: the postsynaptic factor of the update, ``(batch, *units)`` or ``(batch, K, *units)``."""
        credit = self.of(population, rule)
        if credit is not None:
            return self.pathways.gated(population, credit)
        gate = self.pathways.activity.gates.get(population)
        if gate is not None:
            return gate
        shape = self.circuit.populations[population].shape
        return self.pathways.error.new_ones(self.pathways.error.shape[0], *shape)
