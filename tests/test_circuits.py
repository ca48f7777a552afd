"""The ready-made circuits: what Tables 3 and 4 say, written out once more and counted by hand."""

from __future__ import annotations

import inspect
import math

import pytest

from neurosim import (
    BP,
    GEVB,
    AvgPool,
    Binary,
    Circuit,
    Conv2d,
    Dense,
    ExternalGate,
    FirstBinGate,
    He,
    Hierarchical,
    Local2d,
    OneHot,
    OnOff,
    SignGate,
    circuits,
)
from neurosim.circuits import available_circuits, load
from neurosim.circuits.paper import network
from neurosim.errors import NeurosimError, UnknownNameError

#: circuit -> inputs, populations with gates and their shapes, and the weight of every group (first layer: times K)
TABLES = {
    "mnist-fc": (
        (1, 28, 28),
        {"fc1": (1024,), "fc2": (512,)},
        {"input->fc1": (10, 1024, 1, 28, 28), "fc1->fc2": (512, 1024), "fc2->output": (1, 512)},
    ),
    "mnist-conv": (
        (1, 28, 28),
        {"conv1": (64, 28, 28), "conv2": (32, 14, 14), "fc1": (1024,)},
        {
            "input->conv1": (10, 64, 1, 3, 3),
            "pool1->conv2": (32, 64, 3, 3),
            "pool2->fc1": (1024, 32, 7, 7),
            "fc1->output": (1, 1024),
        },
    ),
    "mnist-lc": (
        (1, 28, 28),
        {"lc1": (32, 28, 28), "lc2": (32, 14, 14), "fc1": (1024,)},
        {
            "input->lc1": (10, 32, 28, 28, 1, 3, 3),
            "pool1->lc2": (32, 14, 14, 32, 3, 3),
            "pool2->fc1": (1024, 32, 7, 7),
            "fc1->output": (1, 1024),
        },
    ),
    "cifar10-fc": (
        (3, 32, 32),
        {"fc1": (1024,), "fc2": (512,), "fc3": (512,)},
        {
            "input->fc1": (10, 1024, 3, 32, 32),
            "fc1->fc2": (512, 1024),
            "fc2->fc3": (512, 512),
            "fc3->output": (1, 512),
        },
    ),
    "cifar10-conv": (
        (3, 32, 32),
        {"conv1": (128, 32, 32), "conv2": (64, 16, 16), "conv3": (64, 4, 4), "fc1": (1024,)},
        {
            "input->conv1": (10, 128, 3, 5, 5),
            "pool1->conv2": (64, 128, 5, 5),
            "pool2->conv3": (64, 64, 2, 2),
            "conv3->fc1": (1024, 64, 4, 4),
            "fc1->output": (1, 1024),
        },
    ),
    "cifar10-lc": (  # FC1 = 256: the published vectorized runs; Table 4 has 512
        (3, 32, 32),
        {"lc1": (64, 32, 32), "lc2": (32, 16, 16), "lc3": (32, 4, 4), "fc1": (256,)},
        {
            "input->lc1": (10, 64, 32, 32, 3, 5, 5),
            "pool1->lc2": (32, 16, 16, 64, 5, 5),
            "pool2->lc3": (32, 4, 4, 32, 2, 2),
            "lc3->fc1": (256, 32, 4, 4),
            "fc1->output": (1, 256),
        },
    ),
    "digits-fc": (
        (1, 8, 8),
        {"fc1": (256,), "fc2": (128,)},
        {"input->fc1": (10, 256, 1, 8, 8), "fc1->fc2": (128, 256), "fc2->output": (1, 128)},
    ),
}
#: total number of weights, counted on paper
WEIGHTS = {
    "mnist-fc": 10 * 784 * 1024 + 1024 * 512 + 512,
    "mnist-conv": 10 * 9 * 64 + 64 * 9 * 32 + 32 * 49 * 1024 + 1024,
    "mnist-lc": 784 * 10 * 9 * 32 + 196 * 32 * 9 * 32 + 32 * 49 * 1024 + 1024,
    "cifar10-fc": 10 * 3072 * 1024 + 1024 * 512 + 512 * 512 + 512,
    "cifar10-conv": 10 * 75 * 128 + 128 * 25 * 64 + 64 * 4 * 64 + 1024 * 1024 + 1024,
    "cifar10-lc": 1024 * 10 * 75 * 64 + 256 * 64 * 25 * 32 + 16 * 32 * 4 * 32 + 512 * 256 + 256,
    "digits-fc": 10 * 64 * 256 + 256 * 128 + 128,
}


