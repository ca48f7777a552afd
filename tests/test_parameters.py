"""What a circuit starts with: every object draws from a stream of its own."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from neurosim import BP, GEVB, AvgPool, Circuit, Conv2d, Dense, He, Local2d, OneHot, OnOff, SignGate, Simulator
from neurosim.parameters import arranged, bias_shape, draw_biases, draw_gates, draw_weights
from neurosim.streams import stream


def plain() -> Circuit:
    c = Circuit((1, 6, 6), OneHot(4))
    c.population("c1", (4, ...), gate=SignGate(), bias="channel")
    c.connect("input", "c1", Conv2d(3), rule=GEVB())
    c.population("f1", 6, gate=SignGate())
    c.connect("c1", "f1", Dense(), rule=GEVB(), init=OnOff(), sign="nonnegative")
    c.connect("f1", "output", Dense(), rule=GEVB())
    return c


def grown() -> Circuit:
    """The same populations and groups, built in another order, by another rule, with others before and after them."""
    c = Circuit((1, 6, 6), OneHot(4))
    c.population("before", 8, gate=SignGate())
    c.connect("input", "before", Dense(), rule=BP())
    c.population("f1", 6, gate=SignGate())
    c.population("c1", (4, ...), gate=SignGate(), bias="unit")
    c.connect("input", "c1", Conv2d(3), rule=BP())
    c.relay("p1", "c1", AvgPool(2))
    c.connect("c1", "f1", Dense(), init=OnOff(), sign="nonnegative")
    c.population("after", (2, ...), gate=SignGate())
    c.connect("p1", "after", Local2d(2), rule=BP())
    c.connect("f1", "output", Dense(), rule=BP())
    return c


def test_nothing_elsewhere_changes_a_draw() -> None:
    few, many = draw_weights(plain(), 5), draw_weights(grown(), 5)
    assert set(few) < set(many)
    assert all(torch.equal(weight, many[name]) for name, weight in few.items())
    few_gates, many_gates = draw_gates(plain(), 5), draw_gates(grown(), 5)
    assert all(torch.equal(constant, many_gates[name]) for name, constant in few_gates.items())


def test_a_further_source_changes_the_scale_alone() -> None:
    c = plain()
    c.connect("c1", "output", Dense())
    before, after = draw_weights(plain(), 5)["f1->output"], draw_weights(c, 5)["f1->output"]
    assert float((before / after - 2**0.5).abs().max()) < 1e-12


def test_seed_and_name_make_the_draw() -> None:
    first, again, other = (draw_weights(plain(), seed) for seed in (0, 0, 1))
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert not any(torch.equal(first[name], other[name]) for name in first)
    c = Circuit(5, OneHot(4))
    c.connect("input", "output", Dense(), name="a")
    c.connect("input", "output", Dense(), name="b")
    side_by_side = draw_weights(c, 0)
    assert not bool((side_by_side["a"] == side_by_side["b"]).any())


def test_streams_do_not_depend_on_where_a_name_is_cut() -> None:
    draws = [
        torch.rand(4, generator=stream(*key), device="cpu")
        for key in [(0, "a", "b"), (0, "ab"), (0, "a b"), (1, "a", "b")]
    ]
    assert all(not torch.equal(x, y) for i, x in enumerate(draws) for y in draws[:i])
    assert torch.equal(draws[0], torch.rand(4, generator=stream(0, "a", "b"), device="cpu"))


def test_the_streams_of_this_version_are_pinned() -> None:
    """A change here changes every published number: say so in the changelog."""
    drawn = torch.rand(2, generator=stream(0, "weights", "input->f1"), dtype=torch.float64, device="cpu")
    assert drawn.tolist() == [0.8023615072674495, 0.7818209585314209]


def test_global_randomness_is_left_alone() -> None:
    before = torch.get_rng_state(), np.random.get_state(legacy=True)[1].tolist()
    Simulator(plain(), seed=3).learn(torch.zeros(2, 1, 6, 6, device="cpu"), torch.tensor([0, 1], device="cpu"))
    assert torch.equal(torch.get_rng_state(), before[0])
    assert np.random.get_state(legacy=True)[1].tolist() == before[1]


@pytest.mark.parametrize(("K", "outputs"), [(None, 1), (1, 4)])
def test_biases_start_at_zero(K: int | None, outputs: int) -> None:
    """K components each: per unit, per channel in ``c1``, per position in ``l1``; ``none`` has no bias."""
    c = Circuit((1, 6, 6), OneHot(4), K=K)
    for name, connectivity, bias in [
        ("c1", Conv2d(3), "channel"),
        ("l1", Local2d(3), "unit"),
        ("none", Conv2d(3), None),
    ]:
        c.population(name, (2, ...), bias=bias)
        c.connect("input", name, connectivity)
    components = K or 4
    biases = draw_biases(c)
    shapes = {name: tuple(bias.shape) for name, bias in biases.items()}
    assert shapes == {"output": (components, outputs), "c1": (components, 2), "l1": (components, 2, 4, 4)}
    assert not any(bool(bias.any()) for bias in biases.values())
    assert all(bias_shape(c.populations[name], components) == shape for name, shape in shapes.items())


@pytest.mark.parametrize("connectivity", [Dense(), Conv2d(3), Local2d(3)], ids=str)
@pytest.mark.parametrize("pre", ["input", "hidden"])
def test_arranging_copies_and_changes_no_value(connectivity, pre: str) -> None:
    c = Circuit((3, 6, 6), OneHot(4))
    c.population("hidden", (9, ...))
    c.connect("input", "hidden", Conv2d(3, padding=1), init=He())
    c.population("f1", 4 if connectivity == Dense() else (4, ...))
    group = c.connect(pre, "f1", connectivity)
    weight = draw_weights(c, 0)[group.name]
    placed = arranged(group, c.site(group), weight)
    assert torch.equal(placed, weight)
    assert placed.shape == c.site(group).shape
    placed.zero_()
    assert bool(weight.any()), "what was given is left alone"
