"""The conditions of the sign-match theorem: what every circuit meets, and the reason where it does not."""

from __future__ import annotations

import pytest
import torch
from attrs import frozen
from small_circuits import batch_for, small

from neurosim import (
    BP,
    DFA,
    GEVB,
    AvgPool,
    Binary,
    Circuit,
    Conv2d,
    Dense,
    FirstBinGate,
    Gate,
    HalfNormal,
    Local2d,
    OneHot,
    OnOff,
    SignGate,
    Simulator,
    Zeros,
)
from neurosim.analysis.active_paths import active_paths
from neurosim.analysis.sign_agreement import sign_agreement
from neurosim.circuits import available_circuits, load
from neurosim.errors import CircuitError, UnknownNameError
from neurosim.guarantees import guarantees
from neurosim.plasticity import available_rules, rule_named

NAMES = [
    "complete circuit",
    "constant credit",
    "one vector output unit",
    "nonnegative past the first layer",
    "gate form",
    "no weight sharing over space",
    "vectorized weight sharing",
]


def unmet(circuit: Circuit, rule: object = None) -> list[str]:
    found = circuit.guarantees(rule)
    assert [condition.name for condition in found.conditions] == NAMES
    assert all(condition.reason for condition in found.conditions)
    names = [condition.name for condition in found.conditions if not condition.met]
    assert found.met == (not names)
    return names


@pytest.mark.parametrize("name", available_circuits())
def test_every_registered_circuit(name: str) -> None:
    shared = ["no weight sharing over space"] if "conv" in name else []
    assert unmet(load(name, sign="nonnegative", rule=GEVB())) == shared
    assert unmet(load(name, sign="mixed", rule=GEVB())) == ["nonnegative past the first layer", *shared]
    assert unmet(load(name, sign="nonnegative", rule=BP())) == [], "the sum over places is the gradient"


def test_reasons_name_the_place_and_what_fits() -> None:
    mixed = load("mnist-conv", sign="mixed").guarantees()
    assert mixed["nonnegative past the first layer"].reason == (
        "'pool1->conv2' is mixed, 'pool2->fc1' is mixed, 'fc1->output' is mixed; use sign='nonnegative'"
    )
    assert "'input->conv1': Conv2d" in mixed["no weight sharing over space"].reason
    assert "uses each weight at 784 places" in mixed["no weight sharing over space"].reason
    assert str(mixed).count("NOT met") == 2 and "sign_agreement" in str(mixed)
    held = load("digits-fc").guarantees()
    assert "NOT" not in str(held) and "No update of a single example" in str(held)
    assert repr(held) == "<Guarantees: all conditions met>"
    with pytest.raises(UnknownNameError, match="gate form"):
        held["gates"]


def test_scalar_outputs() -> None:
    conventional = small("digits-fc", rule=BP(), readout=OneHot(10), K=1)
    assert unmet(conventional) == [], "everything follows the gradient itself"
    assert unmet(conventional, GEVB()) == ["constant credit", "one vector output unit"]
    assert "10 units of K = 1; use K=10" in conventional.guarantees(GEVB())["one vector output unit"].reason
    assert unmet(small("digits-fc", rule=GEVB(), readout=Binary(2), K=1)) == [], "Section 2: a scalar output"


def test_signs_are_free_where_everything_follows_the_gradient() -> None:
    mixed = load("digits-fc", sign="mixed")
    assert unmet(mixed, BP()) == []
    assert "follows the gradient itself" in mixed.guarantees(BP())["nonnegative past the first layer"].reason
    one_broadcast = mixed.with_rules(BP()).with_rules({"input->fc1": GEVB()})
    assert unmet(one_broadcast) == ["nonnegative past the first layer"]
    biases = one_hidden(GEVB(), learns=BP())
    biases.population("f2", (8,), gate=SignGate())
    biases.connect("input", "f2", Dense(), rule=BP())
    biases.connect("f2", "output", Dense(), rule=BP())
    assert unmet(biases) == ["nonnegative past the first layer"], "the bias of f1 learns by a broadcast"


def test_loose_ends() -> None:
    c = Circuit((1, 8, 8), OneHot(10))
    c.population("f1", (8,), gate=SignGate())
    c.connect("input", "f1", Dense(), rule=GEVB())
    assert unmet(c) == ["complete circuit"]
    assert "population 'output' has no input" in c.guarantees()["complete circuit"].reason
    c.connect("f1", "output", Dense(), rule=GEVB(), sign="nonnegative", init=OnOff())
    assert unmet(c) == []
    c.population("lonely", (2,))
    assert unmet(c) == ["complete circuit"]


