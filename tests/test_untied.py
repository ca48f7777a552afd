"""Untied synapses: their updates and credit against autograd, their equality with GEVB, refusals, saving, recording."""

from __future__ import annotations

import json

import attrs
import pytest
import torch
from reference import Reference
from small_circuits import batch_for, scatter_biases

from neurosim import (
    BP,
    GEVB,
    SGD,
    Adam,
    AvgPool,
    Binary,
    Circuit,
    Conv2d,
    Dense,
    Local2d,
    NoiseRelaxation,
    OneHot,
    OnOff,
    Relaxation,
    SignGate,
    Simulator,
    circuits,
)
from neurosim.analysis import gradient_alignment
from neurosim.datasets import load_dataset
from neurosim.errors import CircuitError, SimulationError, UnknownNameError
from neurosim.relaxation import WeightRelaxation
from neurosim.rules import DFA, FA
from neurosim.runs.recording import RunRecorder
from neurosim.runs.run import Run
from neurosim.testing import batch, simulator_for, updates_of
from neurosim.training import Trainer

GROUPS = ("f1->f2", "f2->output")


def network(rule=None, sharing="untied", relaxation=None, K=3):
    """Two hidden populations, nonnegative past the first layer.

    Squared loss: the error of cross-entropy sums to 0 over the components, so that with t = (1, 1, 1) a unit without
    input, whose h is its bias, stands at a tie that rounding decides.
    """
    c = Circuit((1, 4, 4), OneHot(K, "squared"))
    c.population("f1", 8, gate=SignGate())
    c.population("f2", 6, gate=SignGate())
    rule = rule or GEVB()
    c.connect("input", "f1", Dense(), rule=rule, init=OnOff())
    for pre, post in (("f1", "f2"), ("f2", "output")):
        c.connect(
            pre, post, Dense(), rule=rule, init=OnOff(), sign="nonnegative", sharing=sharing, relaxation=relaxation
        )
    return c


def spatial(connectivity, sharing):
    """Untied space, a tied dense group after it, skips of both kinds, pooling between."""
    c = Circuit((2, 6, 6), OneHot(3))
    c.population("s1", (4, ...), gate=SignGate(), bias="channel")
    c.connect("input", "s1", connectivity, rule=BP())
    c.relay("pool", "s1", AvgPool(2))
    c.population("s2", (4, ...), gate=SignGate())
    c.connect("pool", "s2", connectivity, rule=BP(), sharing=sharing)
    c.population("f", 6, gate=SignGate())
    c.connect("s2", "f", Dense(), rule=BP())
    c.connect("s1", "f", Dense(), rule=BP(), sharing=sharing)
    c.connect("f", "output", Dense(), rule=BP(), sharing=sharing)
    c.connect("pool", "output", Dense(), rule=BP())
    return c


def scattered(circuit, **options):
    """A float64 simulator whose biases are not zero and whose untied weights differ."""
    simulator = Simulator(circuit, precision="float64", seed=1, **options)
    scatter_biases(simulator)
    generator = torch.Generator().manual_seed(5)
    for name, group in circuit.groups.items():
        if group.untied:
            weight = simulator.weights[name]
            simulator.weights[name] = weight * (0.5 + torch.rand(weight.shape, generator=generator))
    return simulator


def largest_difference(one, other):
    assert one.keys() == other.keys()
    return max(float((one[name] - other[name]).abs().max()) for name in one)


# -- what an untied group computes -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "connectivity", [Conv2d(3, padding=1), Local2d(3, padding=1), Conv2d(2), Local2d((2, 1))], ids=str
)
@pytest.mark.parametrize("sharing", ["untied", "tied"])
def test_bp_is_autograd(connectivity, sharing):
    simulator = scattered(spatial(connectivity, sharing))
    images, labels = batch_for(simulator.circuit, 5)
    step, reference = simulator.probe(images, labels), Reference(simulator)
    expected = reference.gradients(images, labels)
    assert abs(float(step.loss - reference.loss(images, labels).detach())) < 1e-12
    assert set(step.updates) == set(expected)
    for name, gradient in expected.items():
        assert float(gradient.abs().max()) > 1e-4
        assert float((step.updates[name] - gradient).abs().max()) < 1e-10, name
    assert step.credit("f").ndim == (3 if sharing == "untied" else 2)  # per component beyond an untied group


def test_credit_is_per_unit_until_it_crosses_an_untied_group():
    circuit = network(BP()).with_rules(BP())
    circuit = Circuit.from_dict(circuit.to_dict())
    data = circuit.to_dict()
    data["groups"][2] |= {"sharing": "tied", "relaxation": None}
    simulator = scattered(Circuit.from_dict(data))
    step = simulator.probe(*batch_for(simulator.circuit, 5))
    assert step.credit("f2").shape == (5, 6) and step.credit("f1").shape == (5, 3, 8)


