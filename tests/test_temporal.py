"""Vectorization in time: the same learning as side by side, bin by bin, and nothing known before it happens."""

from __future__ import annotations

import re
from collections.abc import Mapping
from itertools import product
from typing import Any

import attrs
import pytest
import torch
from small_circuits import batch_for, scatter_biases, small
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode

from neurosim import (
    BP,
    GEVB,
    SGD,
    Adam,
    AvgPool,
    Binary,
    Circuit,
    Conv2d,
    CreditForm,
    Dense,
    ExternalGate,
    FirstBinGate,
    Gate,
    HalfNormal,
    Local2d,
    OneHot,
    PlasticityRule,
    SignGate,
    Simulator,
)
from neurosim.credit import CreditContext
from neurosim.errors import CircuitError, SimulationError, UnknownNameError
from neurosim.feedback import ForwardSigns
from neurosim.plasticity import Signal
from neurosim.rules import DFA, FA, LocalError, NodePerturbation, SignSymmetric, ThreeFactorHebbian
from neurosim.schedule import schedule
from neurosim.temporal import Bin, TemporalPass
from neurosim.vectorization import ORDERS, Temporal

K = 3
GATES = {"sign": SignGate(), "first bin": FirstBinGate(), "external": ExternalGate(spread=0.2), "linear": None}
EARLY = {name: GATES[name] for name in ("first bin", "external", "linear")}
LOSSES = ("squared", "logistic")  #: whose error is known in its bin
READOUTS = {"cross-entropy": OneHot(K), "squared": OneHot(K, "squared"), "logistic": Binary(5)}
CONNECTIVITIES = {
    "dense": (Dense(), (6,)),
    "convolutional": (Conv2d(3, padding=1), (4, ...)),
    "local": (Local2d(3, padding=1), (4, ...)),
}
RULES = {
    "gevb": GEVB(), "bp": BP(), "fa": FA(), "dfa": DFA(), "sign-symmetric": SignSymmetric(ForwardSigns("redrawn")),
    "hebbian": ThreeFactorHebbian(), "node perturbation": NodePerturbation(), "local error": LocalError(),
}  # fmt: skip


def circuit(rule, gate: Gate | None, readout, connectivity: str = "dense", components: int | None = None) -> Circuit:
    """Two gated populations, a relay of the input and, in space, one between them, a skip, a frozen group."""
    first, shape = CONNECTIVITIES[connectivity]
    c = Circuit((2, 6, 6), readout, K=components)
    c.population("h1", shape, gate=gate, bias="channel")
    c.connect("input", "h1", first, rule=rule)
    c.relay("small", "input", AvgPool(2))
    pre = "h1"
    if connectivity != "dense":
        c.relay("pool", "h1", AvgPool(2))
        pre = "pool"
    c.population("h2", shape, gate=gate)
    c.connect(pre, "h2", first, rule=rule, sign="nonnegative", init=HalfNormal())
    if connectivity == "dense":
        c.connect("small", "h2", Dense(), rule=None)
    else:
        c.connect("small", "h2", first, rule=rule)
    c.connect("h2", "output", Dense(), rule=rule, sign="nonnegative", init=HalfNormal())
    c.connect("h1", "output", Dense(), rule=rule, name="skip")
    return c


def pair(c: Circuit, precision: str = "float64", vectorization: Any = "temporal", **options) -> tuple[Simulator, ...]:
    simulators = tuple(
        Simulator(c, precision=precision, vectorization=each, seed=1, **options) for each in ("group", vectorization)
    )
    for simulator in simulators:
        scatter_biases(simulator)
    return simulators


def furthest(one: Mapping[str, Tensor], other: Mapping[str, Tensor]) -> float:
    """The largest difference, relative to the largest entry of its tensor."""
    assert one.keys() == other.keys()
    assert all(bool(tensor.isfinite().all()) for tensor in other.values())
    return max(float((one[n] - other[n]).abs().max()) / max(float(one[n].abs().max()), 1e-300) for n in one)


def refused(c: Circuit) -> bool:
    try:
        c.check("temporal")
    except CircuitError:
        return True
    return False


