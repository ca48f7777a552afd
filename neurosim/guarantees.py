"""Which conditions of the sign-match theorem (Section 3.3) a circuit meets.

With one vector output unit, nonnegative weights past the first layer and gates ``G(h) >= 0`` that are piecewise
constant, the gradient of one example is a nonnegative factor per postsynaptic unit times GEVB's update (Eq. 14), so
the two never differ in sign. What follows is read off the description; whether each unit has an active path to the
output (Appendix C) depends on weights and images: :func:`neurosim.analysis.active_paths`. Together the conditions are
sufficient, not necessary: a circuit that misses one, such as a mixed branch in which nothing learns by a broadcast
beside a nonnegative one, may have no opposed update all the same.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import networkx as nx
import torch
from attrs import frozen

from neurosim.circuit_checks import loose_ends
from neurosim.connectivity import AvgPool
from neurosim.connectivity.base import count
from neurosim.errors import CircuitError, SimulationError, UnknownNameError
from neurosim.plasticity import CreditForm, PlasticityRule, not_a_rule, rule_named
from neurosim.populations import Population, SynapseGroup
from neurosim.streams import stream

if TYPE_CHECKING:
    from neurosim.circuit import Circuit


@frozen
class Condition:
    """One condition of the theorem.

    Attributes:
        name: of the condition.
        met: whether it holds.
        reason: where and why it does not; where it does, what makes it hold.
    """

    name: str
    met: bool
    reason: str

    def __str__(self) -> str:
        return f"{'met    ' if self.met else 'NOT met'}  {self.name}: {self.reason}"


@frozen(repr=False)
class Guarantees:
    """The conditions of a circuit, in a fixed order; printed, one a line.

    Attributes:
        conditions: all of them.
    """

    conditions: tuple[Condition, ...]

    @property
    def met(self) -> bool:
        """Whether every condition holds: the theorem covers each single example."""
        return all(condition.met for condition in self.conditions)

    def __getitem__(self, name: str) -> Condition:
        named = {condition.name: condition for condition in self.conditions}
        if name not in named:
            raise UnknownNameError("condition", name, named)
        return named[name]

    def __repr__(self) -> str:
        unmet = [condition.name for condition in self.conditions if not condition.met]
        return f"<Guarantees: {'all conditions met' if not unmet else 'not met: ' + ', '.join(unmet)}>"

    def __str__(self) -> str:
        if self.met:
            verdict = (
                "No update of a single example is opposed to the gradient (a batch sums examples; see Section 3.3)."
            )
        else:
            verdict = (
                "The theorem does not cover this circuit (its conditions are sufficient, not necessary); measure it "
                "with neurosim.analysis.sign_agreement."
            )
        return "\n".join([*map(str, self.conditions), verdict])


def guarantees(circuit: Circuit, rule: PlasticityRule | None = None) -> Guarantees:
    """Check a circuit against every condition of the theorem that its description decides.

    Args:
        circuit: complete or not.
        rule: judged as the rule of every learning group (of all groups where nothing learns) and learning bias; by
            default each group's and each bias's own.

    Raises:
        CircuitError: ``rule`` is no rule.

    Example:
        >>> from neurosim import circuits
        >>> print(guarantees(circuits.load("digits-fc", sign="mixed"))["nonnegative past the first layer"].reason)
        'fc1->fc2' is mixed, 'fc2->output' is mixed; use sign='nonnegative'
        >>> guarantees(circuits.load("mnist-conv"))
        <Guarantees: not met: no weight sharing over space>
    """
    if (reason := not_a_rule(rule)) is not None:
        raise CircuitError(f"guarantees: {reason}")
    learning = [group for group in circuit.groups.values() if group.rule is not None]
    if not learning and rule is not None:
        learning = list(circuit.groups.values())
    constant = _constant_credit(circuit, learning, rule)
    inexact = [group for group in learning if not _exact(group, rule)]
    follows = constant.met and not inexact and not _inexact_biases(circuit, rule)  # every update is the gradient itself
    return Guarantees(
        (
            _complete(circuit),
            constant,
            _one_output(circuit, follows),
            _nonnegative(circuit, follows),
            _gate_form(circuit),
            _no_sharing_over_space(circuit, inexact),
            _shared_by_components(circuit, inexact),
        )
    )


def _complete(circuit: Circuit) -> Condition:
    """What no signal reaches or leaves can neither learn nor be judged; :meth:`Circuit.check` refuses it."""
    return _condition("complete circuit", loose_ends(circuit), "", "every population hears the input and is heard")


def _condition(name: str, found: list[str], advice: str, holds: str) -> Condition:
    """Met where nothing against it was found."""
    if not found:
        return Condition(name, True, holds)
    return Condition(name, False, ", ".join(found) + (f"; {advice}" if advice else ""))


def _exact(group: SynapseGroup, rule: PlasticityRule | None) -> bool:
    """Whether a group's update is the gradient itself: at the output the engine applies it whatever the rule."""
    return group.post == "output" or (rule if rule is not None else group.rule) == rule_named("bp")