@pytest.mark.usefixtures("wrong_types_allowed")
def test_rules_asked_for_need_no_bias_rule_and_are_refused_at_the_output_too() -> None:
    two = Circuit((1, 8, 8), OneHot(10))
    two.population("f1", (8,), gate=SignGate())
    two.connect("input", "f1", Dense(), rule=GEVB(), name="a")
    two.connect("input", "f1", Dense(), rule=DFA(), name="b")
    two.connect("f1", "output", Dense(), rule=GEVB(), sign="nonnegative", init=OnOff())
    assert unmet(two, BP()) == [] and unmet(two, GEVB()) == []
    assert unmet(two) == ["constant credit"], "and its bias does not know its rule"
    scalar = Circuit((1, 8, 8), OneHot(10), K=1)
    scalar.population("f1", (8,), bias=None)
    scalar.connect("input", "f1", Dense())
    scalar.connect("f1", "output", Dense(), rule=BP())
    assert unmet(scalar) == []
    assert "constant credit" in unmet(scalar, GEVB()), "it cannot apply at ten outputs"
    with pytest.raises(CircuitError, match="guarantees: expected a rule such as GEVB.., or None, got 'gevb'"):
        guarantees(scalar, "gevb")  # type: ignore[arg-type]


def test_how_many_groups_are_past_the_first_layer() -> None:
    def said(c: Circuit) -> str:
        return c.guarantees()["nonnegative past the first layer"].reason

    assert said(one_hidden("shared")) == "the only group past the first layer is nonnegative"
    assert said(load("digits-fc")) == "2 groups past the first layer are nonnegative"


@pytest.mark.parametrize("name", available_rules())
def test_every_rule(name: str) -> None:
    found = unmet(load("digits-fc"), rule_named(name))
    assert found == ([] if name in ("gevb", "bp") else ["constant credit"])


def test_only_learning_groups_matter_for_sharing_over_space() -> None:
    c = load("mnist-conv")
    frozen_convolutions = {name: None for name, g in c.groups.items() if isinstance(g.connectivity, Conv2d)}
    assert unmet(c.with_rules(frozen_convolutions)) == []
    assert unmet(c.with_rules(None)) == ["constant credit"], "nothing learns"


def one_hidden(bias_rule: object, learns: object = GEVB()) -> Circuit:
    c = Circuit((1, 8, 8), OneHot(10))
    c.population("f1", (8,), gate=SignGate(), bias_rule=bias_rule)
    c.connect("input", "f1", Dense(), rule=learns)
    c.connect("f1", "output", Dense(), rule=GEVB(), sign="nonnegative", init=OnOff())
    return c


def test_a_bias_is_judged_by_its_own_rule() -> None:
    c = one_hidden(DFA())
    assert unmet(c) == ["constant credit"]
    assert "'bias of f1' learns by DFA" in c.guarantees()["constant credit"].reason
    assert "whose credit differs between units" in c.guarantees()["constant credit"].reason
    assert unmet(c, GEVB()) == [], "rule= is the rule of biases too"
    assert unmet(one_hidden(BP())) == unmet(one_hidden(None)) == []
    images, labels = batch_for(c, 6)

    def bias_update(rule: object) -> torch.Tensor:
        return Simulator(one_hidden(rule), seed=1).probe(images[:1], labels[:1]).updates["bias of f1"]

    assert bool((bias_update(DFA()) * bias_update(BP()) < 0).any()), "and it does oppose the gradient"


def test_a_bias_that_learns_alone_is_judged_by_the_rule_asked_for() -> None:
    """Where no group into its population learns."""
    c = one_hidden(GEVB(), learns=None)
    assert c.bias_rule("f1") == GEVB() and unmet(c) == unmet(c, GEVB()) == unmet(c, BP()) == []
    assert unmet(c, DFA()) == ["constant credit"]
    assert "'bias of f1' learns by DFA" in c.guarantees(DFA())["constant credit"].reason
    assert unmet(one_hidden(None, learns=None), DFA()) == [], "the output's update is the gradient whatever the rule"


def test_a_bias_without_a_rule_is_named() -> None:
    c = one_hidden("shared")
    c.connect("input", "f1", Dense(), rule=DFA(), name="second")
    found = c.guarantees()["constant credit"]
    assert not found.met and "population 'f1': its groups learn by different rules" in found.reason


def test_a_convolution_by_the_exact_rule_below_a_broadcast() -> None:
    """Its sum over places is the gradient; every other update keeps the gradient's sign."""
    c = Circuit((1, 6, 6), OneHot(4))
    c.population("c1", (4, ...), gate=SignGate(), bias="channel")
    c.connect("input", "c1", Conv2d(3), rule=BP())
    c.population("f1", (8,), gate=SignGate())
    c.connect("c1", "f1", Dense(), rule=GEVB(), sign="nonnegative", init=OnOff())
    c.connect("f1", "output", Dense(), rule=GEVB(), sign="nonnegative", init=OnOff())
    assert unmet(c) == []
    assert unmet(c, GEVB()) == ["no weight sharing over space"]
    simulator = Simulator(c, seed=1, precision="float64")
    found = sign_agreement(simulator, *batch_for(c, 6))
    assert {name: agreement.disagree for name, agreement in found.items()} == dict.fromkeys(c.groups, 0)