# -- the same as side by side ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("readout", READOUTS)
@pytest.mark.parametrize("gate", GATES)
@pytest.mark.parametrize("connectivity", CONNECTIVITIES)
def test_group_and_temporal_give_the_same_step(connectivity: str, gate: str, readout: str) -> None:
    """Every rule that applies: updates, output, error, loss, mistakes, credit."""
    seen = 0
    for name, rule in RULES.items():
        c = circuit(rule, GATES[gate], READOUTS[readout], connectivity)
        if refused(c):
            assert (name, readout) == ("local error", "cross-entropy")
            continue
        group, temporal = (simulator.probe(*batch_for(c, 5)) for simulator in pair(c))
        assert furthest(group.updates, temporal.updates) <= 1e-12, name
        for what in ("output", "error", "loss"):
            assert furthest({what: getattr(group, what)}, {what: getattr(temporal, what)}) <= 1e-12, (name, what)
        assert torch.equal(group.mistakes, temporal.mistakes)
        credit = {p: step.credit(p) for p in ("h1", "h2", "output") for step in [group]}
        assert furthest(credit, {p: temporal.credit(p) for p in credit}) <= 1e-11, name
        seen += 1
    assert seen >= 7


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("gate", GATES)
@pytest.mark.parametrize("connectivity", CONNECTIVITIES)
def test_float32(connectivity: str, gate: str, rule: str) -> None:
    """Updates within 1e-5 of their largest entry, with every gate open on the same side."""
    # wide noise: where it is narrow, the difference of two losses has no more digits than that
    chosen = NodePerturbation(sigma=0.5) if rule == "node perturbation" else RULES[rule]
    c = circuit(chosen, GATES[gate], READOUTS["squared"], connectivity)
    group, temporal = (simulator.probe(*batch_for(c, 5)) for simulator in pair(c, "float32"))
    gates = zip(group.activity.gates.items(), temporal.activity.gates.values(), strict=True)
    flipped = {name: int((one != other).sum()) for (name, one), other in gates}
    assert not any(flipped.values()), f"gates at their threshold: {flipped}; choose another seed"
    assert furthest(group.updates, temporal.updates) <= 1e-5


def spread_out(*places: int) -> bool:
    """A third of all combinations: between any two of their parts every pair occurs."""
    return sum(places) % 3 == 0


def after_many_steps() -> list[Any]:
    """Every combination; in space, where a step is dear, those of early gates and most rules are spread out."""
    found = []
    for connectivity, gate, rule in product(CONNECTIVITIES, GATES, RULES):
        places = [
            list(table).index(key) for table, key in ((CONNECTIVITIES, connectivity), (GATES, gate), (RULES, rule))
        ]
        often = connectivity == "dense" or rule in ("gevb", "bp") or gate == "sign" or spread_out(*places)
        found.append(pytest.param(connectivity, gate, rule, marks=() if often else pytest.mark.slow))
    return found


@pytest.mark.parametrize(("connectivity", "gate", "rule"), after_many_steps())
def test_the_same_weights_after_fifty_steps(connectivity: str, gate: str, rule: str) -> None:
    c = circuit(RULES[rule], GATES[gate], READOUTS["logistic"], connectivity)
    group, temporal = pair(c, optimizer=SGD(0.01))
    start = group.state_dict()
    for number in range(50):
        data = batch_for(c, 4, seed=number)
        for simulator in (group, temporal):
            simulator.learn(*data)
    before, after = group.state_dict(), temporal.state_dict()
    assert before.keys() == after.keys()
    assert float((before["weights/input->h1"] - start["weights/input->h1"]).abs().max()) > 1e-6
    assert max(float((before[name] - after[name]).abs().max()) for name in before) <= 1e-9


