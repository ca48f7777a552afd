"""ON/OFF initialization seen from a whole network (Section 5)."""

from __future__ import annotations

import pytest
import torch
from small_circuits import batch_for, small
from torch import Tensor

from neurosim import BP, OneHot, OnOff, Simulator
from neurosim.circuits import available_circuits, load
from neurosim.circuits.paper import Sign, network
from neurosim.initializers import Site


def pre_activations(simulator: Simulator, size: int = 8) -> dict[str, Tensor]:
    images, _ = batch_for(simulator.circuit, size)
    return simulator.forward(images, keep="all").pre_activations


def assert_opposite(h: Tensor) -> None:
    on, off = h[:, :, 0::2], h[:, :, 1::2]
    assert float((on + off).abs().max()) <= 1e-12
    assert float(on.abs().min()) < float(on.abs().max()) > 1e-3


@pytest.mark.parametrize("name", available_circuits())
@pytest.mark.parametrize("components", [10, 1])
def test_pairs_have_opposite_pre_activations(name: str, components: int) -> None:
    """In every population; with one component per unit the ten outputs are paired as well."""
    circuit = small(name, rule=BP(), readout=OneHot(10), K=components)
    found = pre_activations(Simulator(circuit, precision="float64", seed=1), 16)
    relays = [p.name for p in circuit.populations.values() if p.relay_of is not None]
    paired = [n for n in found if n not in relays and (n != "output" or components == 1)]
    assert len(paired) >= 2
    for population in paired:
        assert_opposite(found[population])


@pytest.mark.parametrize("name", ["mnist-fc", "mnist-conv", "mnist-lc"])
def test_pairs_at_full_width(name: str) -> None:
    circuit = load(name)
    found = pre_activations(Simulator(circuit, precision="float64", seed=2), 2)
    for population in circuit.populations.values():
        if population.gate is not None:
            assert_opposite(found[population.name])


def test_paired_units_share_their_gate() -> None:
    simulator = Simulator(load("mnist-fc"), precision="float64", seed=3)
    images, _ = batch_for(simulator.circuit, 4)
    gates = simulator.forward(images, keep="all").gates
    for name, gate in gates.items():
        t = simulator.gates[f"{name}/t"]
        assert torch.equal(t[:, 0::2], -t[:, 1::2])
        assert torch.equal(gate[:, 0::2], gate[:, 1::2])
        assert 0.4 < float(gate.mean()) < 0.6


def test_he_initialization_has_no_such_pairs() -> None:
    """The control: opposite gate vectors alone do not make opposite pre-activations."""
    h = pre_activations(Simulator(load("mnist-fc", sign="mixed"), precision="float64", seed=3), 4)["fc1"]
    assert float((h[:, :, 0::2] + h[:, :, 1::2]).abs().max()) > 1


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize("sign", ["nonnegative", "mixed"])
def test_variance_is_preserved_over_ten_layers(sign: Sign, seed: int) -> None:
    """Activity neither explodes nor dies, for ON/OFF (nonnegative) and for He (mixed)."""
    simulator = Simulator(network((100,), [], [512] * 10, sign=sign), seed=seed)
    generator = torch.Generator(device="cpu").manual_seed(seed)
    images = torch.randn(64, 100, generator=generator, device="cpu")
    h = simulator.forward(images, keep="all").pre_activations
    variances = [float(h[f"fc{layer}"].var()) for layer in range(1, 11)]
    assert 0.5 < variances[0] < 2
    assert max(variances) / min(variances) < 2, variances


def test_nonnegative_weights_without_pairs_explode() -> None:
    """What Section 5 warns of, and the reason for ON/OFF cells: an outlier eigenvalue of nonnegative i.i.d. weights."""
    simulator = Simulator(network((100,), [], [256] * 8), seed=0)
    generator = torch.Generator(device="cpu").manual_seed(0)
    for name, group in simulator.circuit.groups.items():
        if group.sign == "nonnegative":
            weight = simulator.weights[name]
            shuffled = weight.flatten()[torch.randperm(weight.numel(), generator=generator, device="cpu")]
            simulator.weights[name] = shuffled.view(weight.shape)
    images = torch.randn(64, 100, generator=generator, device="cpu")
    h = simulator.forward(images, keep="all").pre_activations
    assert float(h["fc8"].var()) > 1000 * float(h["fc1"].var())


def test_spectrum() -> None:
    """The eigenvalues of W are those of the half-size mixed matrix and those of its absolute value."""
    site = Site(
        weight_shape=(100, 100),
        pre_axis=1,
        fan_in=100,
        copies=None,
        pre_scalar=False,
        post_single=False,
        sources=1,
        sign="nonnegative",
    )
    W = OnOff().draw(site, torch.Generator(device="cpu").manual_seed(0))
    same, opposite = W[0::2, 0::2], W[0::2, 1::2]
    halves = torch.cat([torch.linalg.eigvals(same - opposite), torch.linalg.eigvals(same + opposite)])
    whole = torch.linalg.eigvals(W)
    distance = (whole[:, None] - halves[None, :]).abs()
    assert float(distance.min(0).values.max()) <= 1e-10
    assert float(distance.min(1).values.max()) <= 1e-10
    assert float(whole.abs().max()) > 3 * float(torch.linalg.eigvals(same - opposite).abs().max()), "the outlier"
