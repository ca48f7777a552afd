"""Optimizers: torch's, with options for single groups; what does not fit is refused."""

from __future__ import annotations

import pytest
import torch
from small_circuits import batch_for
from torch import Tensor

from neurosim import BP, SGD, Adam, Circuit, Dense, OneHot, Optimizer, SignGate, Simulator
from neurosim.errors import SimulationError, UnknownNameError


def circuit(bias_learns: bool = True) -> Circuit:
    c = Circuit((1, 4, 4), OneHot(3))
    c.population("f1", 6, gate=SignGate(), bias_rule="shared" if bias_learns else None)
    c.connect("input", "f1", Dense(), rule=BP())
    c.connect("f1", "output", Dense(), rule=BP())
    return c


def parameters() -> dict[str, Tensor]:
    return {name: torch.zeros(2, device="cpu") for name in ("input->f1", "f1->output", "bias of f1")}


def rates(optimizer: torch.optim.Optimizer, of: dict[str, Tensor]) -> dict[str, float]:
    """Parameter to the learning rate it gets."""
    found = {id(p): group["lr"] for group in optimizer.param_groups for p in group["params"]}
    return {name: found[id(tensor)] for name, tensor in of.items()}


def test_the_default_is_appendix_h() -> None:
    built = Adam().build(parameters())
    assert isinstance(built, torch.optim.Adam)
    (group,) = built.param_groups
    chosen = {name: group[name] for name in ("lr", "betas", "eps", "weight_decay", "amsgrad", "fused")}
    assert chosen == {
        "lr": 3e-4,
        "betas": (0.9, 0.999),
        "eps": 1e-8,
        "weight_decay": 0,
        "amsgrad": False,
        "fused": True,
    }
    assert Simulator(circuit()).optimizer == Adam()


def test_groups_have_options_of_their_own() -> None:
    named = parameters()
    own = {"f1->output": {"lr": 0.5}, "bias of f1": {"lr": 0.0, "momentum": 0.9}}
    built = SGD(0.1, groups=own).build(named)
    assert rates(built, named) == {"input->f1": 0.1, "f1->output": 0.5, "bias of f1": 0.0}
    momenta = {id(p): group["momentum"] for group in built.param_groups for p in group["params"]}
    assert [momenta[id(tensor)] for tensor in named.values()] == [0, 0, 0.9]
    everything_named = SGD(0.1, groups={name: {"lr": 0.2} for name in named}).build(named)
    assert set(rates(everything_named, named).values()) == {0.2}


def test_learning_rates_reach_the_weights() -> None:
    """A step of gradient descent changes each parameter by its own rate times the update."""
    own = {"f1->output": {"lr": 0.5}, "bias of f1": {"lr": 0.0}}
    simulator = Simulator(circuit(), precision="float64", optimizer=SGD(0.25, groups=own))
    before = {name: tensor.clone() for name, tensor in simulator.weights.items()}
    step = simulator.learn(*batch_for(simulator.circuit, 5))
    for name, rate in [("input->f1", 0.25), ("f1->output", 0.5)]:
        assert float(step.updates[name].abs().max()) > 1e-3
        assert float((simulator.weights[name] - before[name] + rate * step.updates[name]).abs().max()) < 1e-14
    assert float(step.updates["bias of f1"].abs().max()) > 1e-3
    assert not bool(simulator.biases["f1"].any())
    assert bool(simulator.biases["output"].any())


@pytest.mark.parametrize("kind", [torch.optim.RMSprop, torch.optim.Adagrad, torch.optim.AdamW, torch.optim.SGD])
def test_any_optimizer_of_torch_serves(kind: type[torch.optim.Optimizer]) -> None:
    simulator = Simulator(circuit(), optimizer=Optimizer(kind, {"lr": 0.01}))
    before = simulator.weights["input->f1"].clone()
    simulator.learn(*batch_for(simulator.circuit, 5))
    assert not torch.equal(simulator.weights["input->f1"], before)


@pytest.mark.parametrize("name", ["f1->outptu", "f1", "bias of input"])
def test_an_unknown_group_lists_the_known_ones(name: str) -> None:
    text = f"unknown group with an optimizer of its own '{name}'; .*bias of f1, f1->output, input->f1"
    with pytest.raises(UnknownNameError, match=text):
        SGD(0.1, groups={name: {"lr": 1.0}}).build(parameters())


def test_what_does_not_learn_has_no_learning_rate() -> None:
    with pytest.raises(
        UnknownNameError, match=r"unknown group with an optimizer of its own 'bias of f1'; .*bias of output"
    ):
        Simulator(circuit(bias_learns=False), optimizer=SGD(0.1, groups={"bias of f1": {"lr": 1.0}}))


@pytest.mark.parametrize(
    ("optimizer", "text"),
    [
        (SGD(0.1, momentun=0.9), "optimizer SGD.*: .*unexpected keyword argument 'momentun'"),
        (SGD(-0.1), "optimizer SGD.*: Invalid learning rate: -0.1"),
        (Adam(betas=(0.9, 1.5)), "optimizer Adam.*: Invalid beta parameter at index 1: 1.5"),
        (Adam(foreach=True), "optimizer Adam.*: `fused` and `foreach` cannot be `True` together"),
        (
            Optimizer(torch.optim.Rprop, {"lr": 0.1, "betas": (0, 1)}),
            "optimizer Rprop.*: .*unexpected keyword.*'betas'",
        ),
        # torch itself would take these two without a word, and the first without effect
        (SGD(0.1, groups={"f1->output": {"lrr": 1.0}}), "optimizer SGD for 'f1->output': .*unexpected keyword.*'lrr'"),
        (SGD(0.1, groups={"f1->output": {"lr": -1.0}}), "optimizer SGD for 'f1->output': Invalid learning rate: -1.0"),
    ],
)
def test_options_that_do_not_fit_are_refused(optimizer: Optimizer, text: str) -> None:
    with pytest.raises(SimulationError, match=text):
        optimizer.build(parameters())
    with pytest.raises(SimulationError, match=text):
        Simulator(circuit(), optimizer=optimizer)


def test_an_optimizer_that_needs_more_than_gradients_is_refused() -> None:
    with pytest.raises(SimulationError, match="optimizer LBFGS cannot be used here: .*closure"):
        Simulator(circuit(), optimizer=Optimizer(torch.optim.LBFGS, {"lr": 0.1}))


def test_a_record_of_the_options() -> None:
    assert Adam(1e-3, weight_decay=0.1).to_dict() == {
        "type": "Adam", "lr": 1e-3, "betas": (0.9, 0.999), "eps": 1e-8, "fused": True, "weight_decay": 0.1,
    }  # fmt: skip
    own = {"f1->output": {"lr": 0.5}}
    optimizer = SGD(0.1, groups=own)
    own["f1->output"] = {"lr": 7.0}
    assert optimizer.to_dict() == {"type": "SGD", "lr": 0.1, "groups": {"f1->output": {"lr": 0.5}}}
