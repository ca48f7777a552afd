"""ReLU: a network of scalar units is the multilayer perceptron or convolutional network of plain torch."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from reference import Reference
from small_circuits import batch_for, scatter_biases, with_rule
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode

from neurosim import BP, AvgPool, Circuit, Conv2d, Dense, OneHot, ReLU, Simulator, Temporal, circuits
from neurosim.comparison.setting import Setting, applied
from neurosim.errors import CircuitError
from neurosim.plasticity import available_rules
from neurosim.streams import stream


def perceptron(widths: tuple[int, ...] = (7, 5)) -> Circuit:
    """Odd widths: nothing is paired."""
    return circuits.load("digits-fc", sign="mixed", conventional=True, widths=widths, gate=ReLU())


def convolutional() -> Circuit:
    c = Circuit((1, 8, 8), OneHot(10), K=1)
    c.population("conv", (3, ...), gate=ReLU(), bias="channel")
    c.connect("input", "conv", Conv2d(3, padding=1), rule=BP())
    c.relay("pool", "conv", AvgPool(2))
    c.connect("pool", "output", Dense(), rule=BP())
    return c.check()


def test_a_unit_is_open_where_h_is_not_negative() -> None:
    h = torch.tensor([[[-1.0, -0.0, 0.0, 2.0]], [[1e-30, -1e-30, 5.0, -5.0]]], dtype=torch.float64, device="cpu")
    assert ReLU().draw(1, 4, stream(0)) == {}
    assert ReLU().open({}, h).tolist() == [[0.0, 1.0, 1.0, 1.0], [1.0, 0.0, 1.0, 0.0]]


def test_it_is_the_multilayer_perceptron_of_torch() -> None:
    """Output, loss and every gradient against ``nn.Sequential`` of ``nn.Linear`` and ``nn.ReLU``."""
    simulator = Simulator(perceptron(), precision="float64", seed=1)
    scatter_biases(simulator)
    images, labels = batch_for(simulator.circuit, 20, dtype=torch.float64)
    layers = [nn.Linear(64, 7), nn.Linear(7, 5), nn.Linear(5, 10)]
    model = nn.Sequential(nn.Flatten(), layers[0], nn.ReLU(), layers[1], nn.ReLU(), layers[2]).double()
    for layer, group, population in zip(layers, simulator.weights, ("fc1", "fc2", "output"), strict=True):
        layer.weight.data = simulator.weights[group].reshape(layer.weight.shape).clone()
        layer.bias.data = simulator.biases[population].reshape(-1).clone()
    output, step = model(images), simulator.probe(images, labels)
    F.cross_entropy(output, labels).backward()
    assert float((step.output.flatten(1) - output.detach()).abs().max()) <= 1e-12
    for layer, group, population in zip(layers, simulator.weights, ("fc1", "fc2", "output"), strict=True):
        for name, gradient in ((group, layer.weight.grad), (f"bias of {population}", layer.bias.grad)):
            assert float(gradient.abs().max()) > 1e-3, f"{name}: nothing is compared"
            assert float((step.updates[name].reshape(gradient.shape) - gradient).abs().max()) <= 1e-12


def test_convolution_and_pooling() -> None:
    simulator = Simulator(convolutional(), precision="float64", seed=1)
    scatter_biases(simulator)
    images, labels = batch_for(simulator.circuit, 6)
    step, expected = simulator.probe(images, labels), Reference(simulator).gradients(images, labels)
    for name, gradient in expected.items():
        assert float((step.updates[name] - gradient).abs().max()) <= 1e-12
    h = step.activity.pre_activations["conv"]
    assert torch.equal(step.activity["conv"], h.clamp(min=0))


def test_it_trains_as_torch_does() -> None:
    """Fifty steps of Adam against a torch model from the same weights: the same network all the way."""
    simulator = Simulator(perceptron(), precision="float64", seed=2)
    weights = [w.reshape(len(w) if w.ndim == 2 else w.shape[1], -1) for w in simulator.weights.values()]
    leaves = [w.clone().requires_grad_() for w in weights]
    biases = [torch.zeros(len(w), dtype=torch.float64, requires_grad=True) for w in weights]
    optimizer = torch.optim.Adam([*leaves, *biases], lr=3e-4)
    images, labels = batch_for(simulator.circuit, 30, dtype=torch.float64)
    for _ in range(50):
        a: Tensor = images.flatten(1)
        for place, (w, b) in enumerate(zip(leaves, biases, strict=True)):
            a = F.linear(a, w, b)
            a = a.relu() if place < 2 else a
        optimizer.zero_grad()
        F.cross_entropy(a, labels).backward()
        optimizer.step()
        simulator.learn(images, labels)
    for mine, theirs in zip(simulator.weights.values(), leaves, strict=True):
        assert float((mine.reshape(theirs.shape) - theirs.detach()).abs().max()) <= 1e-9


@pytest.mark.parametrize("rule", available_rules())
def test_every_rule_that_takes_scalar_units_learns_on_cuda(rule: str) -> None:
    described = perceptron()
    instance = available_rules()[rule]()
    if any(instance.refusal(described, group) for group in described.groups.values()):
        pytest.skip("needs one vector output unit")
    with FakeTensorMode():
        simulator = Simulator(with_rule(described, rule), device="cuda")
        images = torch.empty(16, 1, 8, 8, dtype=torch.uint8, device="cuda")
        step = simulator.learn(images, torch.empty(16, dtype=torch.int64, device="cuda"))
        assert {update.device.type for update in step.updates.values()} == {"cuda"}


def test_one_time_bin_is_no_other_network() -> None:
    group, temporal = (Simulator(perceptron(), precision="float64", vectorization=v) for v in ("group", Temporal()))
    images, labels = batch_for(group.circuit, 5)
    one, other = group.probe(images, labels).updates, temporal.probe(images, labels).updates
    assert max(float((one[name] - other[name]).abs().max()) for name in one) <= 1e-12


def test_vector_units_are_refused() -> None:
    c = Circuit((1, 8, 8), OneHot(10))
    text = r"population 'f1': ReLU is for scalar units: a unit of K = 10 components .* use SignGate\(\), or K=1"
    with pytest.raises(CircuitError, match=text):
        c.population("f1", 6, gate=ReLU())
    with pytest.raises(CircuitError, match=f"setting 'relu': {text.replace('f1', 'fc1')}"):
        applied(circuits.load("digits-fc"), Setting("relu", gate=ReLU()))


def test_ready_made_circuits_refuse_it_with_nonnegative_weights() -> None:
    """Past rectified activity such weights open every gate."""
    for name in circuits.available_circuits():
        with pytest.raises(CircuitError, match=r"gate=ReLU\(\) with sign='nonnegative': .* use sign='mixed'"):
            circuits.load(name, conventional=True, gate=ReLU())
        with pytest.raises(CircuitError, match="ReLU is for scalar units"):
            circuits.load(name, gate=ReLU())
    c = applied(circuits.load("digits-fc", conventional=True, widths=(8, 6)), Setting("relu", gate=ReLU()))
    images, _ = batch_for(c, 64)
    assert bool((Simulator(c, seed=0).forward(images, keep="all").gates["fc2"] == 1).all())


def test_saved_and_rebuilt() -> None:
    assert Circuit.from_json(perceptron().to_json()) == perceptron()
    assert "ReLU()" in str(perceptron())