def test_gevb_is_one_local_product_per_component():
    """``dw[mu, i, j] = sum_b G a_mu e_mu``, and nothing of other components."""
    simulator = scattered(network())
    step = simulator.probe(*batch_for(simulator.circuit, 7))
    gate, a, e = step.activity.gates["f2"], step.activity.activations["f1"], step.error.flatten(1)
    expected = torch.einsum("bi,bmj,bm->mij", gate, a, e)
    assert float((step.updates["f1->f2"] - expected).abs().max()) < 1e-12
    assert bool(step.credit("f1").eq(1).all())


@pytest.mark.parametrize("rule", [GEVB(), BP(), FA(), DFA()], ids=str)
def test_an_untied_circuit_starts_as_the_tied_one(rule):
    """Equal output, and a tied update that is the sum of the untied ones."""
    tied, untied = (Simulator(network(rule, sharing), precision="float64") for sharing in ("tied", "untied"))
    data = batch_for(tied.circuit, 5)
    one, other = tied.probe(*data), untied.probe(*data)
    assert float((one.output - other.output).abs().max()) < 1e-12
    for name, update in one.updates.items():
        together = other.updates[name].sum(0) if name in GROUPS else other.updates[name]
        assert float((update - together).abs().max()) < 1e-12
    for name in GROUPS:
        assert untied.weights[name].shape == (3, *tied.weights[name].shape)
        assert bool((untied.weights[name] == tied.weights[name]).all())
    assert untied.spread() == dict.fromkeys(GROUPS, 0.0) and tied.spread() == {}


def test_bfloat16_operands():
    exact, rounded = (
        Simulator(network(BP(), K=10), precision=precision, seed=1) for precision in ("float64", "bfloat16")
    )
    data = batch_for(exact.circuit, 32)
    for name, update in exact.probe(*data).updates.items():
        found = rounded.probe(*data).updates[name]
        assert found.dtype == torch.float32
        assert float((found - update).norm() / update.norm()) < 0.05


def test_fa_through_the_forward_weights_is_bp():
    fa, bp = scattered(network(FA())), scattered(network(BP()))
    data = batch_for(fa.circuit, 5)
    for name in fa.feedback:
        fa.feedback[name] = fa.weights[name.removeprefix("fa/")]
    assert largest_difference(fa.probe(*data).updates, bp.probe(*data).updates) < 1e-12


def test_alignment_of_credits_of_both_forms():
    """The same angle from credit per unit as from credit per component, while all weights are equal."""
    tied, untied = (Simulator(network(GEVB(), sharing), precision="float64") for sharing in ("tied", "untied"))
    data = batch_for(tied.circuit, 16)
    one, other = gradient_alignment(tied, *data), gradient_alignment(untied, *data)
    assert {name: round(degrees, 6) for name, degrees in one.items()} == {n: round(d, 6) for n, d in other.items()}
    assert one["f1"] > 1


def test_a_credit_of_a_wrong_shape_is_still_refused():
    class Wrong(BP):
        def credit(self, context):
            return torch.ones(2, dtype=torch.float64)

    simulator = Simulator(network(BP()), precision="float64")
    with pytest.raises(SimulationError, match="its form PER_UNIT means"):
        simulator.probe(*batch_for(simulator.circuit, 5)).credit("f1", attrs.frozen(Wrong)())


# -- relaxation ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("rule", [GEVB(), BP(), DFA()], ids=str)
def test_complete_relaxation_after_every_step_is_the_tied_group(rule):
    """Descent with K times the learning rate, averages taken before the sign constraint: equal for 20 steps."""
    faster = {name: {"lr": 0.05 * 3} for name in GROUPS}
    tied = Simulator(network(rule, "tied"), precision="float64", optimizer=SGD(0.05))
    untied = Simulator(network(rule, relaxation=Relaxation()), precision="float64", optimizer=SGD(0.05, groups=faster))
    start = {name: weight.clone() for name, weight in tied.weights.items()}
    clamped = False
    for step in range(20):
        images, labels = batch_for(tied.circuit, 16, seed=step)
        updates = tied.learn(images, labels).updates
        untied.learn(images, labels)
        clamped = clamped or any(bool(((tied.weights[name] == 0) & (updates[name] > 0)).any()) for name in GROUPS)
    for name, weight in tied.weights.items():
        assert float((weight - start[name]).abs().max()) > 1e-2 and clamped
        assert float((untied.weights[name] - weight).abs().max()) < 1e-12
    for name, bias in tied.biases.items():
        assert float((untied.biases[name] - bias).abs().max()) < 1e-12
    assert untied.spread() == dict.fromkeys(GROUPS, 0.0)


