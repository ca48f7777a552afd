"""Gates: Eq. 8 against its definition, and how the gate vectors are drawn."""

from __future__ import annotations

import math

import pytest
import torch
from attrs import frozen
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from neurosim import Circuit, Conv2d, Dense, Gate, Local2d, OneHot, SignGate, Simulator
from neurosim.errors import CircuitError
from neurosim.gates.sign import dot_over_components
from neurosim.streams import stream


def integers(shape: tuple[int, ...], seed: int) -> Tensor:
    """Small whole numbers, whose sums are exact, so that ties are met and no order of summation matters."""
    generator = torch.Generator(device="cpu").manual_seed(seed)
    return torch.randint(-2, 3, shape, generator=generator, dtype=torch.float64, device="cpu")


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("units", [(6,), (4, 3, 2)], ids=str)
@pytest.mark.parametrize("components", [1, 2, 3, 32, 33, 50])
def test_a_unit_is_active_where_t_dot_h_is_not_negative(components: int, units: tuple[int, ...], dtype) -> None:
    """Eq. 8, one unit and example at a time; few and many components take different ways."""
    gate = SignGate()
    t = gate.draw(components, units[0], stream(0, "gate"))["t"].to(dtype)
    h = integers((5, components, *units), 1).to(dtype)
    found = gate.open({"t": t}, h)
    assert found.shape == (5, *units)
    assert found.dtype == dtype
    ties = 0
    for b, *place in torch.cartesian_prod(*(torch.arange(n, device="cpu") for n in (5, *units))).tolist():
        drive = math.fsum(float(t[mu, place[0]] * h[(b, mu, *place)]) for mu in range(components))
        ties += drive == 0
        assert float(found[(b, *place)]) == (1.0 if drive >= 0 else 0.0)
    assert ties > 0, "no tie was met"


def test_a_tie_opens_both_units_of_a_pair() -> None:
    zero = torch.zeros(1, 3, 2, dtype=torch.float64, device="cpu")
    assert SignGate().open(SignGate().draw(3, 2, stream(0)), zero).tolist() == [[1.0, 1.0]]


@given(st.integers(1, 70), st.integers(1, 3), st.booleans(), st.integers(0, 1000))
def test_many_components_give_what_few_give(components: int, batch: int, spatial: bool, seed: int) -> None:
    units = (4, 2, 3) if spatial else (4,)
    t, h = integers((components, *units), seed), integers((batch, components, *units), seed + 1)
    before = h.clone()
    units_first = h.movedim((0, 1), (-1, -2)).contiguous().movedim((-1, -2), (0, 1))
    for ordered in (h, units_first):  # one sum, or a pass per component
        assert torch.equal(dot_over_components(t, ordered), torch.einsum("m...,bm...->b...", t, h))
        assert torch.equal(ordered, before), "h is used afterwards"


@given(st.integers(1, 12), st.integers(1, 20), st.integers(0, 1000))
def test_pairs_have_opposite_vectors_of_signs(components: int, pairs: int, seed: int) -> None:
    t = SignGate().draw(components, 2 * pairs, stream(seed, "gate", "f1"))["t"]
    assert t.shape == (components, 2 * pairs)
    assert set(t.unique().tolist()) <= {-1.0, 1.0}
    assert torch.equal(t[:, 0::2], -t[:, 1::2])


def test_vectors_are_uniform_over_the_signs() -> None:
    """Each of the 8 vectors of three signs is met as often as any other, within 5 standard deviations."""
    pairs = 40_000
    t = SignGate().draw(3, 2 * pairs, stream(0, "gate", "f1"))["t"][:, 0::2]
    code = ((t > 0).to(torch.int64) * torch.tensor([[1], [2], [4]], device="cpu")).sum(0)
    counts = torch.bincount(code, minlength=8).double()
    assert float((counts - pairs / 8).abs().max()) < 5 * math.sqrt(pairs * (1 / 8) * (7 / 8))


def test_conventional_networks_alternate() -> None:
    """K = 1: -1, +1, -1, +1, whatever the seed, so that half of the units are inverted ReLUs."""
    for seed in range(3):
        assert SignGate().draw(1, 6, stream(seed, "gate"))["t"].tolist() == [[-1.0, 1.0, -1.0, 1.0, -1.0, 1.0]]
    h = torch.tensor([[[3.0, 3.0, -3.0, -3.0]]], device="cpu")
    t = SignGate().draw(1, 4, stream(0))["t"].float()
    assert SignGate().open({"t": t}, h).tolist() == [[0.0, 1.0, 1.0, 0.0]]


@pytest.mark.parametrize("connectivity", [Conv2d(3), Local2d(3)], ids=str)
def test_one_vector_per_channel_where_units_have_a_place(connectivity) -> None:
    c = Circuit((1, 5, 5), OneHot(4))
    c.population("c1", (6, ...), gate=SignGate())
    c.population("f1", 10, gate=SignGate())
    c.connect("input", "c1", connectivity)
    c.connect("c1", "f1", Dense())
    c.connect("f1", "output", Dense())
    simulator = Simulator(c, seed=3)
    assert {name: tuple(t.shape) for name, t in simulator.gates.items()} == {"c1/t": (4, 6), "f1/t": (4, 10)}
    assert torch.equal(simulator.gates["c1/t"], SignGate().draw(4, 6, stream(3, "gate", "c1"))["t"].float())
    kept = simulator.forward(torch.zeros(2, 1, 5, 5, device="cpu"), keep="all")
    assert kept.gates["c1"].shape == (2, 6, 3, 3)