def _inexact_biases(circuit: Circuit, rule: PlasticityRule | None) -> bool:
    """Whether a bias before the output learns by another rule than BP, where no rule is judged by its own."""
    if rule is not None:  # then every bias that learns is judged by it, whether it knows a rule of its own or not
        return rule != rule_named("bp")
    own = [circuit.bias_rule(name) for name in circuit.populations if name != "output"]
    return any(each is not None and each != rule_named("bp") for each in own)


def _constant_credit(circuit: Circuit, learning: list[SynapseGroup], rule: PlasticityRule | None) -> Condition:
    """The same positive credit for every unit (Eq. 9), or the exact one (Eq. 14)."""
    found: list[str] = []
    for group in learning:
        judged = rule if rule is not None else group.rule
        if judged is not None:
            judging = _refused if _exact(group, rule) else _inconstant
            found += judging(circuit, f"'{group.name}'", judged, [group])
    found += _inconstant_biases(circuit, learning, rule)
    if not learning:
        found.append("no group learns")
    holds = "every unit gets the same positive credit, or the exact one"
    return _condition("constant credit", found, "the theorem is about GEVB", holds)


def _refused(circuit: Circuit, learner: str, rule: PlasticityRule, into: list[SynapseGroup]) -> list[str]:
    """What a group or bias learns by, where that cannot apply."""
    reasons = [reason for group in into if (reason := rule.refusal(circuit, group)) is not None]
    return [f"{learner}: {rule} cannot apply: {reasons[0]}"] if reasons else []


def _inconstant(circuit: Circuit, learner: str, rule: PlasticityRule, into: list[SynapseGroup]) -> list[str]:
    """What a group or bias learns by, where that cannot apply or tells units apart."""
    if refused := _refused(circuit, learner, rule, into):
        return refused
    if rule != rule_named("bp") and rule.form(circuit) is not CreditForm.BROADCAST:
        return [f"{learner} learns by {rule}, whose credit differs between units"]
    return []


def _inconstant_biases(circuit: Circuit, learning: list[SynapseGroup], judged: PlasticityRule | None) -> list[str]:
    """A bias has a rule of its own where it does not learn as a group into its population does."""
    found: list[str] = []
    heard = {group.post for group in learning}
    for population in circuit.populations.values():
        if population.name == "output":
            continue
        into = circuit.into(population.name)
        if judged is not None and population.name in heard:  # by the same rule as the group, which was judged
            continue
        try:
            rule = circuit.bias_rule(population.name)
        except CircuitError as error:
            found.append(str(error))
            continue
        if rule is not None and rule not in [group.rule for group in into]:  # else the group was judged
            found += _inconstant(circuit, f"'bias of {population.name}'", rule if judged is None else judged, into)
    return found


_FOLLOWS = "not needed: everything that learns follows the gradient itself"


def _one_output(circuit: Circuit, follows: bool) -> Condition:
    units = circuit.output_units
    if follows and units > 1:
        return Condition("one vector output unit", True, _FOLLOWS)
    found = [f"the output has {units} units of K = {circuit.K}"] if units > 1 else []
    advice = f"use K={circuit.readout.length}, one vector output unit"
    return _condition("one vector output unit", found, advice, f"one output unit of K = {circuit.K} components")