def test_without_relaxation_the_weights_drift_apart():
    simulator = Simulator(network(), optimizer=SGD(0.05))
    for step in range(10):
        simulator.learn(*batch_for(simulator.circuit, 16, seed=step))
    assert min(simulator.spread().values()) > 0.005


def test_relaxation_comes_when_it_is_due_and_survives_saving():
    """Every 3 steps of the run, not of this simulator."""
    circuit = network(relaxation=Relaxation(every=3))
    simulator = Simulator(circuit, optimizer=SGD(0.05))
    due = []
    for step in range(7):
        if step == 4:
            state, simulator = simulator.state_dict(), Simulator(circuit, optimizer=SGD(0.05))
            simulator.load_state_dict(state)
        simulator.learn(*batch_for(circuit, 16, seed=step))
        due.append(max(simulator.spread().values()) == 0.0)
    assert due == [False, False, True, False, False, True, False]


@pytest.mark.parametrize("relaxation", [Relaxation(0.3, every=2), NoiseRelaxation(presentations=3, every=2)], ids=str)
def test_saved_and_loaded_equals_unsaved(relaxation):
    circuit = network(relaxation=relaxation)
    straight, broken = (Simulator(circuit, optimizer=Adam(0.01), seed=3) for _ in range(2))
    for step in range(5):
        if step == 3:
            state, broken = broken.state_dict(), Simulator(circuit, optimizer=Adam(0.01), seed=3)
            broken.load_state_dict(state)
        for simulator in (straight, broken):
            simulator.learn(*batch_for(circuit, 16, seed=step))
    assert largest_difference(straight.state_dict(), broken.state_dict()) == 0.0


def test_frozen_groups_are_not_relaxed():
    circuit = network(relaxation=Relaxation()).with_rules({"f1->f2": None})
    simulator = scattered(circuit)
    before = simulator.weights["f1->f2"].clone()
    simulator.learn(*batch_for(circuit, 8))
    assert torch.equal(simulator.weights["f1->f2"], before)
    assert simulator.spread()["f2->output"] == 0.0


def test_all_weights_stay_nonnegative_after_noise():
    simulator = Simulator(network(relaxation=NoiseRelaxation(presentations=5, every=1)), optimizer=SGD(0.5))
    for step in range(5):
        simulator.learn(*batch_for(simulator.circuit, 16, seed=step))
        assert all(float(simulator.weights[name].min()) >= 0 for name in GROUPS)


# -- the description ---------------------------------------------------------------------------------------------------


def test_json_and_text():
    circuit = network(relaxation=NoiseRelaxation(presentations=7, rate=0.5, every=20))
    again = Circuit.from_json(circuit.to_json())
    assert again == circuit and again.group("f1->f2").relaxation == NoiseRelaxation(7, 0.5, 20)
    assert circuit != network() and circuit != network(sharing="tied")
    assert "untied, NoiseRelaxation(presentations=7, rate=0.5, every=20)" in str(circuit)
    assert "(3, 6, 8)" in str(circuit)
    data = json.loads(network(sharing="tied").to_json())
    assert not any("sharing" in group for group in data["groups"])  # what was saved before stays what it was
    assert "sharing" not in str(network(sharing="tied"))


def test_with_sharing_unties_all_but_the_first_layer():
    circuit = circuits.load("digits-fc").with_sharing("untied", Relaxation(0.1))
    assert [group.sharing for group in circuit.groups.values()] == ["tied", "untied", "untied"]
    assert circuit.groups["fc1->fc2"].relaxation == Relaxation(0.1)
    assert circuit.with_sharing("tied") == circuits.load("digits-fc")


def test_with_rules_keeps_the_sharing():
    circuit = network(relaxation=Relaxation()).with_rules(BP())
    assert circuit.group("f1->f2").untied and circuit.group("f1->f2").relaxation == Relaxation()


def refused(match, K=None, pre="f1", post="f2", **options):
    c = Circuit((1, 4, 4), OneHot(3), K=K)
    c.population("f1", 8, gate=SignGate())
    c.population("f2", 6, gate=SignGate())
    c.connect("input", "f1", Dense(), rule=BP())
    before = c.to_dict()
    with pytest.raises((CircuitError, UnknownNameError), match=match):
        c.connect(pre, post, Dense(), rule=BP(), **options)
    assert c.to_dict() == before


