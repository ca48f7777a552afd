"""Every circuit learns on cuda, as far as a machine without one can tell.

Fake tensors have shapes, types and devices but no numbers: an operation on tensors of two devices is an error, and so
is reading a value, for which a real device would have to be waited on.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch
from small_circuits import readouts_for, small, with_rule
from torch import Tensor
from torch._subclasses.fake_tensor import DataDependentOutputException, FakeTensorMode

from neurosim import (
    BP,
    SGD,
    Adam,
    Circuit,
    Dense,
    ErrorCorrecting,
    Gray,
    Hierarchical,
    Optimizer,
    Simulator,
)
from neurosim.circuits import available_circuits, load
from neurosim.gates import SignGate
from neurosim.plasticity import available_rules
from neurosim.readout import Readout

OPTIMIZERS = {"Adam": Adam(), "SGD": SGD(0.1, momentum=0.9)}
CUDA = torch.device("cuda")


@pytest.fixture
def fake() -> Iterator[FakeTensorMode]:
    with FakeTensorMode() as mode:
        yield mode


def fake_batch(circuit: Circuit, dtype: torch.dtype = torch.uint8) -> tuple[Tensor, Tensor]:
    return torch.empty(16, *circuit.inputs, dtype=dtype, device=CUDA), torch.empty(16, dtype=torch.int64, device=CUDA)


def everything_runs(simulator: Simulator, dtype: torch.dtype = torch.uint8) -> None:
    """Two steps (an optimizer starts in the first), evaluation and measurement; all that comes out is on cuda."""
    images, labels = fake_batch(simulator.circuit, dtype)
    made = []
    for step in (simulator.learn(images, labels), simulator.learn(images, labels), simulator.probe(images, labels)):
        made += [step.output, step.error, step.loss, step.mistakes, *step.updates.values()]
    for group in simulator.circuit.groups.values():
        made.append(step.credit(group.post))
    activity = simulator.forward(images, keep="all")
    made += [*activity.activations.values(), *activity.gates.values(), *activity.pre_activations.values()]
    made += [activity.output, simulator.predict(images), *simulator.score(images, labels)]
    made.append(simulator.bit_errors(images, labels))
    assert len(made) > 20
    assert {tensor.device.type for tensor in [*made, *simulator.weights.values(), *simulator.gates.values()]} == {
        "cuda"
    }
    assert set(step.updates) == {*simulator.weights, *(f"bias of {name}" for name in simulator.biases)}


@pytest.mark.parametrize("sign", ["nonnegative", "mixed"])
@pytest.mark.parametrize("rule", ["gevb", "bp", "dfa"])
@pytest.mark.parametrize("name", available_circuits())
def test_step(name: str, rule: str, sign: str, fake: FakeTensorMode) -> None:
    for readout, K in readouts_for(rule):
        circuit = with_rule(small(name, sign, BP(), readout, K), rule)
        everything_runs(Simulator(circuit, device=CUDA))


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("precision", ["float32", "float64", "bfloat16"])
@pytest.mark.parametrize("name", ["mnist-fc", "mnist-conv", "mnist-lc"])
def test_step_in_every_precision(name: str, precision: str, optimizer: str, fake: FakeTensorMode) -> None:
    everything_runs(Simulator(small(name), device=CUDA, precision=precision, optimizer=OPTIMIZERS[optimizer]))


@pytest.mark.parametrize("rule", available_rules())
@pytest.mark.parametrize("name", [name for name in available_circuits() if name.startswith("mnist")])
def test_step_at_full_width(name: str, rule: str, fake: FakeTensorMode) -> None:
    (readout, K), *_ = readouts_for(rule)
    described = load(name, rule=BP()).to_dict() | {"readout": readout.to_dict(), "K": K}
    everything_runs(Simulator(with_rule(Circuit.from_dict(described), rule), device=CUDA))


@pytest.mark.parametrize("code", [Gray(10), ErrorCorrecting(10, 7, "squared"), Hierarchical(3, (0, 1, 1))], ids=str)
def test_codes(code: Readout, fake: FakeTensorMode) -> None:
    everything_runs(Simulator(small("mnist-conv", readout=code), device=CUDA))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_floating_point_images(dtype: torch.dtype, fake: FakeTensorMode) -> None:
    everything_runs(Simulator(small("mnist-conv"), device=CUDA), dtype)


def test_moving_there(fake: FakeTensorMode) -> None:
    """Started on the cpu, optimizer's state included."""
    circuit = small("mnist-lc")
    simulator = Simulator(circuit, device="cpu")
    images, labels = fake_batch(circuit)
    simulator.learn(images.cpu(), labels.cpu())
    everything_runs(simulator.to(CUDA))
    moments = {key: value.device.type for key, value in simulator.state_dict().items() if "exp_avg" in key}
    assert moments and set(moments.values()) == {"cuda"}


# -- the controls: what a fault would look like ----------------------------------------------------------------------


def _learn(optimizer: Optimizer | None = None) -> None:
    circuit = small("digits-fc")
    Simulator(circuit, device=CUDA, optimizer=optimizer).learn(*fake_batch(circuit))


def test_a_tensor_on_the_cpu_is_noticed(fake: FakeTensorMode, monkeypatch: pytest.MonkeyPatch) -> None:
    forward = Dense.forward

    def careless(self: Dense, weight: Tensor, a: Tensor, pre: tuple[int, ...]) -> Tensor:
        drive = forward(self, weight, a, pre)
        return drive + torch.zeros(drive.shape[-1])  # no device: the cpu

    _learn()
    monkeypatch.setattr(Dense, "forward", careless)
    with pytest.raises(RuntimeError, match="different devices|same device"):
        _learn()


def test_reading_a_value_is_noticed(fake: FakeTensorMode, monkeypatch: pytest.MonkeyPatch) -> None:
    is_open = SignGate.open

    def curious(self: SignGate, constants: dict[str, Tensor], h: Tensor) -> Tensor:
        gate = is_open(self, constants, h)
        return gate if float(gate.sum()) > 0 else gate + 1

    monkeypatch.setattr(SignGate, "open", curious)
    with pytest.raises(DataDependentOutputException):
        _learn()