@pytest.mark.parametrize("name", ["mnist-conv", "cifar10-lc"])
def test_bfloat16_stays_close(name: str) -> None:
    """Gates near their threshold flip, and with them whole updates; not more of them than side by side."""
    c = small(name, rule=GEVB())
    exact = pair(c, "float32")[0].probe(*batch_for(c, 4)).updates
    group, temporal = (s.probe(*batch_for(c, 4)) for s in pair(c, "bfloat16"))

    def away(updates: Mapping[str, Tensor]) -> float:
        off = torch.cat([(updates[name] - exact[name]).flatten() for name in exact])
        return float(off.norm() / torch.cat([update.flatten() for update in exact.values()]).norm())

    assert away(temporal.updates) <= 2 * away(group.updates) <= 0.5
    assert furthest({"output": group.output}, {"output": temporal.output}) <= 0.1


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("components", [1, None])
def test_one_component_is_one_bin(order: str, components: int | None) -> None:
    """A conventional network, with many outputs or one: any gate and loss are known in the only bin."""
    for rule, readout in ((BP(), OneHot(3)), (GEVB(), Binary(2)), (LocalError(), Binary(2))):
        if components is None and readout.length > 1:
            continue
        c = circuit(rule, SignGate(), readout, components=components)
        group, temporal = pair(c, vectorization=Temporal(order))
        assert temporal.presentations == 1
        one, other = group.probe(*batch_for(c, 5)), temporal.probe(*batch_for(c, 5))
        assert all(torch.equal(one.updates[name], other.updates[name]) for name in one.updates)


#: the rules that need no outcome; test_temporal_causality.py counts them
CAUSAL = ("gevb", "bp", "fa", "dfa", "sign-symmetric", "local error")


def causal_circuits() -> list[Any]:
    """Every combination of connectivity, early gate and rule with one loss; with the other one they are slow."""
    found = []
    for combination in product(enumerate(CONNECTIVITIES), enumerate(EARLY), enumerate(CAUSAL), enumerate(LOSSES)):
        places, names = zip(*combination, strict=True)
        found.append(pytest.param(*names, marks=() if sum(places) % 2 == 0 else pytest.mark.slow))
    return found


@pytest.mark.parametrize(("connectivity", "gate", "rule", "loss"), causal_circuits())
def test_causal_equals_replay(connectivity: str, gate: str, rule: str, loss: str) -> None:
    c = circuit(RULES[rule], GATES[gate], READOUTS[loss], connectivity)
    _, replay = pair(c, vectorization=Temporal("replay"))
    _, causal = pair(c, vectorization=Temporal("causal"))
    assert causal.presentations == 1
    one, other = replay.probe(*batch_for(c, 5)), causal.probe(*batch_for(c, 5))
    for what in ("output", "error", "loss"):
        assert furthest({what: getattr(one, what)}, {what: getattr(other, what)}) <= 1e-12
    assert furthest(one.updates, other.updates) <= 1e-12


@pytest.mark.parametrize("rule", ["gevb", "bp", "hebbian", "node perturbation"])
def test_slices_change_nothing(rule: str, monkeypatch: pytest.MonkeyPatch) -> None:
    c = circuit(RULES[rule], SignGate(), READOUTS["cross-entropy"], "local")
    (_, simulator), steps = pair(c), []
    for size in (2**40, 1, 5000):
        monkeypatch.setattr("neurosim.temporal._SLICE_BYTES", size)
        step = simulator.probe(*batch_for(c, 7))
        again = Simulator(c, precision="float64", vectorization="temporal", seed=1)
        scatter_biases(again)
        learnt = again.learn(*batch_for(c, 7))
        steps.append((step, learnt, again.state_dict()))
    whole = steps[0]
    for step, learnt, state in steps[1:]:
        assert furthest(whole[0].updates, step.updates) <= 1e-11
        assert furthest(whole[0].activity.activations, step.activity.activations) <= 1e-12
        assert furthest({"error": whole[1].error}, {"error": learnt.error}) <= 1e-12
        assert max(float((whole[2][n] - state[n]).abs().max()) for n in state) <= 1e-5  # Adam's first step is a sign
        if rule == "gevb":
            assert torch.equal(whole[1].credit("h1"), learnt.credit("h1"))


