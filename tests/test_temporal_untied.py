"""Untied synapses bin by bin: the same learning as side by side, from synapses of one component at a time."""

from __future__ import annotations

from typing import Any

import attrs
import pytest
import torch
from small_circuits import batch_for
from test_temporal import CONNECTIVITIES, EARLY, GATES, READOUTS, RULES, K, circuit, furthest, pair, refused
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode

from neurosim import (
    BP,
    GEVB,
    SGD,
    Circuit,
    CreditForm,
    Dense,
    FirstBinGate,
    HalfNormal,
    NoiseRelaxation,
    OneHot,
    PlasticityRule,
    Relaxation,
    SignGate,
    Simulator,
)
from neurosim.credit import CreditContext
from neurosim.errors import CircuitError, SimulationError
from neurosim.plasticity import Signal
from neurosim.relaxation import WeightRelaxation
from neurosim.temporal import Bin, TemporalPass
from neurosim.vectorization import Temporal

SHARINGS = ("untied", "tied and untied")


def untied(c: Circuit, sharing: str = "untied", relaxation: WeightRelaxation | None = None) -> Circuit:
    """All groups between vector units untied, or all but the skip and those into h2: so credit crosses only some."""
    whole = c.with_sharing("untied", relaxation)
    if sharing == "untied":
        return whole
    data = whole.to_dict()
    for group in data["groups"]:
        if group["post"] == "h2" or group["name"] == "skip":
            group |= {"sharing": "tied", "relaxation": None}
    return Circuit.from_dict(data)


def scattered(c: Circuit, *arguments: Any, **options: Any) -> tuple[Simulator, ...]:
    """As ``pair``; the components of untied weights differ, which start equal and would hide one taken for another."""
    simulators = pair(c, *arguments, **options)
    generator = torch.Generator().manual_seed(5)
    for name, group in c.groups.items():
        if group.untied:
            factor = 0.5 + torch.rand(simulators[0].weights[name].shape, generator=generator)
            for simulator in simulators:
                simulator.weights[name] = simulator.weights[name] * factor
    return simulators


# -- the same as side by side ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("sharing", "readout"), [*(("untied", readout) for readout in READOUTS), ("tied and untied", "logistic")]
)
@pytest.mark.parametrize("gate", GATES)
def test_group_and_temporal_give_the_same_step(sharing: str, gate: str, readout: str) -> None:
    """Every rule that applies, layered feedback through untied groups among them."""
    seen = 0
    for name, rule in RULES.items():
        c = untied(circuit(rule, GATES[gate], READOUTS[readout]), sharing)
        if refused(c):
            assert (name, readout) == ("local error", "cross-entropy")
            continue
        group, temporal = (simulator.probe(*batch_for(c, 5)) for simulator in scattered(c))
        assert all(float(update.abs().max()) > 1e-6 for update in group.updates.values())
        assert furthest(group.updates, temporal.updates) <= 1e-12, name
        assert furthest({"output": group.output}, {"output": temporal.output}) <= 1e-12, name
        credit = {p: group.credit(p) for p in ("h1", "h2", "output")}
        assert furthest(credit, {p: temporal.credit(p) for p in credit}) <= 1e-11, name
        seen += 1
    assert seen >= 7


@pytest.mark.parametrize("rule", ["gevb", "bp", "fa", "local error"])
@pytest.mark.parametrize("gate", ["sign", "first bin"])
@pytest.mark.parametrize("connectivity", ["convolutional", "local"])
def test_in_space(connectivity: str, gate: str, rule: str) -> None:
    c = untied(circuit(RULES[rule], GATES[gate], READOUTS["squared"], connectivity))
    group, temporal = (simulator.probe(*batch_for(c, 5)) for simulator in scattered(c))
    assert furthest(group.updates, temporal.updates) <= 1e-12
    group, temporal = (simulator.probe(*batch_for(c, 5)) for simulator in scattered(c, "float32"))
    assert furthest(group.updates, temporal.updates) <= 1e-5


@pytest.mark.parametrize("rule", ["gevb", "bp", "dfa", "fa", "sign-symmetric", "local error"])
@pytest.mark.parametrize("gate", EARLY)
@pytest.mark.parametrize("sharing", SHARINGS)
def test_causal_learning_takes_one_presentation(sharing: str, gate: str, rule: str) -> None:
    c = untied(circuit(RULES[rule], EARLY[gate], READOUTS["squared"]), sharing)
    group, causal = scattered(c, vectorization=Temporal("causal"))
    assert causal.presentations == 1
    assert furthest(group.probe(*batch_for(c, 5)).updates, causal.probe(*batch_for(c, 5)).updates) <= 1e-12