@pytest.mark.parametrize(("units", "use"), [(1, 2), (7, 8)])
@pytest.mark.parametrize("shape", [lambda n: (n,), lambda n: (n, ...), lambda n: (n, 4, 4)], ids=["n", "open", "image"])
def test_an_odd_number_cannot_be_paired(shape, units: int, use: int) -> None:
    c = Circuit(3, OneHot(4))
    text = (
        f"population 'f1': SignGate pairs units 2i and 2i . 1 as ON and OFF, got an odd number .*, {units}; use {use}"
    )
    with pytest.raises(CircuitError, match=text):
        c.population("f1", shape(units), gate=SignGate())
    assert list(c.populations) == ["input", "output"]
    c.population("f1", shape(units))  # without a gate there is no pair


@frozen
class FirstComponentGate(Gate):
    """A stranger's gate, without constants: it says nothing but when it is open."""

    def open(self, constants: dict[str, Tensor], h: Tensor) -> Tensor:
        return (h[:, 0] > 0).to(h.dtype)


def test_a_strangers_gate_runs() -> None:
    c = Circuit((4,), OneHot(3))
    c.population("f1", 5, gate=FirstComponentGate())
    c.connect("input", "f1", Dense())
    c.connect("f1", "output", Dense())
    simulator = Simulator(Circuit.from_json(c.to_json()), precision="float64")
    activity = simulator.forward(torch.randn(7, 4, generator=stream(0), device="cpu"), keep="all")
    h, gate = activity.pre_activations["f1"], activity.gates["f1"]
    assert torch.equal(gate, (h[:, 0] > 0).double())
    assert torch.equal(activity.activations["f1"], h * gate.unsqueeze(1))


@frozen
class _Broken(Gate):
    """A stranger's gate that gives what an expression of its ``h`` and ``torch`` makes."""

    opened: str

    def open(self, constants: dict[str, Tensor], h: Tensor) -> Tensor:
        return eval(self.opened)


@pytest.mark.parametrize(
    ("opened", "text"),
    [
        ("h", r"must give G, one number per unit, \(2, 6\) of torch.float64 for h \(2, 4, 6\), .*; got \(2, 4, 6\) of"),
        ("h[:, 0] > 0", r"must give G, .* of torch.float64 .*; got \(2, 6\) of torch.bool"),
        ("h[:, 0]", r"must leave h as it is and give a new tensor G, .* but it gave h itself, or a view of it"),
        ("h.clamp_(0, 1)[:, 0].clone()", r"must leave h as it is and give a new tensor G, .* but it changed h"),
        ("None", r"must give G, .*; got None"),
        ("1 / 0", r"failed for h of the shape \(2, 4, 6\), .*: ZeroDivisionError\('division by zero'\)"),
        ("torch.testing.assert_close(h, -h)", r"failed for h of the shape \(2, 4, 6\), .*: AssertionError\("),
        ("h @ h", r"failed for h of the shape \(2, 4, 6\), \(batch, K, \*units\): RuntimeError"),
    ],
)
def test_what_is_no_gate_is_refused_before_the_first_step(opened: str, text: str) -> None:
    c = Circuit((4,), OneHot(4))
    c.population("f1", 6, gate=_Broken(opened))
    c.connect("input", "f1", Dense())
    c.connect("f1", "output", Dense())
    with pytest.raises(CircuitError, match=rf"population 'f1': _Broken\(.*\)\.open\(constants, h\) {text}"):
        Simulator(c)


@frozen
class _BrokenDraw(FirstComponentGate):
    """A stranger's gate whose constants are what an expression makes."""

    drawn: str

    def draw(self, components: int, channels: int, generator: torch.Generator) -> dict[str, Tensor]:
        return eval(self.drawn)


@pytest.mark.parametrize(
    ("drawn", "text"),
    [
        ("1 / 0", r"failed: ZeroDivisionError\('division by zero'\)"),
        ("[1.0, 2.0]", r"must give the constants as a dict, name -> tensor; got \[1.0, 2.0\]"),
        ("{'t': [1.0]}", r"must give the constants as a dict, name -> tensor; got {'t': \[1.0\]}"),
        ("{0: torch.ones(2)}", r"must give the constants as a dict, name -> tensor; got {0: tensor"),
    ],
)
def test_constants_that_are_none_are_refused(drawn: str, text: str) -> None:
    c = Circuit((4,), OneHot(4))
    c.population("f1", 6, gate=_BrokenDraw(drawn))
    c.connect("input", "f1", Dense())
    c.connect("f1", "output", Dense())
    with pytest.raises(CircuitError, match=rf"population 'f1': _BrokenDraw\(.*\)\.draw\(.*\) {text}"):
        Simulator(c)


def test_what_a_subclass_must_define_is_said() -> None:
    with pytest.raises(NotImplementedError, match=r"Gate must define open\("):
        Gate().open({}, torch.zeros(1, 1, 2, device="cpu"))