def test_refusals():
    refused(
        r"group 'f1->f2': Relaxation\(rate=1.0, every=1\) draws the 3 weights of an untied group together, but this "
        "group is tied and has one; use sharing='untied'",
        relaxation=Relaxation(),
    )
    refused("is tied and has one; use sharing='untied'", relaxation=NoiseRelaxation())
    refused("synapses from scalar units .'input'. have weights of their own", pre="input", sharing="untied")
    refused("would make the components of a unit equal", pre="input", relaxation=Relaxation())
    refused("sharing='untied' is for vector units; with K = 1 .* or use K=3", K=1, sharing="untied")
    refused("relaxation=Relaxation.* is for vector units; with K = 1", K=1, relaxation=Relaxation())
    refused("unknown sharing for group 'f1->f2' 'united'; did you mean 'untied'", sharing="united")


def test_refusal_names_no_K_that_does_not_exist():
    c = Circuit(4, Binary(2))
    c.population("f1", 8, gate=SignGate())
    c.connect("input", "f1", Dense(), rule=BP())
    with pytest.raises(CircuitError, match="one synapse; leave it out$"):
        c.connect("f1", "output", Dense(), rule=BP(), sharing="untied")


@pytest.mark.usefixtures("wrong_types_allowed")
def test_a_relaxation_must_be_an_object():
    refused("relaxation must be a relaxation such as Relaxation.*write Relaxation", relaxation=Relaxation)
    refused("relaxation must be a relaxation such as Relaxation", relaxation=0.5)


@pytest.mark.usefixtures("wrong_types_allowed")
@pytest.mark.parametrize("kind", [Relaxation, NoiseRelaxation])
@pytest.mark.parametrize("rate", [0, 0.0, -0.1, 1.5, float("nan"), float("inf"), "1", True, None])
def test_rates_out_of_range(kind, rate):
    with pytest.raises(CircuitError, match=f"{kind.__name__}.rate must be a number above 0 and at most 1, got"):
        kind(rate=rate)


@pytest.mark.usefixtures("wrong_types_allowed")
@pytest.mark.parametrize("value", [0, -1, 1.5, True, None])
def test_counts_out_of_range(value):
    for make in (
        lambda: Relaxation(every=value),
        lambda: NoiseRelaxation(every=value),
        lambda: NoiseRelaxation(presentations=value),
    ):
        with pytest.raises(CircuitError, match="must be a whole number of at least 1, got"):
            make()


def test_relaxations_are_known_by_name():
    assert {"Relaxation", "NoiseRelaxation"} <= set(WeightRelaxation.known())
    with pytest.raises(UnknownNameError, match="relaxation 'Relaxed'"):
        WeightRelaxation.from_dict({"type": "Relaxed"})


# -- recording ---------------------------------------------------------------------------------------------------------


def test_a_run_records_the_spread_at_every_checkpoint(tmp_path):
    digits = load_dataset("digits").subset(train=64, test=32)
    circuit = circuits.load("digits-fc", widths=(8, 6)).with_sharing("untied")
    path = tmp_path / "run.h5"
    for epochs, resume in ((2, False), (3, True)):
        simulator = Simulator(circuit, optimizer=Adam(0.01))
        recorder = RunRecorder(path, resume=resume)
        Trainer(simulator, digits, epochs=epochs, checkpoint_every=1, observers=[recorder]).run()
    run = Run(path)
    assert list(run.spread.columns) == ["fc1->fc2", "fc2->output"] and len(run.spread) == len(run.checkpoints) == 4
    assert run.spread.iloc[0].tolist() == [0.0, 0.0] and run.spread.iloc[-1].min() > 0
    assert run.spread.iloc[-1].to_dict() == simulator.spread()
    assert "spread      fc1->fc2 " in run.summary()


def test_runs_without_untied_groups_record_no_spread(tmp_path):
    digits = load_dataset("digits").subset(train=64, test=32)
    Trainer(
        Simulator(circuits.load("digits-fc", widths=(8, 6))),
        digits,
        epochs=1,
        observers=[RunRecorder(tmp_path / "run.h5")],
    ).run()
    assert Run(tmp_path / "run.h5").spread.empty and "spread" not in Run(tmp_path / "run.h5").summary()


def test_the_suites_untied_circuit_tells_components_apart():
    """Swapping two components of the weights changes the updates of the circuit that every rule is tested on."""
    simulator = simulator_for(BP(), "untied, vector")
    seen = simulator.probe(*batch(simulator)).credits.seen
    before = updates_of(simulator, seen)
    simulator.weights["pool->h2"] = simulator.weights["pool->h2"][[1, 0, 2]]
    after = updates_of(simulator, simulator.probe(*batch(simulator)).credits.seen)
    assert largest_difference(before, after) > 1e-3