@pytest.mark.parametrize("rule", ["gevb", "bp", "hebbian", "node perturbation"])
def test_slices_change_nothing(rule: str, monkeypatch: pytest.MonkeyPatch) -> None:
    c = untied(circuit(RULES[rule], SignGate(), READOUTS["cross-entropy"], "local"), "tied and untied")
    (_, simulator), steps = scattered(c), []
    for size in (2**40, 1, 5000):
        monkeypatch.setattr("neurosim.temporal._SLICE_BYTES", size)
        steps.append(simulator.probe(*batch_for(c, 7)).updates)
    assert max(furthest(steps[0], other) for other in steps[1:]) <= 1e-11


def test_bfloat16_operands() -> None:
    c = untied(circuit(GEVB(), FirstBinGate(), READOUTS["squared"]))
    group, temporal = (simulator.probe(*batch_for(c, 5)) for simulator in scattered(c, "bfloat16"))
    assert {update.dtype for update in temporal.updates.values()} == {torch.float32}
    assert furthest(group.updates, temporal.updates) <= 0.1


@pytest.mark.parametrize("rule", ["gevb", "bp", "hebbian", "node perturbation"])
@pytest.mark.parametrize("connectivity", CONNECTIVITIES)
def test_fake_cuda(connectivity: str, rule: str) -> None:
    relaxation = NoiseRelaxation(presentations=2, every=1)
    c = untied(circuit(RULES[rule], SignGate(), READOUTS["squared"], connectivity), relaxation=relaxation)
    with FakeTensorMode():
        simulator = Simulator(c, device="cuda", vectorization="temporal")
        images = torch.empty(4, *c.inputs, dtype=torch.uint8, device="cuda")
        labels = torch.empty(4, dtype=torch.int64, device="cuda")
        steps = [simulator.learn(images, labels), simulator.learn(images, labels), simulator.probe(images, labels)]
        made = [tensor for step in steps for tensor in (step.output, step.loss, *step.updates.values())]
    assert {tensor.device.type for tensor in made} == {"cuda"}


