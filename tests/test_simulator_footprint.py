"""What a step costs besides time: no autograd graph, nothing kept that nobody will use, slices that change nothing."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Iterator
from typing import Any

import attrs
import pytest
import torch
from small_circuits import batch_for, readouts_for, scatter_biases, small, with_rule
from torch import Tensor

from neurosim import BP, GEVB, Circuit, Simulator
from neurosim.circuits import available_circuits
from neurosim.forward import Activity, ForwardPass
from neurosim.plasticity import available_rules
from neurosim.step import Step

GATED = ["digits-fc", "mnist-fc", "mnist-conv", "mnist-lc", "cifar10-conv", "cifar10-lc"]


def tensors_in(thing: Any) -> Iterator[Tensor]:
    """Every tensor that can be reached from attrs objects, tables and sequences."""
    if isinstance(thing, Tensor):
        yield thing
    elif attrs.has(type(thing)) and not isinstance(thing, Circuit):
        for field in attrs.fields(type(thing)):
            yield from tensors_in(getattr(thing, field.name))
    elif isinstance(thing, dict):
        yield from tensors_in(list(thing.values()))
    elif isinstance(thing, list | tuple):
        for item in thing:
            yield from tensors_in(item)


# -- no autograd graph -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["mnist-fc", "mnist-conv", "mnist-lc"])
@pytest.mark.parametrize("rule", available_rules())
def test_no_autograd_graph(rule: str, name: str) -> None:
    """Also where gradients are on and somebody asks for those of the images."""
    for readout, K in readouts_for(rule):
        circuit = with_rule(small(name, rule=BP(), readout=readout, K=K), rule)
        simulator = Simulator(circuit, seed=1)
        images, labels = batch_for(circuit, 4, dtype=torch.float32)
        images.requires_grad_()
        with torch.enable_grad():
            results = [
                simulator.forward(images, keep="all"),
                simulator.predict(images),
                simulator.score(images, labels),
                simulator.probe(images, labels),
                simulator.learn(images, labels),
            ]
            own = [*simulator.state_dict().values(), *(simulator.probe(images, labels).credit(circuit.order[1]),)]
        found = [tensor for tensor in tensors_in([*results, own]) if tensor is not images]
        assert len(found) > 20
        assert not any(tensor.requires_grad or tensor.grad_fn is not None for tensor in found)
        assert torch.is_grad_enabled()


# -- what is kept ----------------------------------------------------------------------------------------------------


@pytest.fixture
def passes(monkeypatch: pytest.MonkeyPatch) -> list[Activity]:
    """What the forward passes of a test left behind, copied as they were when they ended."""
    seen: list[Activity] = []
    run = ForwardPass.run

    def spied(self: ForwardPass, *arguments: Any) -> Activity:
        activity = run(self, *arguments)
        seen.append(attrs.evolve(activity, activations=dict(activity.activations)))
        return activity

    monkeypatch.setattr(ForwardPass, "run", spied)
    return seen


@pytest.mark.parametrize("name", available_circuits())
def test_only_what_a_step_uses_is_kept(name: str, passes: list[Activity]) -> None:
    """The presynaptic activity of what learns: of a pooled population the pooled activity, never the population's."""
    simulator = Simulator(small(name, rule=GEVB()), seed=1)
    simulator.learn(*batch_for(simulator.circuit, 4))
    (kept,) = passes
    groups = simulator.circuit.groups.values()
    assert set(kept.activations) == {group.pre for group in groups}
    pooled = {p.relay_of for p in simulator.circuit.populations.values() if p.relay_of is not None}
    assert not pooled & set(kept.activations)
    assert kept.pre_activations == {}


def test_frozen_groups_need_no_activity(passes: list[Activity]) -> None:
    circuit = small("mnist-conv").with_rules({"pool1->conv2": None, "fc1->output": None})
    Simulator(circuit, seed=1).learn(*batch_for(circuit, 4))
    assert set(passes[0].activations) == {"input", "pool2"}


def test_evaluation_keeps_nothing(passes: list[Activity]) -> None:
    simulator = Simulator(small("mnist-conv"), seed=1)
    images, labels = batch_for(simulator.circuit, 4)
    simulator.score(images, labels)
    simulator.predict(images)
    assert [list(tensors_in(kept)) for kept in passes] == [[kept.output] for kept in passes]


