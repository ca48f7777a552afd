"""What Section 3.3 proves of GEVB, on random networks; and what the proof needs."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from reference import Reference
from small_circuits import batch_for, readouts_for, scatter_biases, small, with_rule
from torch import Tensor

from neurosim import BP, GEVB, Local2d, OneHot, OnOff, Simulator
from neurosim.circuits import available_circuits
from neurosim.circuits.paper import Layer, Sign, network
from neurosim.readout import Binary, Readout

SEEDS = st.integers(0, 2**32)
WIDTHS = st.lists(st.sampled_from([2, 4, 6]), min_size=1, max_size=3)
READOUTS = st.sampled_from(
    [OneHot(2), OneHot(3, "squared"), OneHot(10), Binary(2), Binary(2, "squared"), Binary(9), OneHot(5, "logistic")]
)


def random_network(kind: str, widths: list[int], readout: Readout, seed: int, sign: Sign = "nonnegative") -> Simulator:
    """Random weights (some of them 0), biases and gates; the sign holds past the first layer."""
    layers: list[Layer] = [(2, Local2d(2, padding=1), True), (2, Local2d(2), False)] if kind == "local" else []
    simulator = Simulator(
        network((1, 4, 4), layers, widths, sign=sign, readout=readout, rule=GEVB()), precision="float64", seed=seed
    )
    generator = torch.Generator(device="cpu").manual_seed(seed)
    for name, weight in simulator.weights.items():
        drawn = torch.randn(weight.shape, generator=generator, dtype=torch.float64, device="cpu")
        drawn *= torch.rand(weight.shape, generator=generator, device="cpu") < 0.8
        constrained = simulator.circuit.groups[name].sign == "nonnegative"
        simulator.weights[name] = drawn.abs() if constrained else drawn
    scatter_biases(simulator, seed=seed)
    return simulator


def wrong_signs(update: Tensor, gradient: Tensor) -> Tensor:
    """Where both differ from zero by more than rounding, and in sign."""
    counts = (update.abs() > 1e-12 * update.abs().max()) & (gradient.abs() > 1e-12 * gradient.abs().max())
    return counts & (update.sign() != gradient.sign())


def apart(update: Tensor, gradient: Tensor) -> float:
    """Largest difference; of large numbers, in units of the largest."""
    return float((update - gradient).abs().max() / gradient.abs().max().clamp(min=1))


def example_by_example(simulator: Simulator, size: int, seed: int) -> list[tuple[dict[str, Tensor], dict[str, Tensor]]]:
    """Update and true gradient of single examples."""
    images, labels = batch_for(simulator.circuit, size, seed, torch.float64)
    singles = list(zip(images.split(1), labels.split(1), strict=True))
    reference = Reference(simulator)
    return [(dict(simulator.probe(*one).updates), reference.gradients(*one)) for one in singles]


@pytest.mark.parametrize("kind", ["dense", "local"])
def test_sign_of_the_gradient(kind: str) -> None:
    compared = []

    @given(widths=WIDTHS, readout=READOUTS, seed=SEEDS)
    def holds(widths: list[int], readout: Readout, seed: int) -> None:
        for updates, gradients in example_by_example(random_network(kind, widths, readout, seed), 2, seed):
            assert updates.keys() == gradients.keys()
            for name, update in updates.items():
                assert not wrong_signs(update, gradients[name]).any(), name
                compared.append(bool((update * gradients[name] > 0).any()))

    holds()
    assert sum(compared) > 0.5 * len(compared) > 100, "most comparisons are of numbers that are not zero"


@pytest.mark.parametrize("kind", ["dense", "local"])
def test_mixed_signs_break_the_guarantee(kind: str) -> None:
    simulator = random_network(kind, [16, 16], OneHot(10), 0, sign="mixed")
    wrong = right = 0
    for updates, gradients in example_by_example(simulator, 10, 0):
        first = next(name for name in updates if name.startswith("input"))
        wrong += int(wrong_signs(updates[first], gradients[first]).sum())
        right += int((updates[first] * gradients[first] > 0).sum())
        assert not wrong_signs(updates["fc2->output"], gradients["fc2->output"]).any()
    assert wrong > 0.1 * right > 50


@settings(max_examples=40)
@given(widths=WIDTHS, readout=READOUTS, seed=SEEDS, kind=st.sampled_from(["dense", "local"]))
def test_output_layer_gets_the_gradient(widths: list[int], readout: Readout, seed: int, kind: str) -> None:
    for sign in ("nonnegative", "mixed"):
        simulator = random_network(kind, widths, readout, seed, sign)
        images, labels = batch_for(simulator.circuit, 3, seed, torch.float64)
        updates, gradients = simulator.probe(images, labels).updates, Reference(simulator).gradients(images, labels)
        for name in (f"fc{len(widths)}->output", "bias of output"):
            assert apart(updates[name], gradients[name]) <= 1e-12


@given(width=st.sampled_from([2, 4, 8]), readout=READOUTS, seed=SEEDS, common=st.floats(0.01, 10))
def test_equal_output_weights_give_the_gradient(width: int, readout: Readout, seed: int, common: float) -> None:
    """One hidden layer whose units all matter equally: the update is the gradient over that common weight."""
    simulator = random_network("dense", [width], readout, seed, sign="mixed")
    images, labels = batch_for(simulator.circuit, 3, seed, torch.float64)
    for weight in (common, -common):  # with a negative one the update is the gradient's opposite
        simulator.weights["fc1->output"] = torch.full((1, width), weight, dtype=torch.float64, device="cpu")
        updates, gradients = simulator.probe(images, labels).updates, Reference(simulator).gradients(images, labels)
        for name in ("input->fc1", "bias of fc1"):
            assert apart(weight * updates[name], gradients[name]) <= 1e-12


def test_update_is_the_definition() -> None:
    """Eq. 9, written out as sums."""
    simulator = random_network("dense", [4, 6], OneHot(3), 5)
    images, labels = batch_for(simulator.circuit, 4, dtype=torch.float64)
    step = simulator.probe(images, labels)
    a, gates, e = step.activity.activations, step.activity.gates, step.error.squeeze(2)
    shared = torch.einsum("bi,bmj,bm->ij", gates["fc2"], a["fc1"], e)
    unshared = torch.einsum("bi,bchw,bm->michw", gates["fc1"], a["input"], e)
    assert bool(shared.any()) and bool(unshared.any())
    assert float((step.updates["fc1->fc2"] - shared).abs().max()) <= 1e-12
    assert float((step.updates["input->fc1"] - unshared).abs().max()) <= 1e-12
    assert float((step.updates["bias of fc2"] - torch.einsum("bi,bm->mi", gates["fc2"], e)).abs().max()) <= 1e-12


@pytest.mark.parametrize("name", available_circuits())
@pytest.mark.parametrize("rule", ["gevb", "bp", "dfa"])
def test_zero_error_gives_zero_update(rule: str, name: str) -> None:
    """No weights onto the output and the target as its bias: the output is right to the last bit."""
    for readout, K in readouts_for(rule, loss="squared"):
        circuit = with_rule(small(name, rule=BP(), readout=readout, K=K), rule)
        simulator = Simulator(circuit, precision="float64", seed=1)
        scatter_biases(simulator)
        (last,) = circuit.into("output")
        simulator.weights[last.name] = torch.zeros_like(simulator.weights[last.name])
        simulator.biases["output"] = circuit.readout.codewords()[1].view(K, -1)
        images, _ = batch_for(circuit, 4)
        step = simulator.probe(images, torch.full((4,), 1, device="cpu"))
        assert float(step.activity.activations[last.pre].abs().max()) > 0
        assert all(bool((update == 0).all()) for update in step.updates.values())
        assert float(step.loss) == 0
        wrong = simulator.probe(images, torch.full((4,), 0, device="cpu"))
        assert bool(wrong.updates[last.name].any()), "with another label there is an error to learn from"


@pytest.mark.parametrize("name", available_circuits())
@pytest.mark.parametrize("rule", ["gevb", "bp", "dfa"])
def test_batch_is_the_sum_of_its_examples(rule: str, name: str) -> None:
    for readout, K in readouts_for(rule):
        circuit = with_rule(small(name, rule=BP(), readout=readout, K=K), rule)
        simulator = Simulator(circuit, precision="float64", seed=1)
        scatter_biases(simulator)
        images, labels = batch_for(circuit, 5)
        together = simulator.probe(images, labels).updates
        singles = [simulator.probe(*one).updates for one in zip(images.split(1), labels.split(1), strict=True)]
        assert max(float(update.abs().max()) for update in together.values()) > 1e-4
        for key, update in together.items():
            total = torch.stack([single[key] for single in singles]).sum(0) / 5  # the error carries 1/batch
            assert float((update - total).abs().max()) <= 1e-12, key


def test_learns_from_zero_weights() -> None:
    """Section 5: broadcasting can start from zero weights, where backpropagation has no gradient for hidden units."""
    updates = {}
    for rule in (GEVB(), BP()):
        simulator = Simulator(network((1, 4, 4), [], [4], rule=rule), precision="float64", seed=1)
        assert simulator.circuit.groups["fc1->output"].init == OnOff()
        simulator.weights["fc1->output"] = torch.zeros(1, 4, device="cpu")
        updates[rule] = simulator.probe(*batch_for(simulator.circuit, 4)).updates["input->fc1"]
    assert bool(updates[GEVB()].any())
    assert not bool(updates[BP()].any())