# -- one component at a time -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("gate", EARLY)
@pytest.mark.parametrize("rule", ["gevb", "bp", "dfa", "fa", "local error"])
def test_a_bin_uses_its_own_synapses_only(rule: str, gate: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """In every bin the synapses of all others are NaN, forward and on the way back; learning is the same."""
    c = untied(circuit(RULES[rule], GATES[gate], READOUTS["squared"]))
    _, simulator = scattered(c, vectorization=Temporal("causal"))
    data = batch_for(c, 5)
    expected = simulator.probe(*data)
    tables = [simulator.weights[name] for name in c.groups]
    truth, run, happened = [table.clone() for table in tables], TemporalPass.bin, []

    def only_now(self: TemporalPass, stimulus: Any, component: int, *arguments: Any) -> Bin:
        for table, values in zip(tables, truth, strict=True):
            table.fill_(torch.nan)
            table[component] = values[component]
        happened.append(component)
        return run(self, stimulus, component, *arguments)

    monkeypatch.setattr(TemporalPass, "bin", only_now)
    learnt = simulator.learn(*data)
    assert happened == [0, 1, 2]
    assert all(torch.equal(learnt.updates[name], update) for name, update in expected.updates.items())


@pytest.mark.parametrize("rule", [GEVB(), BP()], ids=str)
def test_a_broken_future_leaves_the_past(rule: PlasticityRule) -> None:
    """With NaN in the last bin, the synapses of the components before it learn as they would have."""
    c = untied(circuit(rule, FirstBinGate(), READOUTS["squared"]))
    _, simulator = scattered(c, vectorization=Temporal("causal"))
    data = batch_for(c, 5)
    expected = simulator.probe(*data)
    simulator.weights["input->h1"][K - 1] = torch.nan
    broken = simulator.probe(*data)
    for name in c.groups:
        if name in broken.updates:
            assert torch.equal(broken.updates[name][: K - 1], expected.updates[name][: K - 1]), name
            assert not bool(broken.updates[name][K - 1].isfinite().all()), name


def test_gevb_is_one_local_product_per_component() -> None:
    c = untied(circuit(GEVB(), SignGate(), READOUTS["cross-entropy"]))
    _, simulator = scattered(c)
    step = simulator.probe(*batch_for(c, 7))
    gate, a, e = step.activity.gates["h2"], step.activity.activations["h1"], step.error.flatten(1)
    expected = torch.einsum("bi,bmj,bm->mij", gate, a, e)
    assert float((step.updates["h1->h2"] - expected).abs().max()) < 1e-12


# -- relaxation ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("relaxation", [None, Relaxation(0.3, every=2), NoiseRelaxation(3, every=2)], ids=str)
@pytest.mark.parametrize("rule", ["gevb", "bp", "dfa"])
def test_the_same_weights_after_twenty_steps(rule: str, relaxation: WeightRelaxation | None) -> None:
    c = untied(circuit(RULES[rule], SignGate(), READOUTS["logistic"]), relaxation=relaxation)
    group, temporal = pair(c, optimizer=SGD(0.05))
    for number in range(20):
        for simulator in (group, temporal):
            simulator.learn(*batch_for(c, 4, seed=number))
        assert min(float(temporal.weights[name].min()) for name in ("h1->h2", "h2->output")) >= 0
    before, after = group.state_dict(), temporal.state_dict()
    assert max(float((before[name] - after[name]).abs().max()) for name in before) <= 1e-9
    spreads = group.spread(), temporal.spread()
    assert spreads[0].keys() == spreads[1].keys() == {"h1->h2", "h2->output", "skip"}
    assert min(spreads[1].values()) > 1e-4
    assert max(abs(spreads[0][name] - spreads[1][name]) for name in spreads[0]) <= 1e-9


def test_complete_relaxation_leaves_no_spread() -> None:
    c = untied(circuit(GEVB(), FirstBinGate(), READOUTS["squared"]), relaxation=Relaxation())
    _, simulator = scattered(c, vectorization=Temporal("causal"), optimizer=SGD(0.05))
    assert min(simulator.spread().values()) > 0.1
    simulator.learn(*batch_for(c, 4))
    assert max(simulator.spread().values()) == 0.0


# -- presentations and refusals --------------------------------------------------------------------------------------


@attrs.frozen
class _Rewarded(PlasticityRule):
    """Credit per unit: the loss."""

    uses = frozenset({Signal.PRESYNAPTIC, Signal.GATE, Signal.ERROR, Signal.SCALAR})

    def form(self, circuit: Circuit) -> CreditForm:
        return CreditForm.PER_UNIT

    def credit(self, context: CreditContext) -> Tensor:
        gate = context.error.new_ones(6)
        return context.losses.unsqueeze(1) * gate


@attrs.frozen
class _Secretive(PlasticityRule):
    """Listens to the forward weights and does not say so."""

    def form(self, circuit: Circuit) -> CreditForm:
        return CreditForm.PER_UNIT

    def credit(self, context: CreditContext) -> Tensor:
        return context.feedback(context.forward_weights)


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


@pytest.mark.parametrize(
    ("rule", "gate", "readout", "expected"),
    [
        ("gevb", "sign", "cross-entropy", 2 + 1 + 1),
        ("bp", "sign", "squared", 2 + 1),
        ("bp", "first bin", "cross-entropy", 1 + 1),
        ("hebbian", "first bin", "squared", 1 + 1),
        ("node perturbation", "first bin", "squared", 1 + 1 + 1),
        ("bp", "external", "logistic", 1),
    ],
)
def test_presentations(rule: str, gate: str, readout: str, expected: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """As many as are announced happen; none more than with tied synapses."""
    c = circuit(RULES[rule], GATES[gate], READOUTS[readout])
    _, simulator = scattered(untied(c))
    bins, run = [], TemporalPass.bin

    def counted(self: TemporalPass, stimulus: Any, component: int, *arguments: Any) -> Bin:
        bins.append(component)
        return run(self, stimulus, component, *arguments)

    monkeypatch.setattr(TemporalPass, "bin", counted)
    simulator.learn(*batch_for(c, 3))
    assert simulator.presentations == expected == Simulator(c, vectorization="temporal").presentations
    assert bins == list(range(c.K)) * expected


def test_credit_per_unit_that_waits_for_the_loss() -> None:
    """After the last bin is too late for untied synapses: an extra presentation, or in causal order a refusal."""
    tied = circuit(_Rewarded(), FirstBinGate(), READOUTS["squared"])
    tied.check(Temporal("causal"))
    c = untied(tied)
    with pytest.raises(
        CircuitError, match=r"the credit of the rule _Rewarded\(\) at population 'h2' is known only aft"
    ):
        c.check(Temporal("causal"))
    group, replay = scattered(c)
    assert replay.presentations == 2
    assert furthest(group.probe(*batch_for(c, 5)).updates, replay.probe(*batch_for(c, 5)).updates) <= 1e-12


def test_undeclared_feedback_is_refused() -> None:
    """A rule that does not declare its pathway gets no chance to mix up components."""
    c = Circuit(4, OneHot(K, "squared"))
    c.population("h1", 6, gate=SignGate())
    c.connect("input", "h1", Dense(), rule=_Secretive())
    c.connect("h1", "output", Dense(), rule=GEVB(), sign="nonnegative", init=HalfNormal(), sharing="untied")
    _, simulator = scattered(c)
    with pytest.raises(SimulationError, match=r"_Secretive\(\) at 'h1' came back through untied.*or Signal.WEIGHTS in"):
        simulator.learn(*batch_for(c, 5, dtype=torch.float32))


def test_noise_and_activity_in_one_rule_are_refused() -> None:
    c = circuit(_Jittered(), FirstBinGate(), READOUTS["squared"])
    c.check("group")
    with pytest.raises(CircuitError, match=r"_Jittered\(\) at population 'h1' cannot be computed bin by bin: in a bin"):
        c.check("temporal")
