"""Gates that are known early: FirstBinGate and ExternalGate against their definitions, and what every gate keeps."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from reference import Reference
from small_circuits import batch_for, readouts_for, scatter_biases, small, with_rule
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode

from neurosim import (
    BP,
    GEVB,
    AvgPool,
    Circuit,
    Conv2d,
    Dense,
    ExternalGate,
    FirstBinGate,
    Gate,
    Local2d,
    OneHot,
    ReLU,
    SignGate,
    Simulator,
)
from neurosim.errors import CircuitError, SimulationError, UnknownNameError
from neurosim.plasticity import available_rules
from neurosim.streams import stream

GATES = [SignGate(), FirstBinGate(), ExternalGate(), ExternalGate(spread=0.7)]
SPACES = ["digits-fc", "mnist-conv", "mnist-lc"]


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator(device="cpu").manual_seed(seed), dtype=torch.float64)


def opened(gate: Gate, h: Tensor, source: tuple[int, ...] = (2, 3, 3), seed: int = 0) -> Tensor:
    """``G`` of a gate drawn for ``h``, with a context of its own where it listens to one."""
    heard = () if gate.listens_to is None else (source,)
    context = () if gate.listens_to is None else (normal(len(h), *source, seed=99).to(h.dtype),)
    drawn = gate.draw(h.shape[1], h.shape[2], stream(seed, "gate"), *heard)
    return gate.open({key: constant.to(h.dtype) for key, constant in drawn.items()}, h, *context)


def test_every_gate_is_among_those_tested() -> None:
    ours = {kind for kind in Gate.known().values() if kind.__module__.startswith("neurosim.")}
    assert {type(gate) for gate in GATES} == ours - {ReLU}  # for scalar units, in test_relu.py


# -- what every gate keeps -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("units", [(6,), (4, 3, 2)], ids=str)
@pytest.mark.parametrize("components", [1, 3])
@pytest.mark.parametrize("gate", GATES, ids=str)
def test_a_gate_is_zero_or_one(gate: Gate, components: int, units: tuple[int, ...], dtype: torch.dtype) -> None:
    h = normal(50, components, *units).to(dtype)
    before = h.clone()
    found = opened(gate, h)
    assert (found.shape, found.dtype) == ((50, *units), dtype)
    assert set(found.unique().tolist()) == {0.0, 1.0}
    assert torch.equal(h, before), "h is used afterwards"


@pytest.mark.parametrize("units", [(6,), (4, 3, 2)], ids=str)
@pytest.mark.parametrize("gate", GATES, ids=str)
def test_a_causal_gate_needs_the_first_component_alone(gate: Gate, units: tuple[int, ...]) -> None:
    h = normal(20, 5, *units)
    later = torch.cat([h[:, :1], normal(20, 4, *units, seed=1)], dim=1)
    assert torch.equal(opened(gate, h), opened(gate, later)) == gate.causal
    if gate.causal:
        drawn = gate.draw(5, units[0], stream(0, "gate"), *(() if gate.listens_to is None else ((2, 3, 3),)))
        context = () if gate.listens_to is None else (normal(20, 2, 3, 3, seed=99),)
        assert torch.equal(gate.open(drawn, h[:, :1], *context), opened(gate, h))


@pytest.mark.parametrize("units", [(6,), (4, 3, 2)], ids=str)
@pytest.mark.parametrize("gate", GATES, ids=str)
def test_both_of_a_pair_open_where_their_pre_activations_are_opposite(gate: Gate, units: tuple[int, ...]) -> None:
    """ON/OFF pairs share one gate value at initialization (Section 5), external gates always."""
    on = normal(20, 5, units[0] // 2, *units[1:])
    pairs = opened(gate, torch.stack([on, -on], dim=3).flatten(2, 3))
    assert torch.equal(pairs[:, 0::2], pairs[:, 1::2])


@pytest.mark.parametrize("name", SPACES)
@pytest.mark.parametrize("gate", GATES, ids=str)
def test_onoff_networks_stay_paired(gate: Gate, name: str) -> None:
    """Past the first layer opposite pre-activations depend on the gates that pairs share."""
    simulator = Simulator(small(name, gate=gate), precision="float64", seed=1)
    activity = simulator.forward(batch_for(simulator.circuit, 16)[0], keep="all")
    assert len(activity.gates) >= 2
    for population, is_open in activity.gates.items():
        h = activity.pre_activations[population]
        assert float((h[:, :, 0::2] + h[:, :, 1::2]).abs().max()) <= 1e-12
        assert float(h.abs().max()) > 1e-3
        assert torch.equal(is_open[:, 0::2], is_open[:, 1::2])
        assert torch.equal(activity.activations[population], h * is_open.unsqueeze(1))


@pytest.mark.parametrize("components", [10, 1])
@pytest.mark.parametrize("name", SPACES)
@pytest.mark.parametrize("gate", GATES, ids=str)
def test_backpropagation_is_autograd_with_gates_held(gate: Gate, name: str, components: int) -> None:
    simulator = Simulator(small(name, "mixed", BP(), OneHot(10), components, gate), precision="float64", seed=2)
    scatter_biases(simulator)
    images, labels = batch_for(simulator.circuit, 5)
    step, expected = simulator.probe(images, labels), Reference(simulator).gradients(images, labels)
    for group, gradient in expected.items():
        assert float(gradient.abs().max()) > 1e-4, f"{group}: nothing is compared"
        assert float((step.updates[group] - gradient).abs().max()) <= 1e-10, group


@pytest.mark.parametrize("name", ["digits-fc", "mnist-lc"])
@pytest.mark.parametrize("gate", GATES, ids=str)
def test_gevb_has_the_signs_of_the_gradient(gate: Gate, name: str) -> None:
    """Section 3.3 holds for any gate that is not negative; of single examples, and of weights without sharing."""
    simulator = Simulator(small(name, rule=GEVB(), gate=gate), precision="float64", seed=3)
    largest = dict.fromkeys(simulator.weights, 0.0)
    for seed in range(8):
        images, labels = batch_for(simulator.circuit, 1, seed)
        step, exact = simulator.probe(images, labels), Reference(simulator).gradients(images, labels)
        for group in largest:
            agreement = step.updates[group] * exact[group]
            assert float(agreement.min()) >= -1e-15
            largest[group] = max(largest[group], float(agreement.max()))
    assert min(largest.values()) > 1e-6


@pytest.mark.parametrize("rule", available_rules())
@pytest.mark.parametrize("gate", GATES, ids=str)
def test_every_rule_learns_on_cuda(gate: Gate, rule: str) -> None:
    """As far as a machine without cuda can tell: no tensor on another device, no value read inside a step."""
    with FakeTensorMode():
        for readout, K in readouts_for(rule):
            circuit = with_rule(small("mnist-conv", rule=BP(), readout=readout, K=K, gate=gate), rule)
            simulator = Simulator(circuit, device="cuda")
            images = torch.empty(16, *circuit.inputs, dtype=torch.uint8, device="cuda")
            labels = torch.empty(16, dtype=torch.int64, device="cuda")
            simulator.learn(images, labels)
            step, activity = simulator.probe(images, labels), simulator.forward(images, keep="all")
            made = [step.loss, *step.updates.values(), *activity.gates.values(), *simulator.gates.values()]
            assert {tensor.device.type for tensor in made} == {"cuda"}


@pytest.mark.parametrize("gate", GATES, ids=str)
def test_saved_and_loaded_equals_unsaved(gate: Gate) -> None:
    circuit = small("mnist-conv", gate=gate)
    again = Circuit.from_json(circuit.to_json())
    assert again == circuit
    first, second = Simulator(circuit, seed=4), Simulator(again, seed=5)
    second.load_state_dict(first.state_dict())
    images, labels = batch_for(circuit, 6)
    for simulator in (first, second):
        simulator.learn(images, labels)
    assert torch.equal(first.forward(images).output, second.forward(images).output)


@pytest.mark.parametrize("gate", GATES, ids=str)
def test_slices_of_a_batch_change_nothing(gate: Gate, monkeypatch: pytest.MonkeyPatch) -> None:
    simulator = Simulator(small("mnist-conv", gate=gate), precision="float64")
    images, _ = batch_for(simulator.circuit, 20)
    whole = simulator.forward(images, keep="all")
    monkeypatch.setattr("neurosim.forward._SLICE_BYTES", 1)
    parts = simulator.forward(images, keep="all")
    for name in whole.gates:
        assert torch.equal(whole.gates[name], parts.gates[name])


# -- FirstBinGate ----------------------------------------------------------------------------------------------------


@given(st.integers(1, 5), st.integers(1, 3), st.booleans(), st.integers(0, 1000))
def test_the_first_component_decides(components: int, pairs: int, spatial: bool, seed: int) -> None:
    """One unit and example at a time, with ties."""
    units = (2 * pairs, 2, 3) if spatial else (2 * pairs,)
    generator = torch.Generator(device="cpu").manual_seed(seed)
    h = torch.randint(-1, 2, (4, components, *units), generator=generator, dtype=torch.float64, device="cpu")
    found = opened(FirstBinGate(), h)
    for b, *place in torch.cartesian_prod(*(torch.arange(n, device="cpu") for n in (4, *units))).tolist():
        t1 = -1.0 if place[0] % 2 == 0 else 1.0
        assert float(found[(b, *place)]) == (1.0 if t1 * float(h[(b, 0, *place)]) >= 0 else 0.0)


@given(st.integers(1, 3), st.integers(0, 1000))
def test_with_one_component_it_is_the_sign_gate(pairs: int, seed: int) -> None:
    h = normal(9, 1, 2 * pairs, 2, 2, seed=seed)
    assert torch.equal(opened(FirstBinGate(), h), opened(SignGate(), h, seed=seed))


def test_it_is_a_sign_gate_with_zeros() -> None:
    """Eq. 8 with t = (t_1, 0, ..., 0)."""
    h = normal(9, 4, 6)
    t = torch.zeros(4, 6, dtype=torch.float64, device="cpu")
    t[0] = FirstBinGate().draw(4, 6, stream(0))["t1"]
    assert t[0].tolist() == [-1.0, 1.0, -1.0, 1.0, -1.0, 1.0]
    assert torch.equal(opened(FirstBinGate(), h), SignGate().open({"t": t}, h))


# -- ExternalGate ----------------------------------------------------------------------------------------------------


def external(gate: ExternalGate, connectivity=None, unheard: bool = False) -> Simulator:
    """``input`` (2, 6, 6) -> ``p`` with 4 units or channels -> output of 3 components."""
    c = Circuit((2, 6, 6), OneHot(3))
    if gate.source == "coarse" or unheard:
        c.relay("coarse", "input", AvgPool(3))
    c.population("p", (4, ...) if connectivity is not None else 4, gate=gate)
    c.connect("input", "p", connectivity or Dense())
    c.connect("p", "output", Dense(), rule=GEVB())
    return Simulator(c, precision="float64", seed=7)


@pytest.mark.parametrize("source", ["input", "coarse"])
@pytest.mark.parametrize("connectivity", [None, Conv2d(3), Local2d(3)], ids=str)
def test_half_spaces_of_the_source(connectivity, source: str) -> None:
    """``v . x >= b``, one example and pair at a time; positions alike."""
    simulator = external(ExternalGate(source, spread=0.5), connectivity)
    images = normal(40, 2, 6, 6)
    x = images if source == "input" else torch.nn.functional.avg_pool2d(images, 3)
    found = simulator.forward(images, keep="all").gates["p"]
    v, b = simulator.gates["p/context"], simulator.gates["p/threshold"]
    assert (v.shape, b.shape) == ((2, *x.shape[1:]), (2,))
    for example in range(40):
        for pair in range(2):
            drive = math.fsum((v[pair] * x[example]).flatten().tolist())
            both = found[example, 2 * pair : 2 * pair + 2]
            assert torch.equal(both, torch.full_like(both, 1.0 if drive >= float(b[pair]) else 0.0))
    assert 0.2 < float(found.mean()) < 0.8


def test_it_does_not_depend_on_pre_activations() -> None:
    simulator = external(ExternalGate())
    images = normal(30, 2, 6, 6)
    before = simulator.forward(images, keep="all")
    simulator.weights["input->p"] = normal(3, 4, 2, 6, 6, seed=1)
    simulator.biases["p"] = 5 * normal(3, 4, seed=2)
    after = simulator.forward(images, keep="all")
    assert not torch.equal(before.pre_activations["p"], after.pre_activations["p"])
    assert torch.equal(before.gates["p"], after.gates["p"])
    assert not torch.equal(before.gates["p"], simulator.forward(-images, keep="all").gates["p"])


def test_ties_are_open() -> None:
    simulator = external(ExternalGate())
    gates = simulator.forward(torch.zeros(1, 2, 6, 6, dtype=torch.float64, device="cpu"), keep="all").gates["p"]
    assert gates.tolist() == [[1.0] * 4]


def test_vectors_and_thresholds_have_their_scale() -> None:
    """``v . x`` has the scale of one pixel, within 5 standard errors."""
    drawn = ExternalGate(spread=0.3).draw(5, 2000, stream(0), (1, 20, 20))
    count = 1000 * 400
    assert abs(float(drawn["context"].var()) * 400 - 1) < 5 * math.sqrt(2 / count)
    assert abs(float(drawn["threshold"].var()) / 0.09 - 1) < 5 * math.sqrt(2 / 1000)
    assert not bool(ExternalGate().draw(5, 6, stream(0), (4,))["threshold"].any())


@pytest.mark.parametrize("form", ["tensor", "array", "lists", "flat"])
def test_contexts_of_ones_own(form: str) -> None:
    v = normal(2, 2, 2, 2)
    given = {"tensor": v, "array": v.numpy(), "lists": v.tolist(), "flat": v.flatten(1).tolist()}[form]
    gate = ExternalGate("coarse", context=given)
    assert gate == ExternalGate("coarse", context=v.flatten(1))
    assert str(gate) == "ExternalGate(source='coarse', spread=0.0, context=<2 x 8 numbers>)"
    simulator = external(gate, Conv2d(3))
    assert torch.equal(simulator.gates["p/context"], v)
    again = Circuit.from_json(simulator.circuit.to_json())
    assert torch.equal(Simulator(again, precision="float64").gates["p/context"], v), "to the last bit"


def test_contexts_can_be_set_in_a_simulator() -> None:
    simulator = external(ExternalGate())
    simulator.gates["p/context"] = np.zeros((2, 2, 6, 6))
    simulator.gates["p/threshold"] = [-1.0, 1.0]  # a fixed choice: the first pair on, the second off
    gates = simulator.forward(normal(3, 2, 6, 6), keep="all").gates["p"]
    assert gates.tolist() == [[1.0, 1.0, 0.0, 0.0]] * 3
    text = r"gate constant 'p/context' has the shape \(2, 2, 6, 6\), got \(4, 2, 6, 6\)"
    with pytest.raises(SimulationError, match=text):
        simulator.gates["p/context"] = np.zeros((4, 2, 6, 6))


def test_a_relay_may_serve_a_gate_alone() -> None:
    """It needs no other way to the output; one that serves nothing does."""
    external(ExternalGate("coarse"))
    with pytest.raises(CircuitError, match="population 'coarse' has no way to 'output'"):
        external(ExternalGate("input"), unheard=True)


def test_the_image_lives_as_long_as_a_gate_listens() -> None:
    """Deep populations are gated by it long after the last synapse from it."""
    simulator = Simulator(small("mnist-conv", gate=ExternalGate()), precision="float64")
    images, _ = batch_for(simulator.circuit, 6)
    found = simulator.forward(images, keep="all")
    x = found.activations["input"].flatten(1)
    for name, is_open in found.gates.items():
        v = simulator.gates[f"{name}/context"].flatten(1)
        wanted = (x @ v.t() >= 0).double().repeat_interleave(2, 1)
        assert torch.equal(is_open, wanted.view(*wanted.shape, *[1] * (is_open.ndim - 2)).expand_as(is_open))


# -- refusals --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("gate", GATES, ids=str)
def test_an_odd_number_cannot_be_paired(gate: Gate) -> None:
    name = type(gate).__name__
    with pytest.raises(CircuitError, match=f"population 'p': {name} pairs units .* odd number of units .* 7; use 8"):
        Circuit(3, OneHot(4)).population("p", 7, gate=gate)


ROWS = [[0.0] * 5] * 3


@pytest.mark.parametrize(
    ("context", "text"),
    [
        (ROWS, r"population 'p': .* has the shape \(3, 5\), expected \(4, 6\): one row per ON/OFF pair of 8 .*'input'"),
        (torch.zeros(8, 6, device="cpu"), r"has the shape \(8, 6\), expected \(4, 6\)"),
        ([[0.0] * 5] * 4, r"has the shape \(4, 5\), expected \(4, 6\): .* one number per unit of 'input' \(6,\)"),
    ],
    ids=["both", "one per unit", "inputs"],
)
def test_a_context_of_the_wrong_size(context, text: str) -> None:
    c = Circuit(6, OneHot(4))
    with pytest.raises(CircuitError, match=text):
        c.population("p", 8, gate=ExternalGate(context=context))
    assert list(c.populations) == ["input", "output"]


@pytest.mark.parametrize(
    ("context", "text"),
    [
        ([[1.0, 2.0], [3.0]], r"rows of one length, \(pairs, inputs\), got 2 rows of 1 and 2 numbers"),
        ([], "got 0 rows of no numbers"),
        ([[], []], "got 2 rows of 0 numbers"),
        ([[1.0, math.inf]], "expected finite numbers, got inf"),
        ([[1.0, "2"]], "expected finite numbers, got '2'"),
        ([1.0, 2.0], r"numbers of the shape \(pairs, inputs\), got \[1.0, 2.0\]"),
        (3, r"numbers of the shape \(pairs, inputs\), got 3"),
    ],
)
def test_a_context_that_is_none(context, text: str) -> None:
    with pytest.raises(CircuitError, match=rf"ExternalGate\(context=...\): expected .*{text}|{text}"):
        ExternalGate(context=context)


@pytest.mark.parametrize("spread", [-0.1, math.nan, math.inf, True])
def test_a_spread_that_is_none(spread: float) -> None:
    with pytest.raises(CircuitError, match=r"ExternalGate.spread must be a number of at least 0, got"):
        ExternalGate(spread=spread)


def test_a_source_that_does_not_exist_or_is_not_scalar() -> None:
    c = Circuit((1, 4, 4), OneHot(3))
    c.relay("coarse", "input", AvgPool(2))
    c.population("first", 4, gate=SignGate())
    with pytest.raises(UnknownNameError, match="unknown source of the gate of 'p' 'inptu'; did you mean 'input'"):
        c.population("p", 4, gate=ExternalGate("inptu"))
    with pytest.raises(CircuitError, match="listens to 'first', whose units are vectors.*one of: input, coarse"):
        c.population("p", 4, gate=ExternalGate("first"))
    assert "p" not in c.populations
