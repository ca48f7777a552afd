"""The idea of a plasticity rule: what credit reaches the postsynaptic units?"""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum
from typing import TYPE_CHECKING, Any, ClassVar, cast

import torch
from torch import Tensor

from neurosim.description import Description, slip
from neurosim.errors import CircuitError, UnknownNameError
from neurosim.plugins import left_out, load_entry_points

if TYPE_CHECKING:
    from neurosim.circuit import Circuit
    from neurosim.credit import CreditContext
    from neurosim.feedback import Feedback
    from neurosim.populations import Population, SynapseGroup

ENTRY_POINTS = "neurosim.rules"


class CreditForm(Enum):
    """The shape of a rule's answer, the cheapest first.

    With credit ``d[b, mu, i]``, gate ``G`` and presynaptic activity ``a``, the update of a group is
    ``sum_b sum_mu d[b, mu, i] G[b, i] a[b, mu, j]``, of an untied group the same without the sum over mu. The first two
    forms mean ``d_mu = c e_mu`` and need exactly one output unit. A rule of the form PER_UNIT may answer per component,
    error included, where a feedback pathway that it listens to has crossed an untied group.
    """

    BROADCAST = "every unit gets 1, times the error vector (Eq. 9)"
    PER_UNIT = "(batch, *units), times the error vector (Eq. 14)"
    PER_COMPONENT = "(batch, K, *units), the error included (Eq. 2)"


#: what a rule may ask to be kept of its postsynaptic population
NEEDS = ("activation", "pre_activation")


class Signal(Enum):
    """What a synapse must have access to; a rule declares which of them it uses."""

    PRESYNAPTIC = "presynaptic activity"
    GATE = "postsynaptic gate"
    POSTSYNAPTIC = "postsynaptic activity"
    ERROR = "global error vector"
    SCALAR = "global scalar"
    FEEDBACK = "unit-specific feedback"
    WEIGHTS = "forward weights"
    TARGET = "target"
    NOISE = "its own noise"


class PlasticityRule(Description):
    """A rule of synaptic plasticity, a plug-in: one object per synapse group.

    A subclass is a frozen attrs class that defines :meth:`form` and :meth:`credit`. Updates are gradients: an
    optimizer descends them. Summed over the batch; the error vector carries the ``1 / batch``.

    The engine multiplies credit by the gate and by presynaptic activity, for every connectivity. At the output it
    applies the exact gradient, whatever the rule. ``examples/your_own_rule.py`` is a whole rule; ``neurosim.testing``
    holds the laws that rules keep. To use a rule by name on the command line, a package announces it as an entry point
    of the group ``neurosim.rules``.

    A rule may be asked about networks of vector units (one output unit, any K) and conventional ones (K = 1, several
    output units); the forms BROADCAST and PER_UNIT exist in the first only, unless :meth:`refusal` says otherwise.
    """

    kind: ClassVar[str] = "rule"
    entry_points: ClassVar[str | None] = ENTRY_POINTS
    #: a zero error vector gives a zero update
    error_driven: ClassVar[bool] = True
    #: draws random numbers at every step
    stochastic: ClassVar[bool] = False
    #: tensors of the postsynaptic population that the rule looks at, of NEEDS
    needs: ClassVar[frozenset[str]] = frozenset()
    #: what a synapse needs access to; presynaptic activity and the postsynaptic gate always
    uses: ClassVar[frozenset[Signal]] = frozenset({Signal.PRESYNAPTIC, Signal.GATE, Signal.ERROR})

    @property
    def label(self) -> str:
        """Under which name the simulator keeps what the rule draws."""
        return type(self).__name__

    @property
    def pathways(self) -> tuple[Feedback, ...]:
        """The feedback pathways that the rule listens to."""
        return ()

    def draw(
        self, circuit: Circuit, population: Population, stream: Callable[..., torch.Generator]
    ) -> dict[str, Tensor]:
        """Constants and traces for one population, float64 on the cpu; the simulator owns, converts and saves them.

        Args:
            stream: ``stream("name", ...)`` is a generator of the rule's own.
        """
        return {}

    def advance(self, context: CreditContext) -> None:
        """Change the rule's traces in place, ``context.state(key)``, after a step of learning; a probe does not."""

    def form(self, circuit: Circuit) -> CreditForm:
        """The form of this rule's credit in ``circuit``."""
        raise NotImplementedError(f"{type(self).__name__} must define form(circuit)")

    def credit(self, context: CreditContext) -> Tensor | None:
        """Credit of the postsynaptic units of ``context.population``, before the gate's derivative.

        Returns:
            ``None`` (broadcast), ``(batch, *units)`` or ``(batch, K, *units)``, as :meth:`form` says.
        """
        raise NotImplementedError(f"{type(self).__name__} must define credit(context)")

    def bin_refusal(self, circuit: Circuit) -> str | None:
        """Why vectorization in time cannot compute this rule's credit, or None where it can.

        What a rule's ``needs`` names exists there one component at a time: ``(batch, 1, *units)``, together with error
        and target of that bin. A rule whose credit of a component needs no other component's says so by returning None.
        """
        if not self.needs:
            return None
        return (
            f"it looks at the {' and '.join(sorted(self.needs))} of all K components of a unit at once (a rule whose "
            f"components are independent says so in bin_refusal)"
        )

    def refusal(self, circuit: Circuit, group: SynapseGroup) -> str | None:
        """Why this rule cannot apply to ``group``, or None where it can."""
        if self.form(circuit) is CreditForm.PER_COMPONENT or circuit.output_units == 1:
            return None
        return (
            f"its credit multiplies one global error vector, which needs exactly one output unit, but the output has "
            f"{circuit.output_units} scalar units; use K={circuit.readout.length} (one vector output unit) or "
            f"another rule"
        )


