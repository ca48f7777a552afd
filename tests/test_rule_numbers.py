"""Numbers of rules against formulas written out here: DFA in space, scales, relays, slices, graded gates."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from attrs import frozen

from neurosim import (
    BP,
    GEVB,
    Adam,
    AvgPool,
    Circuit,
    Conv2d,
    Dense,
    Local2d,
    OneHot,
    SignGate,
    Simulator,
    temporal,
)
from neurosim.rules import DFA, Kickback, LocalError, NodePerturbation, ThreeFactorHebbian
from neurosim.testing import batch, simulator_for

# -- direct feedback alignment ---------------------------------------------------------------------------------------

FIRST, SECOND = {"kernel_size": 3, "padding": 1}, {"kernel_size": 2, "padding": 0}


def in_space(kind, K):
    circuit = Circuit((2, 6, 6), OneHot(3), K=K)
    circuit.population("h1", (4, ...), gate=SignGate(), bias="channel")
    circuit.connect("input", "h1", kind(3, padding=1), rule=DFA())
    circuit.relay("pool", "h1", AvgPool(2))
    circuit.population("h2", (4, ...), gate=SignGate())
    circuit.connect("pool", "h2", kind(2), rule=DFA())
    circuit.connect("h2", "output", Dense(), rule=DFA())
    return circuit


def delivered(step, matrix, population):
    """``d[b, mu, i] G[b, i]``, units flattened: the error of output unit k times row k, at the gate's output."""
    gate = step.activity.gates[population].flatten(1)
    if step.error.shape[1] == 1:  # scalar units: one number per unit and output unit
        credit = torch.einsum("bk,ki->bi", step.error[:, 0], matrix.flatten(1)).unsqueeze(1)
    else:  # vector units: one output unit, its error vector times one number per unit
        credit = torch.einsum("bm,i->bmi", step.error[:, :, 0], matrix.flatten())
    return credit * gate.unsqueeze(1)


def fields(images, kernel_size, padding):
    """``(batch, fan-in, positions)``."""
    return F.unfold(images, kernel_size, padding=padding)


@pytest.mark.parametrize("K", [None, 1], ids=["vector", "scalar"])
@pytest.mark.parametrize("kind", [Conv2d, Local2d])
def test_dfa_in_space_by_hand(kind, K):
    simulator = Simulator(in_space(kind, K), precision="float64", seed=3)
    images, labels = batch(simulator)
    step = simulator.probe(images, labels)
    assert step.activity.activations["pool"].shape[1:] == (K or 3, 4, 3, 3)

    post = delivered(step, simulator.feedback["dfa/h1/D"], "h1")  # (batch, K, units)
    post = post.view(*post.shape[:2], 4, -1)  # (batch, K, channels, positions)
    formula = "bmcp,bfp->mcf" if kind is Conv2d else "bmcp,bfp->mcpf"
    expected = torch.einsum(formula, post, fields(images, **FIRST))
    assert float((step.updates["input->h1"] - expected.view_as(step.updates["input->h1"])).abs().max()) < 1e-13
    assert float((step.updates["bias of h1"] - post.sum((0, 3))).abs().max()) < 1e-13

    post = delivered(step, simulator.feedback["dfa/h2/D"], "h2")
    post = post.view(*post.shape[:2], 4, -1)
    pooled = step.activity.activations["pool"]
    formula = "bcp,bfp->cf" if kind is Conv2d else "bcp,bfp->cpf"
    parts = [torch.einsum(formula, post[:, m], fields(pooled[:, m], **SECOND)) for m in range(post.shape[1])]
    expected = sum(parts).view_as(step.updates["pool->h2"])
    assert float((step.updates["pool->h2"] - expected).abs().max()) < 1e-13
    assert float((step.updates["bias of h2"].flatten(1) - post.sum(0).flatten(1)).abs().max()) < 1e-13
    assert all(float(update.abs().max()) > 1e-3 for update in step.updates.values())


