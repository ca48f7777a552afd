"""Backpropagation by hand equals torch's automatic differentiation, on every group and bias."""

from __future__ import annotations

import pytest
import torch
from reference import Reference
from small_circuits import batch_for, scatter_biases, small

from neurosim import (
    BP,
    GEVB,
    AvgPool,
    Binary,
    Circuit,
    Conv2d,
    Dense,
    HalfNormal,
    Local2d,
    OneHot,
    OnOff,
    SignGate,
    Simulator,
)
from neurosim.circuits import available_circuits, load
from neurosim.circuits.paper import network

READOUTS = {
    "ten scalar outputs": (OneHot(10), 1),
    "ten scalar outputs, squared": (OneHot(10, "squared"), 1),
    "one logistic output": (Binary(2), 1),
    "one output, squared": (Binary(2, "squared"), 1),
    "K=3": (OneHot(3), 3),
    "K=3, squared": (OneHot(3, "squared"), 3),
    "K=3, logistic": (Binary(8), 3),
    "K=10": (OneHot(10), 10),
    "K=10, squared": (OneHot(10, "squared"), 10),
    "K=10, logistic": (OneHot(10, "logistic"), 10),
}


def agree(simulator: Simulator, size: int, tolerance: float, images: torch.dtype = torch.uint8) -> None:
    """Every update of ``simulator`` is autograd's gradient, to an absolute ``tolerance``, and none is all zero."""
    data = batch_for(simulator.circuit, size, dtype=images)
    step, reference = simulator.probe(*data), Reference(simulator)
    expected = reference.gradients(*data)
    assert set(step.updates) == set(expected), "every group and bias learns here"
    assert abs(float(step.loss - reference.loss(*data).detach())) <= 1e-12
    for name, gradient in expected.items():
        assert float(gradient.abs().max()) > 1e-4, f"{name}: nothing is compared"
        assert float((step.updates[name] - gradient).abs().max()) <= tolerance, name


@pytest.mark.parametrize("readout", READOUTS)
@pytest.mark.parametrize("sign", ["nonnegative", "mixed"])
@pytest.mark.parametrize("name", available_circuits())
def test_registered_circuits(name: str, sign: str, readout: str) -> None:
    code, components = READOUTS[readout]
    simulator = Simulator(small(name, sign, BP(), code, components), precision="float64", seed=1)
    scatter_biases(simulator)
    agree(simulator, 5, 1e-10)


@pytest.mark.parametrize("name", available_circuits())
def test_floating_point_images(name: str) -> None:
    simulator = Simulator(small(name, rule=BP()), precision="float64", seed=2)
    scatter_biases(simulator)
    agree(simulator, 5, 1e-10, torch.float64)


def skips(code: OneHot, components: int) -> Circuit:
    """Connections that skip a population, into a hidden one and into the output."""
    c = Circuit((1, 6, 6), code, K=components)
    for name in ("f1", "f2", "f3"):
        c.population(name, 6, gate=SignGate())
    for pre, post in [("input", "f1"), ("f1", "f2"), ("input", "f2"), ("f2", "f3"), ("f1", "f3"), ("f3", "output")]:
        c.connect(pre, post, Dense(), rule=BP())
    c.connect("f1", "output", Dense(), rule=BP())
    c.connect("input", "output", Dense(), rule=BP())
    return c


def excitation_and_inhibition(code: OneHot, components: int) -> Circuit:
    """Two groups side by side, of opposite signs."""
    c = Circuit((1, 6, 6), code, K=components)
    c.population("f1", 6, gate=SignGate())
    c.population("f2", 8, gate=SignGate(), bias=None)
    c.connect("input", "f1", Dense(), rule=BP())
    c.connect("f1", "f2", Dense(), rule=BP(), sign="nonnegative", init=OnOff(), name="excitation")
    c.connect("f1", "f2", Dense(), rule=BP(), sign="nonpositive", init=HalfNormal(), name="inhibition")
    c.connect("f2", "output", Dense(), rule=BP())
    return c


