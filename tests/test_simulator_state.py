"""A simulator's tensors: by name, drawn from a seed, saved, loaded, moved."""

from __future__ import annotations

import io
from itertools import combinations

import numpy as np
import pytest
import torch
from small_circuits import batch_for, scatter_biases, small
from torch import Tensor

from neurosim import SGD, Adam, Circuit, OneHot, Optimizer, Simulator
from neurosim.circuits import available_circuits, load
from neurosim.circuits.paper import network
from neurosim.errors import SimulationError, UnknownNameError

OPTIMIZERS = {
    "Adam": Adam(0.01),
    "Adam, amsgrad": Adam(0.01, amsgrad=True, fused=False),
    "SGD": SGD(0.1),
    "SGD, momentum": SGD(0.1, momentum=0.9),
    "RMSprop": Optimizer(torch.optim.RMSprop, {"lr": 0.01, "centered": True}),
    "Adafactor": Optimizer(torch.optim.Adafactor, {"lr": 0.01}),  # its state does not have the weights' shapes
}


def plain(sign: str = "nonnegative", optimizer: str = "Adam", seed: int = 1) -> Simulator:
    return Simulator(network((1, 4, 4), [], [6, 4], sign=sign), seed=seed, optimizer=OPTIMIZERS[optimizer])


def saved(simulator: Simulator) -> dict[str, Tensor]:
    """Through a file, as a checkpoint would be."""
    buffer = io.BytesIO()
    torch.save(simulator.state_dict(), buffer)
    buffer.seek(0)
    return torch.load(buffer, weights_only=True)


def same_state(left: dict[str, Tensor], right: dict[str, Tensor]) -> bool:
    return left.keys() == right.keys() and all(torch.equal(left[name], right[name]) for name in left)


# -- by name ---------------------------------------------------------------------------------------------------------


def test_tensors_by_name() -> None:
    simulator = plain()
    assert list(simulator.weights) == ["input->fc1", "fc1->fc2", "fc2->output"]
    assert [tuple(t.shape) for t in simulator.weights.values()] == [(10, 6, 1, 4, 4), (4, 6), (1, 4)]
    assert {name: tuple(t.shape) for name, t in simulator.biases.items()} == {
        "output": (10, 1),
        "fc1": (10, 6),
        "fc2": (10, 4),
    }
    assert {name: tuple(t.shape) for name, t in simulator.gates.items()} == {"fc1/t": (10, 6), "fc2/t": (10, 4)}
    assert not any(bool(bias.any()) for bias in simulator.biases.values())


def test_bias_shapes_follow_the_connectivity() -> None:
    conv, local = (Simulator(small(name), seed=1) for name in ("mnist-conv", "mnist-lc"))
    assert conv.biases["conv1"].shape == conv.gates["conv1/t"].shape == local.gates["lc1/t"].shape == (10, 4)
    assert local.biases["lc1"].shape == (10, 4, 28, 28)


def test_what_is_written_is_used() -> None:
    """Weights, biases and gates are what the next presentation runs on; any array will do."""
    simulator = plain("mixed")
    images, _ = batch_for(simulator.circuit, 3)
    simulator.weights["input->fc1"] = np.zeros((10, 6, 1, 4, 4))
    bias = torch.arange(60.0).view(10, 6) - 30
    simulator.biases["fc1"] = bias.tolist()
    simulator.gates["fc1/t"] = torch.ones(10, 6)
    activity = simulator.forward(images, keep=["fc1"])
    assert torch.equal(activity.pre_activations["fc1"], bias.expand(3, 10, 6))
    assert torch.equal(activity.gates["fc1"], (bias.sum(0) >= 0).float().expand(3, 6))
    simulator.weights["fc2->output"][:] = 0
    simulator.biases["output"] = np.arange(10).reshape(10, 1)
    assert torch.equal(simulator.forward(images).output[2, :, 0], torch.arange(10.0))


