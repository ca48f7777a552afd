"""Running a circuit and letting it learn."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
import torch
from small_circuits import batch_for, readouts_for, scatter_biases, small, with_rule
from torch import Tensor

from neurosim import BP, DFA, GEVB, SGD, Adam, Circuit, Dense, HalfNormal, OneHot, SignGate, Simulator
from neurosim.circuits import available_circuits
from neurosim.circuits.paper import network
from neurosim.errors import SimulationError, UnknownNameError
from neurosim.plasticity import available_rules

INPUTS = (1, 4, 4)


def copied(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name: tensor.clone() for name, tensor in tensors.items()}


def same(left: Mapping[str, Tensor], right: Mapping[str, Tensor]) -> bool:
    return left.keys() == right.keys() and all(torch.equal(left[name], right[name]) for name in left)


@pytest.fixture
def simulator() -> Simulator:
    simulator = Simulator(network(INPUTS, [], [8, 6]), precision="float64", seed=1, optimizer=SGD(1.0))
    scatter_biases(simulator)
    return simulator


# -- forward, predict, score -----------------------------------------------------------------------------------------


def test_forward_keeps_what_is_asked_for(simulator: Simulator) -> None:
    images, _ = batch_for(simulator.circuit, 5)
    nothing, one, everything = (simulator.forward(images, keep=keep) for keep in [(), ["fc2"], "all"])
    assert nothing.output.shape == (5, 10, 1)
    assert nothing.activations == nothing.gates == nothing.pre_activations == {}
    assert [list(kept) for kept in (one.activations, one.gates, one.pre_activations)] == [["fc2"]] * 3
    assert list(everything.activations) == ["input", "fc1", "fc2", "output"]
    assert list(everything.pre_activations) == ["fc1", "fc2", "output"]
    assert list(everything.gates) == ["fc1", "fc2"]
    assert everything.activations["input"].shape == (5, *INPUTS)
    h, gate, a = (kept["fc1"] for kept in (everything.pre_activations, everything.gates, everything.activations))
    assert (h.shape, gate.shape) == ((5, 10, 8), (5, 8))
    assert torch.equal(a, h * gate.unsqueeze(1))
    assert torch.equal(nothing.output, everything.output)


def test_forward_takes_one_name(simulator: Simulator) -> None:
    images, _ = batch_for(simulator.circuit, 5)
    assert list(simulator.forward(images, keep="fc1").activations) == ["fc1"]
    with pytest.raises(UnknownNameError, match="unknown population 'fc3'; did you mean 'fc2'"):
        simulator.forward(images, keep=["fc3"])


@pytest.mark.parametrize("name", available_circuits())
def test_bytes_and_scaled_images_are_the_same(name: str) -> None:
    simulator = Simulator(small(name), precision="float64", seed=1)
    images, _ = batch_for(simulator.circuit, 3)
    scaled = (images.double() / 255 - 0.5) / 0.5
    difference = simulator.forward(images).output - simulator.forward(scaled).output
    assert float(difference.abs().max()) <= 1e-12


def test_predict_and_score_agree_with_the_step(simulator: Simulator) -> None:
    images, labels = batch_for(simulator.circuit, 50)
    step, (loss, mistakes) = simulator.probe(images, labels), simulator.score(images, labels)
    predicted = simulator.predict(images)
    assert torch.equal(predicted, step.output.flatten(1).argmax(1))
    assert 0 < int(mistakes) == int((predicted != labels).sum()) == int(step.mistakes)
    assert abs(float(loss) / 50 - float(step.loss)) <= 1e-12
    expected = torch.nn.functional.cross_entropy(step.output.flatten(1), labels)
    assert abs(float(step.loss - expected)) <= 1e-12
    probabilities = torch.softmax(step.output, dim=1)
    expected_error = (probabilities - torch.nn.functional.one_hot(labels, 10).unsqueeze(2)) / 50
    assert float((step.error - expected_error).abs().max()) <= 1e-12


# -- learn and probe -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("rule", available_rules())
def test_learn_descends_its_updates(rule: str) -> None:
    (readout, K), *_ = readouts_for(rule)
    circuit = with_rule(small("digits-fc", "mixed", BP(), readout, K), rule)
    simulator = Simulator(circuit, seed=1, optimizer=SGD(0.5))
    data = batch_for(simulator.circuit, 5)
    before, probed = copied(simulator.weights), simulator.probe(*data)
    bias = simulator.biases["fc1"].clone()
    step = simulator.learn(*data)
    if not available_rules()[rule].stochastic:
        assert same(step.updates, probed.updates)
    assert set(step.updates) == {*simulator.weights, *(f"bias of {name}" for name in simulator.biases)}
    for name, weight in simulator.weights.items():
        assert step.updates[name].shape == weight.shape
        assert torch.equal(weight, before[name] - 0.5 * step.updates[name])
    assert torch.equal(simulator.biases["fc1"], bias - 0.5 * step.updates["bias of fc1"])
    assert float(step.loss) == float(probed.loss)


def test_learning_lowers_the_loss() -> None:
    simulator = Simulator(network(INPUTS, [], [32]), seed=1, optimizer=Adam(0.01))
    data = batch_for(simulator.circuit, 20)
    losses = [float(simulator.learn(*data).loss) for _ in range(60)]
    assert losses[-1] < 0.2 * losses[0]
    assert int(simulator.score(*data)[1]) == 0


@pytest.mark.parametrize("optimizer", [Adam(), SGD(0.1, momentum=0.9)], ids=lambda o: o.kind.__name__)
@pytest.mark.parametrize("name", available_circuits())
def test_probe_changes_nothing(name: str, optimizer) -> None:
    watched, other = (Simulator(small(name), seed=1, optimizer=optimizer) for _ in range(2))
    data = batch_for(watched.circuit, 4)
    for _ in range(3):
        before = copied(watched.state_dict())
        first, second = watched.probe(*data), watched.probe(*data)
        watched.forward(data[0], keep="all")
        watched.score(*data)
        assert same(first.updates, second.updates)
        assert same(before, watched.state_dict())
        assert torch.equal(watched.learn(*data).output, other.learn(*data).output)
    assert same(watched.state_dict(), other.state_dict())


def test_learning_rates_differ_between_groups() -> None:
    rates = {"fc1->output": {"lr": 0.1}, "bias of fc1": {"lr": 0.0}}
    simulator = Simulator(network(INPUTS, [], [4], sign="mixed"), optimizer=SGD(1.0, groups=rates), precision="float64")
    data = batch_for(simulator.circuit, 6)
    before = copied({**simulator.weights, "bias of fc1": simulator.biases["fc1"]})
    step = simulator.learn(*data)
    after = {**simulator.weights, "bias of fc1": simulator.biases["fc1"]}
    for name, rate in {"input->fc1": 1.0, "fc1->output": 0.1, "bias of fc1": 0.0}.items():
        assert bool(step.updates[name].any())
        assert float((after[name] - (before[name] - rate * step.updates[name])).abs().max()) <= 1e-15


def test_optimizer_errors() -> None:
    circuit = network(INPUTS, [], [4])
    with pytest.raises(UnknownNameError, match="optimizer of its own 'fc1->out'; did you mean 'fc1->output'"):
        Simulator(circuit, optimizer=SGD(0.1, groups={"fc1->out": {"lr": 1.0}}))
    with pytest.raises(
        SimulationError, match="optimizer SGD cannot be used here: .*unexpected keyword argument 'betas'"
    ):
        Simulator(circuit, optimizer=SGD(0.1, betas=(0.9, 0.99)))
    with pytest.raises(SimulationError, match="optimizer Adam cannot be used here: Invalid learning rate"):
        Simulator(circuit, optimizer=Adam(-1.0))


# -- what does not learn ---------------------------------------------------------------------------------------------


def test_frozen_group_stays_as_it_is() -> None:
    circuit = network(INPUTS, [], [6, 6]).with_rules({"fc1->fc2": None})
    simulator = Simulator(circuit, seed=1, optimizer=Adam(0.1, weight_decay=0.1))
    scatter_biases(simulator)
    before, biases, data = copied(simulator.weights), copied(simulator.biases), batch_for(circuit, 6)
    for _ in range(3):
        assert set(simulator.learn(*data).updates) & {"fc1->fc2", "bias of fc2"} == set()
    frozen = {name for name, weight in simulator.weights.items() if torch.equal(weight, before[name])}
    assert frozen == {"fc1->fc2"}
    assert {n for n, bias in simulator.biases.items() if torch.equal(bias, biases[n])} == {"fc2"}, "its input is frozen"


def test_bias_beside_frozen_groups() -> None:
    """It learns by the rule of the groups that learn, unless bias_rule says otherwise."""
    for bias_rule, learns in [("shared", True), (None, False), (BP(), True)]:
        c = Circuit(INPUTS, OneHot(3))
        c.population("f1", 4, gate=SignGate(), bias_rule=bias_rule)
        c.connect("input", "f1", Dense(), rule=GEVB())
        c.connect("input", "f1", Dense(), rule=None, name="reservoir")
        c.connect("f1", "output", Dense(), rule=GEVB())
        simulator = Simulator(c, seed=1)
        simulator.learn(*batch_for(c, 8))
        assert bool(simulator.biases["f1"].any()) is learns


def test_frozen_hidden_layers_as_a_control() -> None:
    """Only the readout learns: the control that every claim about hidden plasticity needs."""
    circuit = network(INPUTS, [], [32, 32])
    control = circuit.with_rules({"input->fc1": None, "fc1->fc2": None})
    simulator, whole = (Simulator(c, seed=1, optimizer=Adam(0.003)) for c in (control, circuit))
    before, data = copied(simulator.weights), batch_for(circuit, 30)
    losses = [float(simulator.learn(*data).loss) for _ in range(40)]
    assert [name for name in before if not torch.equal(before[name], simulator.weights[name])] == ["fc2->output"]
    assert not any(bool(simulator.biases[name].any()) for name in ("fc1", "fc2"))
    assert losses[-1] < losses[0]
    assert float([whole.learn(*data).loss for _ in range(40)][-1]) < losses[-1]


def test_nothing_learns() -> None:
    circuit = network(INPUTS, [], [4]).with_rules(None)
    simulator = Simulator(circuit, seed=1)
    data = batch_for(circuit, 4)
    with pytest.raises(SimulationError, match=r"every group is frozen \(rule=None\); give one a rule"):
        simulator.learn(*data)
    assert simulator.probe(*data).updates == {}
    assert simulator.probe(*data).credit("fc1", BP()).shape == (4, 4)
    assert simulator.predict(data[0]).shape == (4,)


# -- signs -----------------------------------------------------------------------------------------------------------


def test_signs_are_kept() -> None:
    """Dale: excitation stays excitation; the first layer and biases keep both signs."""
    c = Circuit(INPUTS, OneHot(10))
    c.population("f1", 8, gate=SignGate())
    c.population("f2", 8, gate=SignGate())
    c.connect("input", "f1", Dense(), rule=GEVB())
    c.connect("f1", "f2", Dense(), rule=GEVB(), sign="nonnegative", init=HalfNormal(), name="excitation")
    c.connect("f1", "f2", Dense(), rule=GEVB(), sign="nonpositive", init=HalfNormal(), name="inhibition")
    c.connect("f2", "output", Dense(), rule=GEVB())
    simulator = Simulator(c, seed=1, optimizer=SGD(16.0))
    before = copied(simulator.weights)
    step = simulator.learn(*batch_for(c, 16))
    for name, limits in {"excitation": {"min": 0.0}, "inhibition": {"max": 0.0}}.items():
        unconstrained = before[name] - 16.0 * step.updates[name]
        assert torch.equal(simulator.weights[name], unconstrained.clamp(**limits))
        assert not torch.equal(simulator.weights[name], unconstrained), "the constraint was needed"
    for free in (simulator.weights["input->f1"], simulator.biases["f2"], simulator.weights["f2->output"]):
        assert float(free.min()) < 0 < float(free.max())


@pytest.mark.parametrize("name", available_circuits())
def test_nonnegative_circuits_stay_nonnegative(name: str) -> None:
    simulator = Simulator(small(name), seed=1, optimizer=SGD(10.0))
    data = batch_for(simulator.circuit, 8)
    touched = 0
    for _ in range(3):
        simulator.learn(*data)
        for group in simulator.circuit.groups.values():
            weight = simulator.weights[group.name]
            if simulator.circuit.populations[group.pre].scalar:
                assert group.sign == "mixed" and float(weight.min()) < 0
            else:
                assert group.sign == "nonnegative" and float(weight.min()) >= 0
                touched += int((weight == 0).sum())
    assert touched
    assert any(float(bias.min()) < 0 for bias in simulator.biases.values())


# -- credit ----------------------------------------------------------------------------------------------------------


def test_credit_by_name(simulator: Simulator) -> None:
    data = batch_for(simulator.circuit, 5)
    step = simulator.probe(*data)
    assert torch.equal(step.credit("fc1"), torch.ones(5, 8, dtype=torch.float64))
    assert step.credit("fc1", BP()).shape == (5, 8)
    assert torch.equal(step.credit("output", BP()), torch.ones(5, 1, dtype=torch.float64))
    for population in ("input", "fc9"):
        with pytest.raises(UnknownNameError, match=f"unknown population with credit '{population}'.*fc1, fc2, output"):
            step.credit(population)
    learned = simulator.learn(*data)
    assert torch.equal(learned.credit("fc1"), step.credit("fc1"))
    with pytest.raises(SimulationError, match=r"its weights have changed since; use probe\(images, labels\).credit"):
        learned.credit("fc1", BP())


def test_tensors_are_set_one_by_one(simulator: Simulator) -> None:
    before = simulator.weights
    with pytest.raises(SimulationError, match=r"weights: expected single tensors to be set, as in simulator.weights\["):
        simulator.weights = {}
    assert simulator.weights is before


def test_credit_is_a_copy_of_feedback() -> None:
    circuit = network(INPUTS, [], [6, 6], rule=DFA(), conventional=True)
    simulator = Simulator(circuit)
    credit = simulator.learn(*batch_for(circuit, 4)).credit("fc1")
    before = credit.clone()
    for name, matrix in simulator.feedback.items():
        simulator.feedback[name] = -3 * matrix
    assert torch.equal(credit, before)


@pytest.mark.parametrize("vectorization", ["group", "temporal"])
@pytest.mark.parametrize("change", ["learn", "load_state_dict"])
def test_a_probe_gives_no_credit_of_other_weights(vectorization: str, change: str) -> None:
    simulator = Simulator(network(INPUTS, [], [6, 6], rule=BP()), vectorization=vectorization, optimizer=SGD(0.5))
    data = batch_for(simulator.circuit, 4)
    state = simulator.state_dict()
    asked, late = simulator.probe(*data), simulator.probe(*data)
    before = asked.credit("fc1").clone()
    simulator.learn(*data) if change == "learn" else simulator.load_state_dict(state)
    assert torch.equal(asked.credit("fc1"), before)
    with pytest.raises(SimulationError, match=r"its weights have changed since; use probe\(images, labels\).credit"):
        late.credit("fc1", GEVB())


def test_credit_of_a_frozen_population() -> None:
    circuit = network(INPUTS, [], [6, 6]).with_rules({"fc1->fc2": None})
    step = Simulator(circuit).probe(*batch_for(circuit, 4))
    with pytest.raises(SimulationError, match="population 'fc2': all groups into it are frozen; name a rule="):
        step.credit("fc2")
    assert step.credit("fc2", GEVB()).shape == (4, 6)


# -- bad input -------------------------------------------------------------------------------------------------------

IMAGES, LABELS = torch.zeros(3, *INPUTS, device="cpu"), torch.zeros(3, dtype=torch.int64, device="cpu")


@pytest.mark.parametrize(
    ("images", "labels", "text"),
    [
        (IMAGES[0], LABELS, r"expected the shape \(batch, 1, 4, 4\) with at least one image, got \(1, 4, 4\)"),
        (IMAGES.flatten(1), LABELS, r"expected the shape \(batch, 1, 4, 4\).*got \(3, 16\)"),
        (IMAGES[:0], LABELS[:0], r"with at least one image, got \(0, 1, 4, 4\)"),
        (IMAGES.long(), LABELS, r"expected uint8 \(0 to 255\) or floating point numbers, got torch.int64"),
        (IMAGES.bool(), LABELS, "expected uint8 .* got torch.bool"),
        (IMAGES.to("meta"), LABELS, r"images are on meta, the simulator is on cpu; move them with .to\('cpu'\)"),
        (IMAGES, LABELS.to("meta"), "labels are on meta, the simulator is on cpu"),
        (IMAGES, LABELS[:2], r"one integer class per image, shape \(3,\), got \(2,\) of torch.int64"),
        (IMAGES, LABELS.float(), r"one integer class per image, shape \(3,\), got \(3,\) of torch.float32"),
        (IMAGES, LABELS.unsqueeze(1), r"got \(3, 1\) of torch.int64"),
        (IMAGES, LABELS + 10, "expected classes 0 to 9; some label is out of range"),
        (IMAGES, LABELS - 1, "expected classes 0 to 9; some label is out of range"),
    ],
)
@pytest.mark.parametrize("call", ["learn", "probe", "score"])
def test_bad_batches_change_nothing(simulator: Simulator, call: str, images: Tensor, labels: Tensor, text: str) -> None:
    before = copied(simulator.state_dict())
    with pytest.raises(SimulationError, match=text):
        getattr(simulator, call)(images, labels)
    assert same(before, simulator.state_dict())


def test_unknown_names() -> None:
    circuit = network(INPUTS, [], [4])
    with pytest.raises(UnknownNameError, match="unknown precision 'float8'.*bfloat16, float32, float64"):
        Simulator(circuit, precision="float8")
    with pytest.raises(UnknownNameError, match="unknown vectorization 'column'.*group"):
        Simulator(circuit, vectorization="column")


def test_circuit_is_copied() -> None:
    circuit = network(INPUTS, [], [4])
    simulator = Simulator(circuit)
    circuit.population("late", 4)
    assert "late" not in simulator.circuit.populations
    with pytest.raises(ValueError, match="population 'late' has no input"):
        Simulator(circuit)