def positive_dfa_and_gevb(connectivity, **options):
    circuit = Circuit((2, 6, 6), OneHot(3))
    for name, pre in (("h1", "input"), ("h2", "h1")):
        circuit.population(name, (6,) if isinstance(connectivity, Dense) else (4, ...), gate=SignGate())
        circuit.connect(pre, name, connectivity, rule=GEVB())
    circuit.connect("h2", "output", Dense(), rule=GEVB())
    rules = DFA(limits=(0, 1)), GEVB()
    return (Simulator(circuit.with_rules(rule), precision="float64", seed=3, **options) for rule in rules)


@pytest.mark.parametrize("connectivity", [Dense(), Local2d(3, padding=1), Conv2d(3, padding=1)], ids=str)
def test_dfa_with_one_vector_output_is_gevb_times_a_constant_per_unit(connectivity):
    dfa, gevb = positive_dfa_and_gevb(connectivity)
    mine, other = (simulator.probe(*batch(simulator)).updates for simulator in (dfa, gevb))
    for population, group in (("h1", "input->h1"), ("h2", "h1->h2")):
        constant = dfa.feedback[f"dfa/{population}/D"][0]
        assert 0 <= 1.5 * float(constant.min()) < float(constant.max()) < 1
        bias = f"bias of {population}"
        assert float((mine[bias] - constant * other[bias]).abs().max()) < 1e-15
        if isinstance(connectivity, Conv2d):  # one weight, several positions: no constant does it
            ratio = mine[group] / other[group]
            assert float(ratio.std()) > 0.01
        else:
            update = other[group]
            per_unit = constant.view(*constant.shape, *[1] * (update.ndim - constant.ndim - (group == "input->h1")))
            assert float((mine[group] - per_unit * update).abs().max()) < 1e-15
    assert torch.equal(mine["h2->output"], other["h2->output"])


@pytest.mark.parametrize(("connectivity", "same"), [(Dense(), True), (Local2d(3, padding=1), True), (Conv2d(2), False)])
def test_so_adam_learns_the_same(connectivity, same):
    dfa, gevb = positive_dfa_and_gevb(connectivity, optimizer=Adam(1e-3, eps=1e-16))
    start = gevb.weights["h1->h2"].clone()
    for _ in range(20):
        for simulator in (dfa, gevb):
            simulator.learn(*batch(simulator, 16))
    moved = float((gevb.weights["h1->h2"] - start).abs().max())
    apart = max(float((dfa.weights[name] - gevb.weights[name]).abs().max()) for name in gevb.weights)
    assert moved > 0.01 and (apart < 1e-9) == same


# -- node perturbation -----------------------------------------------------------------------------------------------


def perturbed(rule, connectivity, K):
    circuit = Circuit((2, 3, 3), OneHot(3), K=K)
    shape = (6,) if isinstance(connectivity, Dense) else (4, ...)
    circuit.population("a", shape, gate=SignGate(), bias="channel")
    circuit.connect("input", "a", connectivity, rule=rule)
    circuit.population("b", shape, gate=SignGate())
    circuit.connect("a", "b", connectivity, rule=rule)
    circuit.connect("b", "output", Dense(), rule=rule)
    return Simulator(circuit, precision="float64", seed=2)


@pytest.mark.parametrize("K", [None, 1], ids=["vector", "scalar"])
@pytest.mark.parametrize("connectivity", [Dense(), Conv2d(2, padding=1)], ids=str)
def test_the_mean_of_node_perturbation_has_the_scale_of_the_gradient(connectivity, K):
    """The slope of the estimate on the gradient is 1 within 8 %, for the weights and the biases of every population.

    The estimate of one draw is ``(g . xi) xi``, so that its slope has the mean 1 and a variance of a few units, however
    many neurons there are; 40 times 300 draws of every example leave a standard error of 1 to 4.5 %.
    """
    simulator, exact = perturbed(NodePerturbation(sigma=1e-3), connectivity, K), perturbed(BP(), connectivity, K)
    generator = torch.Generator().manual_seed(1)
    images = torch.randn(4, 2, 3, 3, generator=generator, dtype=torch.float64)
    labels = torch.tensor([0, 1, 2, 1])
    gradients = exact.probe(images, labels).updates
    many = images.repeat(300, 1, 1, 1), labels.repeat(300)  # examples are independent draws
    slopes = {name: [] for name in gradients if "output" not in name}
    assert len(slopes) == 4
    for draw in range(40):
        simulator._steps = draw
        updates = simulator.probe(*many).updates
        for name, found in slopes.items():
            g = gradients[name]
            found.append(float((updates[name] * g).sum() / g.square().sum()))
    for name, found in slopes.items():
        every = torch.tensor(found)
        error = float(every.std()) / len(found) ** 0.5
        assert error < 0.045, (name, error)
        assert abs(float(every.mean()) - 1.0) < 0.08, (name, float(every.mean()), error)