@pytest.mark.parametrize(
    ("rules", "slices"),
    [
        ({"h1": "gevb", "h2": "gevb"}, 8),
        ({"h1": "gevb", "h2": None}, 8),
        ({"h1": "gevb", "h2": "bp"}, 11),
        ({"h1": "gevb", "h2": "hebbian"}, 11),
        ({"h1": "fa", "h2": "fa"}, 11),
        ({"h1": "local error", "h2": "gevb"}, 11),
        ({"h1": "node perturbation", "h2": "node perturbation"}, 11),
    ],
    ids=str,
)
def test_slices_are_smaller_beside_credit_of_every_unit(
    rules: dict[str, str | None], slices: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A batch that fills 8 slices takes 8 / (3 / 4), rounded, where one rule's credit lies beside activity."""
    c = Circuit((1, 4, 4), READOUTS["squared"])
    pre = "input"
    for name, rule in rules.items():
        c.population(name, 100, gate=FirstBinGate())
        c.connect(pre, name, Dense(), rule=None if rule is None else RULES[rule])
        pre = name
    c.connect(pre, "output", Dense(), rule=GEVB())
    run = Simulator(c, precision="float64", vectorization="temporal")._pass
    monkeypatch.setattr("neurosim.temporal._SLICE_BYTES", 88 * 100)  # h1 and h2 are the largest: 88 * 100 * 8 bytes
    images = torch.zeros(88, 1, 4, 4, dtype=torch.float64, device="cpu")
    parts = run.slices(images)
    assert {part.stop - part.start for part in parts} == {88 // slices}
    assert [row for part in parts for row in range(88)[part]] == list(range(88))
    assert run.slices(images.to("meta")) == [slice(0, 88)], "in one elsewhere than on the cpu"


def test_forward_records_all_bins() -> None:
    c = circuit(GEVB(), SignGate(), READOUTS["squared"], "convolutional")
    group, temporal = pair(c)
    images, labels = batch_for(c, 5)
    one, other = (simulator.forward(images, keep="all") for simulator in (group, temporal))
    for kind in ("activations", "gates", "pre_activations"):
        assert furthest(getattr(one, kind), getattr(other, kind)) <= 1e-12
    some = temporal.forward(images, keep=["h1"])
    assert (set(some.activations), set(some.gates), set(some.pre_activations)) == ({"h1"}, {"h1"}, {"h1"})
    assert torch.equal(group.predict(images), temporal.predict(images))
    losses, mistakes = temporal.score(images, labels)
    assert abs(float(losses) - float(group.score(images, labels)[0])) <= 1e-12
    assert torch.equal(mistakes, group.score(images, labels)[1])


@pytest.mark.parametrize(("rule", "shape"), [(LocalError(), (5, K, 6)), (BP(), (5, 6))], ids=str)
def test_what_a_step_keeps(rule: PlasticityRule, shape: tuple[int, ...]) -> None:
    """No activity and no credit, of which all examples' together would be as large as the rest of a step."""
    c = circuit(rule, FirstBinGate(), READOUTS["squared"])
    _, simulator = pair(c)
    data = batch_for(c, 5)
    step = simulator.learn(*data)
    assert step.activity.activations == {} and step.activity.gates == {}
    advice = re.escape(f"use probe(images, labels).credit('h1', {rule})")
    with pytest.raises(SimulationError, match=rf"\(or, in time bins, was not kept\), .*{advice}"):
        step.credit("h1")
    assert simulator.probe(*data).credit("h1").shape == shape
    assert torch.equal(step.credit("output"), torch.ones(5, 1, dtype=torch.float64)), "a broadcast takes no memory"


def test_no_hidden_tensor_holds_all_components(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a bin leaves is one component of one slice, and what is learnt from it no larger."""
    shapes: list[tuple[int, ...]] = []
    run = TemporalPass.bin

    def spied(self: TemporalPass, *arguments: Any) -> Bin:
        now = run(self, *arguments)
        shapes.extend(tuple(a.shape) for a in now.activations.values())
        return now

    monkeypatch.setattr(TemporalPass, "bin", spied)
    c = small("mnist-conv", rule=BP(), readout=OneHot(10, "squared"), gate=FirstBinGate())
    Simulator(c, vectorization="temporal").learn(*batch_for(c, 4))
    units = {(4, *population.shape) for population in c.populations.values()}
    assert shapes and set(shapes) <= units


# -- presentations ---------------------------------------------------------------------------------------------------

PRESENTATIONS = [
    # gates, rule, readout, with the gates known early, presentations
    ("sign", "gevb", "cross-entropy", 2 + 1 + 1),
    ("sign", "gevb", "squared", 2 + 1),
    ("sign", "bp", "logistic", 2 + 1),
    ("sign", "hebbian", "squared", 2 + 1 + 1),
    ("sign", "hebbian", "cross-entropy", 2 + 1 + 1),
    ("sign", "node perturbation", "squared", 2 + 1 + 1 + 1),
    ("first bin", "gevb", "cross-entropy", 1 + 1),
    ("first bin", "gevb", "squared", 1),
    ("external", "bp", "logistic", 1),
    ("linear", "gevb", "squared", 1),
]


@pytest.mark.parametrize(("gate", "rule", "readout", "expected"), PRESENTATIONS)
def test_presentations(gate: str, rule: str, readout: str, expected: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """As many as are announced happen, each bin by bin."""
    c = circuit(RULES[rule], GATES[gate], READOUTS[readout])
    _, simulator = pair(c)
    bins: list[int] = []
    run = TemporalPass.bin

    def counted(self: TemporalPass, stimulus: Any, component: int, *arguments: Any) -> Bin:
        bins.append(component)
        return run(self, stimulus, component, *arguments)

    monkeypatch.setattr(TemporalPass, "bin", counted)
    simulator.learn(*batch_for(c, 3))
    assert simulator.presentations == expected
    assert bins == list(range(c.K)) * expected


def test_depth_is_that_of_gates_that_look_ahead() -> None:
    c = Circuit(4, OneHot(3, "squared"))
    c.population("a", 2, gate=SignGate())
    c.connect("input", "a", Dense(), rule=GEVB())
    c.population("b", 2, gate=FirstBinGate())
    c.connect("a", "b", Dense(), rule=GEVB())
    c.population("c", 2, gate=SignGate())
    c.connect("b", "c", Dense(), rule=GEVB())
    c.connect("c", "output", Dense(), rule=GEVB())
    assert schedule(c).levels == {"input": 0, "a": 1, "b": 1, "c": 2, "output": 2}
    group, temporal = pair(c)
    assert temporal.presentations == 3
    one, other = group.probe(*batch_for(c, 5)), temporal.probe(*batch_for(c, 5))
    assert furthest(one.updates, other.updates) <= 1e-12


# -- refusals --------------------------------------------------------------------------------------------------------


@attrs.frozen
class _Late(Gate):
    """Looks at all bins at once, and cannot say how bin by bin."""

    def draw(self, components, channels, generator, source=None):
        return {}

    def open(self, constants, h, context=None):
        return (h.amax(1) >= 0).to(h.dtype)


@attrs.frozen
class _Mixing(PlasticityRule):
    """Credit that mixes the components of a unit."""

    needs = frozenset({"activation"})

    def form(self, circuit: Circuit) -> CreditForm:
        return CreditForm.PER_COMPONENT

    def credit(self, context: CreditContext) -> Tensor:
        return context.activation.flip(1)


@attrs.frozen
class _Jittered(PlasticityRule):
    """Compares activity with a perturbed presentation."""

    needs = frozenset({"activation"})
    uses = frozenset(Signal)

    def form(self, circuit: Circuit) -> CreditForm:
        return CreditForm.PER_COMPONENT

    def bin_refusal(self, circuit: Circuit) -> str | None:
        return None

    def credit(self, context: CreditContext) -> Tensor:
        return context.activation * context.noise()


REFUSALS = {  # fmt: skip
    "gate": ("causal", circuit(GEVB(), SignGate(), OneHot(K, "squared")),
             r"causal order: the gate of population 'h1', SignGate\(\), is known only after the last bin; use "
             r"FirstBinGate\(\) or ExternalGate\(\); the gate of population 'h2'.*or Temporal\(order='replay'\) as"),
    "loss": ("causal", circuit(GEVB(), FirstBinGate(), OneHot(K)),
             r"the error of the loss 'cross_entropy' is known only after the last bin.*use OneHot\(3, loss='squared'\) "
             r"or loss='logistic'; or Temporal\(order='replay'\)"),
    "modulator": ("causal", circuit(ThreeFactorHebbian(), FirstBinGate(), OneHot(K, "squared")),
                  r"the credit of the rule ThreeFactorHebbian\(rate=0.05, .*\) at population 'h1' is known only after"),
    "noise": ("causal", circuit(NodePerturbation(), FirstBinGate(), OneHot(K, "squared")),
              r"NodePerturbation\(sigma=0.01\) at population 'h1' compares with a second, perturbed presentation"),
    "late gate": ("replay", circuit(GEVB(), _Late(), OneHot(K)),
                  r"the gate of population 'h1', _Late\(\), cannot be computed bin by bin.*vectorization='group'"),
    "local error": ("replay", circuit(LocalError(), SignGate(), OneHot(K)),
                    r"LocalError\(\) at population 'h1' cannot be computed bin by bin: the error of the loss "
                    r"'cross_entropy' at a unit needs all its components at once; use loss='squared' or 'logistic'; or "
                    r"use vectorization='group'"),
    "mixing": ("replay", circuit(_Mixing(), SignGate(), OneHot(K)),
               r"_Mixing\(\) at population 'h1' cannot be computed bin by bin: it looks at the activation of all K"),
    "noise and activity": ("replay", circuit(_Jittered(), FirstBinGate(), OneHot(K, "squared")),
                           r"_Jittered\(\) at population 'h1' cannot be computed bin by bin: in a bin there is no"),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSALS)
def test_refusals(case: str) -> None:
    order, c, message = REFUSALS[case]
    with pytest.raises(CircuitError, match=message):
        c.check(Temporal(order))
    with pytest.raises(CircuitError, match=message):
        Simulator(c, vectorization=Temporal(order))
    c.check("group")


def test_an_unknown_order() -> None:
    with pytest.raises(UnknownNameError, match="unknown order of time bins 'causl'; did you mean 'causal'"):
        Temporal("causl")


@pytest.mark.usefixtures("wrong_types_allowed")
def test_neither_name_nor_vectorization() -> None:
    with pytest.raises(
        CircuitError, match=r"expected 'group', 'temporal', 'temporal:causal' or Temporal\(order=...\), got 3"
    ):
        circuit(GEVB(), None, OneHot(K)).check(3)  # type: ignore[arg-type]


# -- state -----------------------------------------------------------------------------------------------------------


def test_switching_between_vectorizations() -> None:
    """A state belongs to a circuit, not to the way it runs: learning goes on in the other mode."""
    c = circuit(ThreeFactorHebbian(), SignGate(), READOUTS["logistic"], "convolutional")
    group, temporal = pair(c, optimizer=Adam(1e-3))
    for number in range(4):
        group.learn(*batch_for(c, 4, seed=number))
        if number == 1:
            temporal.load_state_dict(group.state_dict())
        if number > 1:
            temporal.learn(*batch_for(c, 4, seed=number))
    before, after = group.state_dict(), temporal.state_dict()
    assert before.keys() == after.keys()
    assert max(float((before[name] - after[name]).abs().max()) for name in before) <= 1e-9
    assert (group.vectorization, temporal.vectorization) == ("group", "temporal")


@pytest.mark.parametrize(
    ("connectivity", "gate", "rules"),
    [
        ("dense", "sign", ["gevb", "bp", "hebbian", "node perturbation"]),
        ("convolutional", "first bin", ["gevb", "hebbian"]),
        ("local", "external", ["gevb", "hebbian"]),
    ],
)
def test_fake_cuda(connectivity: str, gate: str, rules: list[str]) -> None:
    for rule in rules:
        c = circuit(RULES[rule], GATES[gate], READOUTS["cross-entropy"], connectivity)
        with FakeTensorMode():
            simulator = Simulator(c, device="cuda", vectorization="temporal")
            images = torch.empty(4, *c.inputs, dtype=torch.uint8, device="cuda")
            labels = torch.empty(4, dtype=torch.int64, device="cuda")
            steps = [simulator.learn(images, labels), simulator.learn(images, labels), simulator.probe(images, labels)]
            made = [tensor for step in steps for tensor in (step.output, step.loss, *step.updates.values())]
            made += [simulator.predict(images), *simulator.score(images, labels)]
        assert {tensor.device.type for tensor in made} == {"cuda"}


def test_to_another_device_and_back() -> None:
    c = circuit(GEVB(), FirstBinGate(), READOUTS["squared"])
    _, simulator = pair(c)
    _, other = pair(c)
    moved = other.to("cpu")
    one, two = simulator.probe(*batch_for(c, 4)), moved.probe(*batch_for(c, 4))
    assert furthest(one.updates, two.updates) == 0