def _nonnegative(circuit: Circuit, follows: bool) -> Condition:
    """Every group between vector units; the first layer and all biases are free (Appendix B)."""
    populations = circuit.populations
    past = [group for group in circuit.groups.values() if not populations[group.pre].scalar]
    found = [f"'{group.name}' is {group.sign}" for group in past if group.sign != "nonnegative"]
    advice = "use sign='nonnegative'" if found else "only AvgPool is"
    for relay in (p for p in populations.values() if p.relay_of is not None and not p.scalar):
        connectivity = circuit.into(relay.name)[0].connectivity
        if type(connectivity) is not AvgPool:
            found.append(f"the relay '{relay.name}' by {connectivity} is not known to be nonnegative")
    if found and follows:
        return Condition("nonnegative past the first layer", True, _FOLLOWS)
    number = {0: "no group is past the first layer", 1: "the only group past the first layer is nonnegative"}
    holds = number.get(len(past), f"{len(past)} groups past the first layer are nonnegative")
    return _condition("nonnegative past the first layer", found, advice, holds)


def _gate_form(circuit: Circuit) -> Condition:
    found: list[str] = []
    for population in circuit.populations.values():
        if population.gate is not None and type(population.gate).__module__ != "neurosim.gates":
            found += _gate_slips(circuit, population)
    holds = "a = G(h) h with G >= 0 and piecewise constant (linear: G = 1)"
    return _condition("gate form", found, "the theorem needs G >= 0, piecewise constant (Eq. 7)", holds)


def _gate_slips(circuit: Circuit, population: Population) -> list[str]:
    """Another package's gate, tried on random pre-activations: a negative or a graded G shows at once."""
    gate, shape = population.gate, population.shape
    assert gate is not None
    source = gate.listens_to
    generator = stream(0, "guarantees", population.name)
    heard = circuit.populations[source].shape if source is not None else None
    listening: dict[str, tuple[int, ...] | None] = {"source": heard} if source is not None else {}
    where = f"the gate of '{population.name}', {gate},"
    try:
        constants = gate.draw(circuit.K, shape[0], generator, **listening)
        h = torch.randn(8, circuit.K, *shape, generator=generator, dtype=torch.float64, device="cpu")
        context: dict[str, torch.Tensor] = {}
        if heard is not None:
            context = {"context": torch.randn(8, *heard, generator=generator, dtype=torch.float64, device="cpu")}
        opened, nearby = gate.open(constants, h, **context), gate.open(constants, h * (1 + 1e-7), **context)
    except (CircuitError, SimulationError, RuntimeError, TypeError, ValueError) as error:
        return [f"{where} could not be tried on random numbers ({error})"]
    slips = [f"{where} is negative for some h"] if bool((opened < 0).any()) else []
    if float((opened != nearby).double().mean()) > 0.01:  # a step is hardly ever that near
        slips.append(f"{where} is not piecewise constant")
    return slips


def _no_sharing_over_space(circuit: Circuit, learning: list[SynapseGroup]) -> Condition:
    """A weight used at several places gets a sum of updates, in which the places' factors differ (Appendix G).

    Where the rule is the exact one that sum is the gradient, so only the other groups are asked. A bias that places
    share is no matter: its update has the error's sign at every one of them.
    """
    found = []
    for group in learning:
        pre, post = circuit.populations[group.pre].shape, circuit.populations[group.post]
        weights = count(group.connectivity.weight_shape(pre, post.shape))
        synapses = group.connectivity.fan_in(pre) * post.units
        if weights < synapses:
            found.append(f"'{group.name}': {group.connectivity} uses each weight at {synapses // weights} places")
    advice = "a sum over places may have another sign than its gradient; use Local2d or Dense"
    return _condition(
        "no weight sharing over space",
        found,
        advice,
        "every weight that learns is one synapse, or learns by the exact rule",
    )


def _shared_by_components(circuit: Circuit, learning: list[SynapseGroup]) -> Condition:
    """Below an untied group the Jacobian is diagonal, but no longer proportional to the identity (Eq. 12).

    An update that does not sum over components keeps its sign even so: of the first layer, of untied groups.
    """
    untied = [group for group in circuit.groups.values() if group.untied]
    found = []
    for group in learning:
        if circuit.populations[group.pre].scalar or group.untied:
            continue
        above = nx.descendants(circuit.graph, group.post) | {group.post}
        crossed = [f"'{other.name}'" for other in untied if other.pre in above]
        if crossed:
            found.append(f"'{group.name}' is tied, and its signals cross untied {' and '.join(crossed)}")
    holds = "the K components of each unit have the same effect on the output"
    return _condition("vectorized weight sharing", found, "use sharing='tied'", holds)