# -- what comes right after, and what comes in slices ----------------------------------------------------------------


def test_kickback_through_a_relay_by_hand():
    """Back through a convolution and average pooling: ``sum_k w_ki G(h_k)``, a quarter to each unit of a pool."""
    simulator = simulator_for(Kickback(), "convolutional, one scalar output")
    images, labels = batch(simulator)
    step = simulator.probe(images, labels)
    gates, weight = step.activity.gates, simulator.weights["pool->h2"].view(4, 4, 3, 3)
    pooled = F.conv_transpose2d(gates["h2"], weight, padding=1)
    expected = pooled.repeat_interleave(2, 2).repeat_interleave(2, 3) / 4
    assert step.credit("h1").shape == expected.shape == (5, 4, 6, 6)
    assert float(expected.abs().max()) > 0.01
    assert float((step.credit("h1") - expected).abs().max()) < 1e-14
    post = (expected * gates["h1"] * step.error.view(-1, 1, 1, 1)).flatten(2)
    update = torch.einsum("bcp,bfp->cf", post, fields(images, **FIRST))
    assert float((step.updates["input->h1"].flatten() - update.flatten()).abs().max()) < 1e-13


@pytest.mark.parametrize("loss", ["squared", "logistic"])
def test_local_errors_are_a_mean_over_the_batch_and_not_over_a_slice_of_it(loss, monkeypatch):
    """In time, seven examples in slices of two: ``(a - y) / 7``, for the logistic loss ``(sigmoid(a) - y) / 7``."""
    circuit = Circuit(5, OneHot(3, loss=loss))
    circuit.population("h", 6, gate=SignGate())
    circuit.connect("input", "h", Dense(), rule=LocalError())
    circuit.connect("h", "output", Dense(), rule=LocalError())
    monkeypatch.setattr(temporal, "_SLICE_BYTES", 2 * 6 * 8 / temporal._SHARE_BESIDE_CREDIT)
    simulator = Simulator(circuit, precision="float64", seed=1, vectorization="temporal")
    generator = torch.Generator().manual_seed(4)
    images = torch.randn(7, 5, generator=generator, dtype=torch.float64)
    labels = torch.tensor([0, 1, 2, 1, 0, 2, 2])
    assert len(simulator._pass.slices(images)) > 2
    step = simulator.probe(images, labels)
    a, target = step.activity.activations["h"], F.one_hot(labels, 3).unsqueeze(2)
    guess = a if loss == "squared" else a.sigmoid()
    post = (guess - target) / 7 * step.activity.gates["h"].unsqueeze(1)
    expected = torch.einsum("bki,bj->kij", post, images)
    assert float(expected.abs().max()) > 0.1
    for updates in (step.updates, simulator.learn(images, labels).updates):
        assert float((updates["input->h"] - expected).abs().max()) < 1e-13


# -- gates whose value is not 0 or 1, as Eq. 7 allows ----------------------------------------------------------------


@frozen
class BrightGate(SignGate):
    """G is 2 where ``t . h >= 0``, else 1/2."""

    def open(self, constants, h, context=None):
        return super().open(constants, h) * 1.5 + 0.5

    def verdict(self, gathered):
        return super().verdict(gathered) * 1.5 + 0.5