def test_writing_copies() -> None:
    simulator = plain("mixed")
    value = torch.ones(1, 4)
    tensor = simulator.weights["fc2->output"]
    simulator.weights["fc2->output"] = value
    value.zero_()
    assert tensor is simulator.weights["fc2->output"] and torch.equal(tensor, torch.ones(1, 4))


def test_naming_errors() -> None:
    simulator = plain()
    before = saved(simulator)
    with pytest.raises(UnknownNameError, match="unknown weight 'fc1->fc3'; did you mean 'fc1->fc2'"):
        simulator.weights["fc1->fc3"]
    with pytest.raises(UnknownNameError, match="unknown bias 'input'.*fc1, fc2, output"):
        simulator.biases["input"] = torch.zeros(1)
    with pytest.raises(UnknownNameError, match="unknown gate constant 'fc1'.*fc1/t"):
        simulator.gates["fc1"]
    with pytest.raises(SimulationError, match=r"weight 'fc1->fc2' has the shape \(4, 6\), got \(6, 4\)"):
        simulator.weights["fc1->fc2"] = torch.ones(6, 4)
    with pytest.raises(SimulationError, match="weight 'fc1->fc2' is constrained to be nonnegative"):
        simulator.weights["fc1->fc2"] = torch.full((4, 6), -1.0)
    assert same_state(before, simulator.state_dict())


# -- seeds -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", available_circuits())
def test_seeds(name: str) -> None:
    """The same seed is the same run, to the last bit; another seed is another run."""
    circuit = small(name)
    first, again, other = (Simulator(circuit, seed=seed) for seed in (5, 5, 6))
    data = batch_for(circuit, 4)
    for simulator in (first, again, other):
        for _ in range(3):
            simulator.learn(*data)
    assert same_state(first.state_dict(), again.state_dict())
    for table in ("weights", "gates"):
        for key, tensor in getattr(first, table).items():
            assert not torch.equal(tensor, getattr(other, table)[key])


def test_other_parts_of_a_circuit_change_no_draw() -> None:
    """Every object has a stream of its own, derived from the seed and its name."""
    one, two = Simulator(network((1, 4, 4), [], [6]), seed=3), Simulator(network((1, 4, 4), [], [6, 4]), seed=3)
    assert torch.equal(one.weights["input->fc1"], two.weights["input->fc1"])
    assert torch.equal(one.gates["fc1/t"], two.gates["fc1/t"])


def test_no_two_objects_draw_the_same() -> None:
    simulator = Simulator(network((1, 4, 4), [], [6] * 4, sign="mixed"), seed=3)
    weights, gates = ([*table.values()][1:4] for table in (simulator.weights, simulator.gates))
    for same_shape in (weights, gates):
        for left, right in combinations(same_shape, 2):
            assert left.shape == right.shape and not torch.equal(left, right)


def test_nothing_touches_the_global_generator() -> None:
    before = torch.get_rng_state()
    simulator = plain()
    simulator.learn(*batch_for(simulator.circuit, 4))
    assert torch.equal(before, torch.get_rng_state())


def test_precisions_start_from_the_same_numbers() -> None:
    double, single = (Simulator(load("digits-fc"), precision=p, seed=2) for p in ("float64", "float32"))
    for name, weight in double.weights.items():
        assert weight.dtype == torch.float64
        assert torch.equal(weight.float(), single.weights[name])


# -- precision -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("precision", "tolerance"), [("float64", 1e-5), ("bfloat16", 2**-7)])
@pytest.mark.parametrize("name", available_circuits())
def test_precision(name: str, precision: str, tolerance: float) -> None:
    """bfloat16 is for the operands of matrix products alone: what is stored and added up stays float32."""
    circuit = small(name)
    usual, other = (Simulator(circuit, precision=p, seed=1) for p in ("float32", precision))
    images, labels = batch_for(circuit, 8)
    first = circuit.order[1]  # further on, gates that rounding has flipped change much
    expected, found = (each.forward(images, keep=[first]) for each in (usual, other))
    h, given = expected.pre_activations[first], found.pre_activations[first]
    assert 0 < float((h - given).abs().max()) <= tolerance * float(h.abs().max())
    assert float((expected.gates[first] - found.gates[first]).abs().mean()) <= 0.01

    before = {name: weight.clone() for name, weight in other.weights.items()}
    step = other.learn(images, labels)
    tensors = [*other.weights.values(), *other.biases.values(), *step.updates.values(), step.output, step.loss]
    assert {tensor.dtype for tensor in tensors} == {torch.float64 if precision == "float64" else torch.float32}
    assert all(bool(tensor.isfinite().all()) for tensor in tensors)
    assert not any(torch.equal(weight, before[name]) for name, weight in other.weights.items())