def gated(c: Circuit) -> dict[str, tuple[int, ...]]:
    return {name: population.shape for name, population in c.populations.items() if population.gate is not None}


def test_every_ready_made_circuit_is_tested() -> None:
    assert set(available_circuits()) == set(TABLES) == set(WEIGHTS)


@pytest.mark.parametrize("sign", ["nonnegative", "mixed"])
@pytest.mark.parametrize("name", TABLES)
def test_shapes_of_tables_3_and_4(name: str, sign: str) -> None:
    inputs, populations, weights = TABLES[name]
    c = load(name, sign=sign)
    assert c.inputs == inputs
    assert gated(c) == populations
    assert {group.name: c.site(group).shape for group in c.groups.values()} == weights
    assert sum(math.prod(c.site(group).shape) for group in c.groups.values()) == WEIGHTS[name]
    assert f"{WEIGHTS[name]} weights" in str(c)
    assert (c.K, c.output_units, c.readout) == (10, 1, OneHot(10, "cross_entropy"))
    assert all(population.gate in (None, SignGate()) for population in c.populations.values())


@pytest.mark.parametrize("name", TABLES)
def test_pooling_follows_the_first_two_spatial_populations(name: str) -> None:
    c = load(name)
    spatial = [population for population, shape in gated(c).items() if len(shape) == 3]
    relays = {p.name: p.relay_of for p in c.populations.values() if p.relay_of is not None}
    assert relays == {f"pool{number}": population for number, population in enumerate(spatial[:2], start=1)}
    for relay, pooled in relays.items():
        assert [group.connectivity for group in c.into(relay)] == [AvgPool(2)]
        assert [group.post for group in c.out_of(pooled)] == [relay]