def graded(rule, vectorization):
    circuit = Circuit(5, OneHot(3, loss="squared"))
    for name, pre in (("a", "input"), ("b", "a")):
        circuit.population(name, 6, gate=BrightGate())
        circuit.connect(pre, name, Dense(), rule=rule)
    circuit.connect("b", "output", Dense(), rule=rule)
    simulator = Simulator(circuit, precision="float64", seed=4, vectorization=vectorization)
    generator = torch.Generator().manual_seed(2)
    images = torch.randn(7, 5, generator=generator, dtype=torch.float64)
    return simulator, images, torch.tensor([0, 1, 2, 1, 0, 2, 2])


def losses_by_hand(simulator, step, images, labels, xi):
    """``(activity of a, activity of b, losses)`` with ``xi`` added to the pre-activations, gates as they were."""
    gates, weights, biases = step.activity.gates, simulator.weights, simulator.biases
    a = torch.einsum("kij,bj->bki", weights["input->a"], images) + biases["a"]
    a = (a + xi["a"]) * gates["a"].unsqueeze(1)
    b = torch.einsum("ij,bkj->bki", weights["a->b"], a) + biases["b"]
    b = (b + xi["b"]) * gates["b"].unsqueeze(1)
    output = torch.einsum("ij,bkj->bk", weights["b->output"], b) + biases["output"].flatten()
    return a, b, 0.5 * (output - F.one_hot(labels, 3)).square().sum(1)


@pytest.mark.parametrize("vectorization", ["group", "temporal"])
def test_node_perturbation_is_no_steeper_for_graded_gates(vectorization):
    """Noise on h measures ``dL/dh``, which is the postsynaptic factor: no gate is to come on top."""
    sigma = 0.1
    simulator, images, labels = graded(NodePerturbation(sigma), vectorization)
    step = simulator.probe(images, labels)
    assert all(set(gate.unique().tolist()) == {0.5, 2.0} for gate in step.activity.gates.values())
    xi = {name: sigma * simulator._noise(7, "NodePerturbation", name) for name in ("a", "b")}
    a, _, quiet = losses_by_hand(simulator, step, images, labels, dict.fromkeys(xi, 0.0))
    _, _, noisy = losses_by_hand(simulator, step, images, labels, xi)
    factor = (noisy - quiet) / sigma**2 / 7
    hand = {
        "input->a": torch.einsum("b,bki,bj->kij", factor, xi["a"], images),
        "a->b": torch.einsum("b,bki,bkj->ij", factor, xi["b"], a),
        "bias of b": torch.einsum("b,bki->ki", factor, xi["b"]),
    }
    learned = simulator.learn(images, labels).updates
    for name, expected in hand.items():
        assert float(expected.abs().max()) > 0.1
        for updates in (step.updates, learned):
            assert float((updates[name] - expected).abs().max()) < 1e-12, name


@pytest.mark.parametrize("vectorization", ["group", "temporal"])
def test_three_factor_hebbian_takes_activity_as_it_is_for_graded_gates(vectorization):
    """``sum_mu a_imu a_jmu`` with ``a = G h``, not ``G^2 h``; the second step expects a loss."""
    rate = 0.25
    simulator, images, labels = graded(ThreeFactorHebbian(rate), vectorization)
    expected_loss = 0.0
    for _ in range(2):
        step = simulator.probe(images, labels)
        a, b, losses = losses_by_hand(simulator, step, images, labels, {"a": 0.0, "b": 0.0})
        modulator = (losses - expected_loss) / 7
        hand = {
            "input->a": torch.einsum("b,bki,bj->kij", modulator, a, images),
            "a->b": torch.einsum("b,bki,bkj->ij", modulator, b, a),
            "bias of b": torch.einsum("b,bki->ki", modulator, b),
        }
        learned = simulator.learn(images, labels).updates
        for name, expected in hand.items():
            assert float(expected.abs().max()) > 0.1
            for updates in (step.updates, learned):
                assert float((updates[name] - expected).abs().max()) < 1e-12, name
        expected_loss += rate * (float(losses.mean()) - expected_loss)