# -- saved and loaded ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("steps", [0, 3])
def test_saved_and_loaded_equals_unsaved(optimizer: str, steps: int) -> None:
    original, other = plain(optimizer=optimizer), plain(optimizer=optimizer, seed=2)
    batches = [batch_for(original.circuit, 8, seed) for seed in range(2 * steps + 3)]
    for batch in batches[:steps]:
        original.learn(*batch)
    for batch in batches[:2]:
        other.learn(*batch)  # a past of its own, all of which must go
    other.load_state_dict(saved(original))
    assert same_state(original.state_dict(), other.state_dict())
    for batch in batches[steps:]:
        assert torch.equal(original.learn(*batch).output, other.learn(*batch).output)
    assert same_state(original.state_dict(), other.state_dict())


@pytest.mark.parametrize("name", ["mnist-conv", "mnist-lc"])
def test_saved_and_loaded_in_other_memory_orders(name: str) -> None:
    original, other = (Simulator(small(name), seed=seed) for seed in (1, 2))
    data = batch_for(original.circuit, 4)
    original.learn(*data)
    other.load_state_dict({key: tensor.contiguous() for key, tensor in saved(original).items()})
    for _ in range(2):
        assert torch.equal(original.learn(*data).output, other.learn(*data).output)
    assert same_state(original.state_dict(), other.state_dict())


def test_loading_copies() -> None:
    original, other = plain(), plain(seed=2)
    data = batch_for(original.circuit, 8)
    original.learn(*data)
    other.load_state_dict(original.state_dict())
    before = saved(original)
    other.learn(*data)
    assert same_state(before, original.state_dict())


def _changed(key: str, value: Tensor | None = None) -> dict[str, Tensor]:
    """A saved state in which one entry is another, or missing."""
    simulator = plain(seed=7)
    simulator.learn(*batch_for(simulator.circuit, 8))
    state = saved(simulator)
    return {**state, key: value} if value is not None else {name: t for name, t in state.items() if name != key}


WRONG = {
    "missing weight": (lambda: _changed("weights/fc1->fc2"), "state: is missing 'weights/fc1->fc2'"),
    "missing gate": (lambda: _changed("gates/fc1/t"), "is missing 'gates/fc1/t'"),
    "unknown bias": (lambda: _changed("biases/fc9", torch.ones(1)), "does not belong to this circuit: 'biases/fc9'"),
    "shape": (
        lambda: _changed("biases/fc1", torch.ones(10, 5)),
        r"'biases/fc1': expected the shape \(10, 6\).*\(10, 5\)",
    ),
    "unknown parameter": (
        lambda: _changed("optimizer/exp_avg/fc9", torch.ones(1)),
        "optimizer that changes 'fc9', which does not learn here",
    ),
    "moment's shape": (
        lambda: _changed("optimizer/exp_avg/fc1->fc2", torch.ones(3, 3)),
        r"'optimizer/exp_avg/fc1->fc2': a shape of \(3, 3\) does not fit .*\(4, 6\)",
    ),
    "missing moment": (
        lambda: _changed("optimizer/exp_avg/fc1->fc2"),
        "'fc1->fc2': the optimizer Adam keeps exp_avg, exp_avg_sq, step for it, the state has exp_avg_sq, step;",
    ),
    "malformed": (
        lambda: _changed("optimizer/exp_avg", torch.ones(1)),
        "'optimizer/exp_avg' .*optimizer/SLOT/PARAMETER",
    ),
    "empty": (
        dict,
        "state: is missing 'biases/fc1', 'biases/fc2', 'biases/output', 'gates/fc1/t', 'gates/fc2/t' and 4",
    ),
    "other circuit": (
        lambda: plain_of(Circuit.from_dict(network((1, 4, 4), [], [8, 4], readout=OneHot(10)).to_dict())),
        r"'weights/input->fc1': expected the shape \(10, 6, 1, 4, 4\), got \(10, 8, 1, 4, 4\)",
    ),
    "other optimizer": (
        lambda: {**saved(plain("nonnegative")), **momentum_state()},
        "the optimizer Adam keeps exp_avg, exp_avg_sq, step for it, the state has momentum_buffer",
    ),
    "negative weights": (
        lambda: _changed("weights/fc1->fc2", torch.full((4, 6), -1.0)),
        "weight 'fc1->fc2' is constrained to be nonnegative",
    ),
}