def test_the_conditions_are_sufficient_not_necessary() -> None:
    """A mixed branch in which nothing learns by a broadcast opposes nothing, and is not covered."""
    c = one_hidden("shared")
    c.population("f2", (8,), gate=SignGate())
    c.connect("input", "f2", Dense(), rule=None)
    c.connect("f2", "output", Dense(), rule=GEVB())
    assert unmet(c) == ["nonnegative past the first layer"] and "sufficient, not necessary" in str(c.guarantees())
    found = sign_agreement(Simulator(c, seed=1, precision="float64"), *batch_for(c, 6))
    assert not any(agreement.disagree for agreement in found.values())


def test_a_convolution_with_one_place_shares_nothing() -> None:
    c = Circuit((1, 3, 3), OneHot(4))
    c.population("h", (2, ...), gate=FirstBinGate())
    c.connect("input", "h", Conv2d(3), rule=GEVB())
    c.connect("h", "output", Dense(), rule=GEVB(), sign="nonnegative", init=HalfNormal())
    assert unmet(c) == []


@frozen
class NegativeGate(Gate):
    def draw(self, components, channels, generator, source=None):
        return {}

    def open(self, constants, h, context=None):
        return torch.sign(h[:, 0])


@frozen
class GradedGate(NegativeGate):
    def open(self, constants, h, context=None):
        return torch.sigmoid(h[:, 0])


@frozen
class PartlyGradedGate(NegativeGate):
    """Graded over ``width`` of the pre-activations and constant elsewhere."""

    width: float = 1.0

    def open(self, constants, h, context=None):
        return (h[:, 0] / self.width).clamp(0.0, 1.0)


@frozen
class StepGate(NegativeGate):
    def open(self, constants, h, context=None):
        return 1.0 + (h[:, 0] > 0).to(h.dtype)


@pytest.mark.parametrize(
    ("gate", "reason"),
    [
        (NegativeGate(), "is negative"),
        (GradedGate(), "not piecewise"),
        (PartlyGradedGate(), "not piecewise"),  # of a third of what is tried
        (PartlyGradedGate(0.1), "not piecewise"),  # of 4 in 100
        (StepGate(), ""),
    ],
)
def test_gates_of_others_are_tried(gate: Gate, reason: str) -> None:
    c = small("digits-fc", rule=GEVB(), gate=SignGate())
    for name in ("fc1", "fc2"):
        c.graph.nodes[name]["population"] = c.populations[name].__class__(name, (6,), gate=gate)
    assert unmet(c) == (["gate form"] if reason else [])
    assert reason in c.guarantees()["gate form"].reason


@frozen
class OtherPool(AvgPool):
    pass


def test_inhibition_and_relays_of_others() -> None:
    c = Circuit((1, 4, 4), OneHot(4))
    c.population("h", (2, ...), gate=SignGate())
    c.connect("input", "h", Local2d(3, padding=1), rule=GEVB())
    c.relay("r", "h", AvgPool(2))
    c.connect("r", "output", Dense(), rule=GEVB(), sign="nonnegative", init=HalfNormal())
    assert unmet(c) == []
    c.connect("r", "output", Dense(), sign="nonpositive", init=Zeros(), name="inhibition")
    assert "'inhibition' is nonpositive" in c.guarantees()["nonnegative past the first layer"].reason
    c.relay("s", "h", OtherPool(2))
    assert "the relay 's' by OtherPool" in c.guarantees()["nonnegative past the first layer"].reason


@pytest.mark.parametrize("name", available_circuits())
def test_active_paths_of_every_circuit(name: str) -> None:
    """By reachability, as positive exact credit shows it."""
    simulator = Simulator(small(name, rule=GEVB()), seed=1)
    images, labels = batch_for(simulator.circuit, 6)
    found, step = active_paths(simulator, images), simulator.probe(images, labels)
    for population, share in found.missing.items():
        gate = step.activity.gates[population]
        silent = gate * (step.credit(population, BP()) == 0)
        assert share == pytest.approx(float(silent.sum() / gate.sum()), abs=1e-6)
    assert found.condition.met == (max(found.missing.values()) == 0)
    assert "without an active path" in found.condition.reason or found.condition.met


def test_active_paths_of_positive_weights() -> None:
    c = Circuit(8, OneHot(4))
    c.population("h", 10, gate=SignGate())
    c.connect("input", "h", Dense(), rule=GEVB())
    c.connect("h", "output", Dense(), rule=GEVB(), sign="nonnegative", init=HalfNormal())
    assert active_paths(Simulator(c), torch.ones(2, 8)).condition.met