@pytest.mark.parametrize("name", TABLES)
def test_receptive_fields(name: str) -> None:
    kind, kernel = {"conv": Conv2d, "lc": Local2d}.get(name.split("-")[1]), 3 if "mnist" in name else 5
    expected = []
    if kind is not None:
        expected = [kind(kernel, padding=kernel // 2)] * 2 + [kind(2, stride=2)] * ("cifar10" in name)
    found = [group.connectivity for group in load(name).groups.values()]
    assert found == expected + [Dense()] * (len(found) - len(expected))


@pytest.mark.parametrize("sign", ["nonnegative", "mixed"])
@pytest.mark.parametrize("name", TABLES)
def test_signs_initializers_and_rules(name: str, sign: str) -> None:
    """The first layer keeps mixed signs; "nonnegative" is every weight past it, output included."""
    c = load(name, sign=sign)
    for group in c.groups.values():
        assert group.sign == ("mixed" if group.pre == "input" else sign), group.name
        assert group.init == (OnOff() if sign == "nonnegative" else He())
        assert group.rule == GEVB()
    assert {group.rule for group in load(name, rule=BP()).groups.values()} == {BP()}
    assert load(name).groups == load(name, sign="nonnegative").groups


@pytest.mark.parametrize("name", TABLES)
def test_biases(name: str) -> None:
    """One per channel in convolutional populations, one per unit in all others."""
    for population in load(name).populations.values():
        if population.gate is not None or population.name == "output":
            assert population.bias == ("channel" if population.name.startswith("conv") else "unit")
        else:
            assert population.bias is None


@pytest.mark.parametrize(
    ("name", "options", "expected"),
    [
        ("mnist-fc", {"widths": (6, 4, 2)}, {"fc1": (6,), "fc2": (4,), "fc3": (2,)}),
        ("digits-fc", {"widths": [4]}, {"fc1": (4,)}),
        ("mnist-conv", {"channels": (2, 4), "fc1": 6}, {"conv1": (2, 28, 28), "conv2": (4, 14, 14), "fc1": (6,)}),
        ("mnist-lc", {"channels": (2,), "fc1": 6}, {"lc1": (2, 28, 28), "fc1": (6,)}),
        ("cifar10-lc", {"fc1": 512}, TABLES["cifar10-lc"][1] | {"fc1": (512,)}),
        ("cifar10-conv", {"channels": (2, 2, 4)}, TABLES["cifar10-conv"][1] | {
            "conv1": (2, 32, 32), "conv2": (2, 16, 16), "conv3": (4, 4, 4)}),
    ],
)  # fmt: skip
def test_widths_are_options(name: str, options: dict, expected: dict) -> None:
    assert gated(load(name, **options)) == expected


@pytest.mark.parametrize("sign", ["nonnegative", "mixed"])
@pytest.mark.parametrize("name", TABLES)
def test_conventional_networks_have_the_same_architecture(name: str, sign: str) -> None:
    """K = 1 and ten outputs; only the locally connected CIFAR-10 network is wider, as Table 4 has it."""
    c = load(name, sign=sign, conventional=True)
    assert (c.K, c.output_units) == (1, 10)
    assert gated(c) == TABLES[name][1] | ({"fc1": (512,)} if name == "cifar10-lc" else {})
    assert {group.rule for group in c.groups.values()} == {BP()}
    paired_anew = {group.name for group in c.groups.values() if group.init == OnOff(flattened=True)}
    into_fc1 = {g.name for g in c.into("fc1") if len(c.populations[g.pre].shape) == 3 and g.pre != "input"}
    assert paired_anew == (into_fc1 if sign == "nonnegative" else set())


def test_a_conventional_network_counted_by_hand() -> None:
    """K = 1: one scalar output per class, and a bank of weights of its own for none of them."""
    c = network((1, 28, 28), [(4, Conv2d(3, padding=1), True)], [6], rule=BP(), conventional=True)
    assert (c.K, c.output_units, c.populations["output"].shape) == (1, 10, (10,))
    assert {group.name: c.site(group).shape for group in c.groups.values()} == {
        "input->conv1": (1, 4, 1, 3, 3),
        "pool1->fc1": (6, 4, 14, 14),
        "fc1->output": (10, 6),
    }


@pytest.mark.parametrize("sign", ["nonnegative", "mixed"])
@pytest.mark.parametrize("name", TABLES)
def test_code_and_gate_are_options(name: str, sign: str) -> None:
    """One factor at a time: everything else stays."""
    plain, gate, code = load(name, sign=sign), ExternalGate(spread=0.5), Binary(10, "squared")
    gates = {p.name: p.gate for p in load(name, sign=sign, gate=gate).populations.values() if p.gate is not None}
    assert gates == dict.fromkeys(TABLES[name][1], gate)
    coded = load(name, sign=sign, readout=code)
    assert (coded.readout, coded.K, coded.output_units) == (code, 4, 1)
    assert coded.groups == load(name, sign=sign, gate=gate).groups == plain.groups
    assert list(coded.populations.values()) == list(plain.populations.values())
    assert load(name, sign=sign, readout=OneHot(10), gate=SignGate()) == plain


def test_a_conventional_network_of_bits() -> None:
    """One scalar output per bit."""
    c = load(
        "mnist-fc", conventional=True, readout=Hierarchical(10, (0, 1, 1, 1, 1, 0, 1, 1, 0, 1)), gate=FirstBinGate()
    )
    assert (c.K, c.output_units) == (1, 4)
    assert {p.gate for p in c.populations.values()} == {None, FirstBinGate()}


@pytest.mark.parametrize("name", available_circuits())
def test_the_first_line_says_what_it_is(name: str) -> None:
    """``neurosim list`` prints it."""
    text = inspect.getdoc(available_circuits()[name])
    assert text is not None
    line = text.splitlines()[0]
    assert 20 < len(line) < 120
    assert line.endswith(".")
    assert "above" not in line, "it is read by itself"


@pytest.mark.parametrize("name", TABLES)
def test_each_call_builds_a_circuit_of_its_own(name: str) -> None:
    first, second = load(name), load(name)
    assert first == second
    second.population("more", 2)
    assert first != second


@pytest.mark.parametrize(
    ("name", "options", "text"),
    [
        ("mnist-fc", {"width": (4,)}, "option of circuit 'mnist-fc' 'width'; did you mean 'widths'. Known: .*readout"),
        ("mnist-fc", {"widths": (5,)}, "population 'fc1': SignGate pairs .* odd number .* 5; use 6"),
        ("cifar10-conv", {"channels": (4, 4)}, r"channels: the network has three spatial populations, got \(4, 4\)"),
        ("cifar10-lc", {"channels": (4, 4, 4, 4)}, r"channels: .* three spatial populations, got \(4, 4, 4, 4\)"),
        ("digits-fc", {"widths": (0,)}, r"population 'fc1': a shape is \(n,\), .* got \(0,\)"),
    ],
)
def test_options_that_do_not_fit_are_refused(name: str, options: dict, text: str) -> None:
    with pytest.raises(NeurosimError, match=text):
        load(name, **options)


def test_an_unknown_circuit_lists_the_known_ones() -> None:
    with pytest.raises(
        UnknownNameError, match="unknown circuit 'mnist-cf'; did you mean 'mnist-.c'. Known: cifar10-conv,"
    ):
        circuits.load("mnist-cf")