def test_activity_dies_while_the_pass_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    """When the second convolution is computed, the first one's activity is gone; its pooled activity is not."""
    drives: list[tuple[str, weakref.ref[Tensor]]] = []
    alive: list[tuple[str, set[str]]] = []
    drive = ForwardPass._drive

    def spied(self: ForwardPass, name: str, live: dict[str, Tensor], bias: Tensor | None) -> Tensor:
        alive.append((name, {known for known, tensor in drives if tensor() is not None}))
        h = drive(self, name, live, bias)
        drives.append((name, weakref.ref(h)))
        return h

    monkeypatch.setattr(ForwardPass, "_drive", spied)
    simulator = Simulator(small("mnist-conv"), seed=1)
    simulator.learn(*batch_for(simulator.circuit, 4))
    before = dict(alive)
    assert before["pool1"] == {"conv1"}
    assert before["conv2"] == {"pool1"}
    assert before["fc1"] == {"pool1", "pool2"}


@pytest.mark.parametrize("rule", available_rules())
@pytest.mark.parametrize("name", GATED)
def test_a_finished_step_keeps_no_activity(name: str, rule: str, passes: list[Activity]) -> None:
    """A loop may hold on to its last step for the loss; that costs no more than output, error and credits."""
    (readout, K), *_ = readouts_for(rule)
    circuit = with_rule(small(name, rule=BP(), readout=readout, K=K), rule)
    simulator = Simulator(circuit, seed=1)
    step = simulator.learn(*batch_for(circuit, 4))
    references = [
        weakref.ref(tensor) for table in (passes[0].activations, passes[0].gates) for tensor in table.values()
    ]
    passes.clear()
    gc.collect()
    assert len(references) >= 4
    assert [reference() for reference in references] == [None] * len(references)
    assert list(tensors_in(step.activity)) == [step.output]


def test_credit_of_a_broadcasting_rule_takes_no_memory() -> None:
    step: Step = Simulator(small("mnist-conv"), seed=1).learn(*batch_for(small("mnist-conv"), 4))
    ones = step.credit("conv1")
    assert ones.shape == (4, 4, 28, 28)
    assert ones.untyped_storage().nbytes() == 4, "one number, expanded"


# -- slices ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("rule", [GEVB(), BP()], ids=str)
@pytest.mark.parametrize("name", available_circuits())
def test_slices_change_nothing(name: str, rule, monkeypatch: pytest.MonkeyPatch) -> None:
    """On the cpu a batch runs in slices; their size is a matter of speed alone."""
    simulator = Simulator(small(name, "mixed", rule), precision="float64", seed=1)
    scatter_biases(simulator)
    data = batch_for(simulator.circuit, 19)  # 8 + 8 + 3
    slices: list[int] = []
    run_slice = ForwardPass._run_slice

    def counted(self: ForwardPass, images: Tensor, *arguments: Any) -> Activity:
        slices.append(len(images))
        return run_slice(self, images, *arguments)

    monkeypatch.setattr(ForwardPass, "_run_slice", counted)
    steps = []
    for size in (2**40, 1):
        monkeypatch.setattr("neurosim.forward._SLICE_BYTES", size)
        steps.append(simulator.probe(*data))
    assert slices == [19, 8, 8, 3]
    whole, sliced = steps
    assert torch.equal(whole.mistakes, sliced.mistakes)
    pairs = [(whole.output, sliced.output), (whole.error, sliced.error), (whole.loss, sliced.loss)]
    tables = [(whole.updates, sliced.updates)]
    for kind in ("activations", "gates", "pre_activations"):
        tables.append((getattr(whole.activity, kind), getattr(sliced.activity, kind)))
    for left, right in tables:
        assert left.keys() == right.keys()
        pairs += [(left[key], right[key]) for key in left]
    assert len(pairs) > 15
    for left, right in pairs:
        assert left.shape == right.shape
        assert left.stride() == right.stride() or left.numel() == 0, "the memory order is kept"
        assert float((left - right).abs().max()) <= 1e-12