def plain_of(circuit: Circuit) -> dict[str, Tensor]:
    return saved(Simulator(circuit))


def momentum_state() -> dict[str, Tensor]:
    simulator = plain(optimizer="SGD, momentum")
    simulator.learn(*batch_for(simulator.circuit, 8))
    return {name: tensor for name, tensor in saved(simulator).items() if name.startswith("optimizer/")}


@pytest.mark.parametrize("wrong", WRONG)
def test_a_wrong_state_changes_nothing(wrong: str) -> None:
    state, text = WRONG[wrong]
    simulator, untouched = plain(), plain()
    data = batch_for(simulator.circuit, 8)
    for each in (simulator, untouched):
        each.learn(*data)
    with pytest.raises(SimulationError, match=text):
        simulator.load_state_dict(state())
    assert same_state(simulator.state_dict(), untouched.state_dict())
    assert torch.equal(simulator.learn(*data).output, untouched.learn(*data).output)
    assert same_state(simulator.state_dict(), untouched.state_dict())


# -- moved -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_to_keeps_everything(optimizer: str) -> None:
    moved, stayed = plain(optimizer=optimizer), plain(optimizer=optimizer)
    scatter_biases(moved), scatter_biases(stayed)
    for seed in range(4):
        data = batch_for(moved.circuit, 8, seed)
        assert torch.equal(moved.learn(*data).output, stayed.learn(*data).output)
        assert moved.to("cpu") is moved
        assert same_state(moved.state_dict(), stayed.state_dict())


def test_to_another_device() -> None:
    """The meta device holds shapes and no numbers; what is left behind would be seen."""
    simulator = plain(optimizer="SGD, momentum")
    images, labels = batch_for(simulator.circuit, 8)
    simulator.learn(images, labels)
    simulator.to("meta")
    state = simulator.state_dict()
    assert state.pop("progress/steps").device.type == "cpu"  # a count, not a tensor that is computed with
    assert {tensor.device.type for tensor in state.values()} == {"meta"}
    step = simulator.learn(images.to("meta"), labels.to("meta"))
    tensors = [step.output, step.error, step.loss, step.mistakes, *step.updates.values()]
    assert {tensor.device.type for tensor in tensors} == {"meta"}
    with pytest.raises(SimulationError, match="images are on cpu, the simulator is on meta"):
        simulator.learn(images, labels)


def test_a_failed_move_loses_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    simulator, untouched = plain(), plain()
    data = batch_for(simulator.circuit, 8)
    simulator.learn(*data), untouched.learn(*data)

    def out_of_memory(*arguments: object) -> None:
        raise RuntimeError("out of memory")

    with monkeypatch.context() as patch, pytest.raises(RuntimeError, match="out of memory"):
        patch.setattr("neurosim.simulator.Updates", out_of_memory)
        simulator.to("meta")
    assert simulator.device == torch.device("cpu")
    assert same_state(simulator.state_dict(), untouched.state_dict())
    assert torch.equal(simulator.learn(*data).output, untouched.learn(*data).output)
    assert same_state(simulator.state_dict(), untouched.state_dict())
