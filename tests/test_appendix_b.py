"""Appendix B: K n_0 vector inputs with shared weights (Eq. 17) give the numbers that n_0 scalar inputs give."""

from __future__ import annotations

import pytest
import torch
from reference import drive
from small_circuits import batch_for, scatter_biases
from torch import Tensor

from neurosim import BP, GEVB, AvgPool, Circuit, Conv2d, Dense, Local2d, OneHot, PlasticityRule, SignGate, Simulator

N_0, K = (2, 4, 4), 3
FIRST = {"dense": Dense(), "conv": Conv2d(3, stride=2, padding=1), "local": Local2d(3, padding=1)}


def circuit(first: str, rule: PlasticityRule) -> Circuit:
    c = Circuit(N_0, OneHot(K, "squared"))
    shape = (6,) if first == "dense" else (6, ...)
    c.population("f1", shape, gate=SignGate(), bias="unit")
    c.connect("input", "f1", FIRST[first], rule=rule)
    c.population("f2", 4, gate=SignGate())
    c.connect("f1", "f2", Dense(), rule=rule)
    c.connect("f2", "output", Dense(), rule=rule)
    return c


def vector_inputs(x: Tensor) -> Tensor:
    """Eq. 17: ``a[i, mu] = delta(mu, nu) x[j]``, j = i mod n_0, nu = floor(i / n_0).

    Args:
        x: ``(batch, channels, height, width)``; i runs over K blocks of all its channels.

    Returns:
        ``(batch, K, K * channels, height, width)``.
    """
    channels = x.shape[1]
    a = torch.zeros(x.shape[0], K, K * channels, *x.shape[2:], dtype=x.dtype, device="cpu")
    for mu in range(K):
        a[:, mu, mu * channels : (mu + 1) * channels] = x
    return a


def test_vector_inputs_follow_the_formula() -> None:
    x = torch.randn(1, *N_0, device="cpu")
    n_0, flat, a = x.numel(), x.flatten(), vector_inputs(x).view(K, -1)
    for i in range(K * n_0):
        for mu in range(K):
            assert a[mu, i] == (flat[i % n_0] if mu == i // n_0 else 0)


def shared_weight(weight: Tensor, first: str) -> Tensor:
    """``(K, units, ..., channels, ...)`` as one weight onto vector units from K blocks of presynaptic channels."""
    return torch.cat(list(weight), dim=3 if first == "local" else 1)


@pytest.mark.parametrize("first", FIRST)
@pytest.mark.parametrize("rule", [GEVB(), BP()], ids=str)
def test_same_numbers(first: str, rule: PlasticityRule) -> None:
    simulator = Simulator(circuit(first, rule), precision="float64", seed=1)
    scatter_biases(simulator)
    x, labels = batch_for(simulator.circuit, 5, dtype=torch.float64)
    step = simulator.probe(x, labels)

    # forward (Eq. 6), every layer in the form of ell > 1, one component at a time
    a_0, connectivity = vector_inputs(x), FIRST[first]
    w_1 = shared_weight(simulator.weights["input->f1"], first).requires_grad_()
    h_1 = torch.stack([drive(connectivity, w_1, a_0[:, mu]) for mu in range(K)], dim=1) + simulator.biases["f1"]
    assert float((h_1.detach() - step.activity.pre_activations["f1"]).abs().max()) <= 1e-12
    t = simulator.gates["f1/t"]
    gate = ((t.view(*t.shape, *[1] * (h_1.ndim - 3)) * h_1).sum(1) >= 0).double().detach()
    assert 0 < float(gate.mean()) < 1

    # update (Eqs. 9, 14) by its definition: the correlation of c G with a.e, the one update of a shared weight
    projected = torch.einsum("bmchw,bm->bchw", a_0, step.error.squeeze(2))
    post = step.credit("f1") * gate
    (update,) = torch.autograd.grad((drive(connectivity, w_1, projected) * post).sum(), w_1)
    assert float(update.abs().max()) > 1e-3
    assert float((update - shared_weight(step.updates["input->f1"], first)).abs().max()) <= 1e-12


def test_pooling_the_input_first() -> None:
    """A relay of scalar inputs is scalar: pooling commutes with the construction."""
    c = Circuit(N_0, OneHot(K))
    c.relay("pooled", "input", AvgPool(2))
    c.population("f1", 6, gate=SignGate())
    c.connect("pooled", "f1", Dense(), rule=GEVB())
    c.connect("f1", "output", Dense(), rule=GEVB())
    simulator = Simulator(c, precision="float64", seed=1)
    x, _ = batch_for(c, 5, dtype=torch.float64)
    h = simulator.forward(x, keep="all").pre_activations["f1"]
    pooled = torch.nn.functional.avg_pool2d(vector_inputs(x).flatten(0, 1), 2)
    w_1 = shared_weight(simulator.weights["pooled->f1"], "dense")
    expected = pooled.flatten(1) @ w_1.flatten(1).t()
    assert float((h.flatten(0, 1) - expected).abs().max()) <= 1e-12