def rules_by_population(circuit: Circuit) -> list[tuple[Population, PlasticityRule]]:
    """Every hidden population with every rule that its groups or its bias learn by."""
    found = []
    for population in circuit.populations.values():
        if population.name == "output" or population.scalar or population.relay_of is not None:
            continue
        rules = [group.rule for group in circuit.into(population.name)] + [circuit.bias_rule(population.name)]
        found += [(population, rule) for rule in dict.fromkeys(rules) if rule is not None]
    return found


def available_rules() -> dict[str, type[PlasticityRule]]:
    """Every rule that is installed, by name, those of other packages included.

    What cannot be used is left out, with a :class:`~neurosim.plugins.PluginWarning` that names it.
    """
    found = load_entry_points(ENTRY_POINTS, no_rule)
    return {name: cast("type[PlasticityRule]", rule) for name, rule in sorted(found.items())}


def no_rule(found: Any) -> str | None:
    """Why ``found`` is not the class of a whole rule, or None where it is."""
    if not isinstance(found, type) or not issubclass(found, PlasticityRule):
        return f"expected a subclass of neurosim.plasticity.PlasticityRule, got {found!r}"
    missing = [name for name in ("form", "credit") if getattr(found, name) is getattr(PlasticityRule, name)]
    if missing:
        return f"{found.__name__} must define {' and '.join(missing)}, see docs/write_a_rule.md"
    if not isinstance(found.uses, frozenset) or not all(isinstance(signal, Signal) for signal in found.uses):
        return (
            f"{found.__name__}.uses must be a frozenset of Signal, such as PlasticityRule.uses | {{Signal.WEIGHTS}}, "
            f"got {found.uses!r}"
        )
    return None


def not_a_rule(given: object) -> str | None:
    """What to say about ``given`` where a rule or None is expected, or None where it is one.

    Example:
        >>> not_a_rule("gevb")
        "expected a rule such as GEVB(), or None, got 'gevb'; neurosim.plasticity.rule_named('gevb') makes one by name"
    """
    if given is None or isinstance(given, PlasticityRule):
        return None
    by_name = f"; neurosim.plasticity.rule_named({given!r}) makes one by name" if isinstance(given, str) else ""
    return f"expected a rule such as GEVB(), or None, got {given!r}{by_name or slip(given)}"


def rule_named(name: str) -> PlasticityRule:
    """A rule with its default hyperparameters.

    Raises:
        UnknownNameError: no such rule; the message lists those installed.
        CircuitError: a rule with a hyperparameter that has no default.

    Example:
        >>> rule_named("gevb")
        GEVB()
    """
    rules = available_rules()
    if name not in tuple(rules):  # a name may be anything, also what has no hash
        raise UnknownNameError("rule", name, rules, left_out(ENTRY_POINTS, no_rule))
    try:
        return rules[name]()
    except TypeError as error:
        raise CircuitError(
            f"rule '{name}' cannot be made by its name alone: {error}; give every setting a default, or make the rule "
            f"in Python"
        ) from error