def image_pathways(code: OneHot, components: int) -> Circuit:
    """Pooled input, overlapping pooling, strides, rectangular kernels, a linear population; two of them meet."""
    c = Circuit((3, 8, 8), code, K=components)
    c.population("c1", (4, ...), gate=SignGate(), bias="channel")
    c.connect("input", "c1", Conv2d((3, 2), stride=(1, 2), padding=(1, 0)), rule=BP())
    c.relay("overlap", "c1", AvgPool(2, stride=1))
    c.population("l1", (2, ...), gate=SignGate(), bias="unit")
    c.connect("overlap", "l1", Local2d((3, 2), stride=2, padding=(1, 0)), rule=BP())
    c.relay("pooled", "input", AvgPool(2))
    c.population("c2", (2, 4, 1), bias="channel")
    c.connect("pooled", "c2", Conv2d((1, 4)), rule=BP())
    c.connect("l1", "c2", Conv2d(1), rule=BP())
    c.connect("c2", "output", Dense(), rule=BP())
    c.connect("pooled", "output", Dense(), rule=BP())
    return c


@pytest.mark.parametrize(("code", "components"), [(OneHot(10), 10), (OneHot(3, "squared"), 3), (OneHot(4), 1)], ids=str)
@pytest.mark.parametrize("circuit", [skips, excitation_and_inhibition, image_pathways])
def test_graphs(circuit, code: OneHot, components: int) -> None:
    simulator = Simulator(circuit(code, components), precision="float64", seed=3)
    scatter_biases(simulator)
    agree(simulator, 7, 1e-10, torch.float64)


@pytest.mark.parametrize("components", [10, 1])
def test_through_frozen_groups(components: int) -> None:
    """The gradient of what learns is the same whether the groups that it crosses learn or not."""
    circuit = skips(OneHot(10), components).with_rules({"f2->f3": None, "f3->output": None, "f1->output": None})
    simulator = Simulator(circuit, precision="float64", seed=3)
    images, labels = batch_for(circuit, 7)
    updates = simulator.probe(images, labels).updates
    expected = Reference(simulator).gradients(images, labels)
    assert set(expected) - set(updates) == {"f2->f3", "f3->output", "f1->output"}
    for name, update in updates.items():
        assert float((update - expected[name]).abs().max()) <= 1e-10


def test_beside_another_rule() -> None:
    """A group that learns by BP gets the gradient even where its neighbours do not."""
    circuit = network((1, 6, 6), [], [6, 6, 6], rule=GEVB()).with_rules({"fc1->fc2": BP()})
    simulator = Simulator(circuit, precision="float64", seed=3)
    images, labels = batch_for(circuit, 7)
    updates, expected = simulator.probe(images, labels).updates, Reference(simulator).gradients(images, labels)
    assert float((updates["fc1->fc2"] - expected["fc1->fc2"]).abs().max()) <= 1e-10
    assert float((updates["input->fc1"] - expected["input->fc1"]).abs().max()) > 1e-3


FULL_WIDTH = {  # circuit -> (batch, tolerance relative to the largest entry)
    "mnist-fc": (16, 1e-5),
    "mnist-conv": (4, 1e-4),
    "mnist-lc": (4, 1e-5),
    "cifar10-fc": (16, 1e-5),
    "cifar10-conv": (2, 1e-4),
    "cifar10-lc": (2, 1e-5),
}


@pytest.mark.parametrize("name", FULL_WIDTH)
def test_float32_at_full_width(name: str) -> None:
    size, tolerance = FULL_WIDTH[name]
    simulator = Simulator(load(name, rule=BP()), seed=4)
    images, labels = batch_for(simulator.circuit, size)
    step = simulator.probe(images, labels)
    # The same gates on both sides: a pre-activation that is zero to rounding may open a gate here and not there.
    expected = Reference(simulator, step.activity.gates).gradients(images, labels)
    assert set(step.updates) == set(expected)
    for group, gradient in expected.items():
        largest = float(gradient.abs().max())
        assert largest > 1e-4
        assert float((step.updates[group] - gradient).abs().max()) <= tolerance * largest, group
