"""Building circuits: shapes that follow from one another, any directed acyclic graph, and no tensors."""

from __future__ import annotations

from random import Random
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from random_circuits import random_circuit
from torch.utils._python_dispatch import TorchDispatchMode

from neurosim import (
    BP,
    GEVB,
    AvgPool,
    Binary,
    Circuit,
    Conv2d,
    Dense,
    HalfNormal,
    Local2d,
    OneHot,
    OnOff,
    SignGate,
    Simulator,
    Zeros,
    circuits,
)
from neurosim.circuits import available_circuits


@pytest.mark.parametrize(
    ("readout", "K", "components", "outputs"),
    [
        (OneHot(10), None, 10, 1),
        (OneHot(10), 10, 10, 1),
        (OneHot(10), 1, 1, 10),
        (Binary(10), None, 4, 1),
        (Binary(10), 1, 1, 4),
        (Binary(2), None, 1, 1),
    ],
)
def test_components_and_outputs_follow_from_the_readout(readout, K, components: int, outputs: int) -> None:
    c = Circuit((3, 8, 8), readout, K=K)
    assert list(c.populations) == ["input", "output"]
    assert (c.K, c.output_units, c.inputs) == (components, outputs, (3, 8, 8))
    assert c.populations["output"].shape == (outputs,)
    assert c.populations["output"].bias == "unit"
    assert c.populations["input"].scalar
    assert c.populations["input"].bias is None
    assert c.groups == {}


def test_the_output_may_have_no_bias() -> None:
    assert Circuit(3, OneHot(4), output_bias=None).populations["output"].bias is None


SPACE = {
    "padding keeps the size": ([Conv2d(3, padding=1)], (4, 9, 7)),
    "no padding": ([Conv2d(3)], (4, 7, 5)),
    "stride": ([Conv2d(2, stride=2)], (4, 4, 3)),
    "rectangular": ([Conv2d((3, 2), stride=(2, 1), padding=(0, 2))], (4, 4, 10)),
    "local": ([Local2d((3, 2), stride=(2, 1), padding=(0, 2))], (4, 4, 10)),
    "one after the other": ([Local2d(3), Conv2d(2, stride=2), Local2d(3, padding=1)], (4, 3, 2)),
    "pooled": ([Conv2d(3, padding=1), AvgPool(2)], (4, 4, 3)),
    "pooled twice": ([Conv2d(3, padding=1), AvgPool(2), AvgPool((2, 1))], (4, 2, 3)),
    "pooled, overlapping": ([Local2d(1), AvgPool(3, stride=(2, 1))], (4, 4, 5)),
    "pooled first": ([AvgPool(2), Conv2d(2)], (4, 3, 2)),
}


@pytest.mark.parametrize("case", SPACE)
def test_shapes_are_inferred(case: str) -> None:
    """``(channels, ...)`` leaves height and width to the first group; dense weights keep the presynaptic axes."""
    chain, shape = SPACE[case]
    c, pre = Circuit((2, 9, 7), OneHot(3)), "input"
    for number, connectivity in enumerate(chain):
        name = f"p{number}"
        if connectivity.has_weights:
            assert c.population(name, (4, ...)).shape_open
            c.connect(pre, name, connectivity)
            assert not c.populations[name].shape_open
        else:
            c.relay(name, pre, connectivity)
        pre = name
    assert c.populations[pre].shape == shape
    group = c.connect(pre, "output", Dense())
    assert c.site(group).weight_shape == (1, *shape)
    assert c.site(group).fan_in == np.prod(shape)
    written_out = Circuit((2, 9, 7), OneHot(3))
    if len(chain) == 1:
        written_out.population("p0", shape)
        written_out.connect("input", "p0", chain[0])
        assert written_out.populations["p0"] == c.populations["p0"]


def test_an_open_shape_may_turn_out_to_be_without_space() -> None:
    c = Circuit((2, 9, 7), OneHot(3))
    c.population("f1", (4, ...))
    c.connect("input", "f1", Dense())
    assert c.populations["f1"].shape == (4,)


def diamond() -> Circuit:
    """A skip connection, two groups side by side, a pooled input, one relay with two listeners, inputs that meet."""
    c = Circuit((1, 6, 6), OneHot(4))
    c.population("f1", 6, gate=SignGate())
    c.relay("pooled", "input", AvgPool(2))
    c.population("f2", 4, gate=SignGate(), bias_rule=GEVB())
    c.connect("f1", "f2", Dense(), rule=GEVB(), init=OnOff(), sign="nonnegative", name="excitation")
    c.connect("f1", "f2", Dense(), rule=BP(), init=HalfNormal(), sign="nonpositive", name="inhibition")
    c.connect("pooled", "f2", Dense(), rule=None)
    c.connect("pooled", "f1", Dense(), rule=GEVB())
    c.connect("input", "output", Dense(), init=Zeros())
    c.connect("f1", "output", Dense(), rule=GEVB())
    c.connect("f2", "output", Dense(), rule=GEVB())
    return c


def test_any_graph_without_cycles() -> None:
    c = diamond()
    assert c.check() is c
    assert c.order == ["input", "pooled", "f1", "f2", "output"]
    assert {g.name for g in c.into("f2")} == {"excitation", "inhibition", "pooled->f2"}
    assert {g.name for g in c.into("output")} == {"input->output", "f1->output", "f2->output"}
    assert {g.name for g in c.out_of("f1")} == {"excitation", "inhibition", "f1->output"}
    assert [g.name for g in c.into("pooled")] == ["input->pooled"]
    assert "input->pooled" not in c.groups, "a relay has no weights"
    assert c.group("inhibition") is c.groups["inhibition"]
    activity = Simulator(c).forward(torch.zeros(2, 1, 6, 6, device="cpu"), keep="all")
    assert activity.output.shape == (2, 4, 1)


def test_what_initializers_are_told() -> None:
    c = diamond()
    sites = {name: c.site(group) for name, group in c.groups.items()}
    assert {name: site.sources for name, site in sites.items()} == {
        "excitation": 3, "inhibition": 3, "pooled->f2": 3, "pooled->f1": 1,
        "input->output": 3, "f1->output": 3, "f2->output": 3,
    }  # fmt: skip
    first = {"pooled->f1", "pooled->f2", "input->output"}
    assert {name for name, site in sites.items() if site.pre_scalar} == first, "skips and relays of the input included"
    assert {name for name, site in sites.items() if site.copies == 4} == first
    assert {name for name, site in sites.items() if site.copies is None} == set(sites) - first
    assert {name for name, site in sites.items() if site.post_single} == {n for n in sites if n.endswith("output")}
    assert sites["pooled->f1"].shape == (4, 6, 1, 3, 3)
    assert {site.sign for site in sites.values()} == {"mixed", "nonnegative", "nonpositive"}


def test_relays_take_after_what_they_relay() -> None:
    c = Circuit((2, 8, 8), OneHot(3))
    first = c.relay("p0", "input", AvgPool(2))
    second = c.relay("p1", "p0", AvgPool(2))
    c.population("c1", (4, ...), gate=SignGate())
    c.connect("input", "c1", Conv2d(3))
    third = c.relay("p2", "c1", AvgPool(2))
    assert [relay.scalar for relay in (first, second, third)] == [True, True, False]
    assert [relay.relay_of for relay in (first, second, third)] == ["input", "p0", "c1"]
    assert all(relay.bias is None and relay.gate is None for relay in (first, second, third))


@given(st.randoms(use_true_random=False))
def test_order(random: Random) -> None:
    """Every population after those it listens to; among equals in the order in which they were added."""
    c = random_circuit(random)
    order = c.order
    assert sorted(order) == sorted(c.populations)
    for name in c.populations:
        assert all(order.index(group.pre) < order.index(name) for group in c.into(name))
    added = list(c.populations)
    for before, after in zip(order, order[1:], strict=False):
        waits = any(group.pre == before for group in c.into(after))
        assert added.index(before) < added.index(after) or waits


def test_order_does_not_depend_on_the_order_of_building() -> None:
    c = Circuit(4, OneHot(3))
    for name in ("last", "first"):
        c.population(name, 2)
    for pre, post in [("last", "output"), ("first", "last"), ("input", "first")]:
        c.connect(pre, post, Dense())
    assert c.check().order == ["input", "first", "last", "output"]


class NoTensors(TorchDispatchMode):
    """Fails as soon as anything is computed or allocated."""

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        raise AssertionError(f"a description called {function}")


def held(thing: Any, seen: set[int]) -> list[Any]:
    """Everything reachable from ``thing`` through attributes and containers."""
    if id(thing) in seen or isinstance(thing, type | str | int | float | None):
        return []
    seen.add(id(thing))
    inside = list(vars(thing).values()) if hasattr(thing, "__dict__") else []
    inside += [getattr(thing, slot) for slot in getattr(type(thing), "__slots__", ()) if hasattr(thing, slot)]
    if isinstance(thing, dict):
        inside += [*thing.keys(), *thing.values()]
    elif isinstance(thing, list | tuple | set | frozenset):
        inside += list(thing)
    return [thing, *(found for part in inside for found in held(part, seen))]


@pytest.mark.parametrize("name", available_circuits())
def test_a_circuit_holds_and_makes_no_tensors(name: str) -> None:
    """The description of a locally connected network costs no more than any other."""
    with NoTensors():
        c = Circuit.from_json(circuits.load(name).check().to_json())
        assert str(c)
        assert [c.site(group) for group in c.groups.values()]
        c.with_rules(BP())
    parts = held(c, set())
    assert any(isinstance(part, SignGate) for part in parts), "the search goes deep enough"
    assert not any(isinstance(part, torch.Tensor | np.ndarray) for part in parts)


def test_what_is_read_cannot_change_the_circuit() -> None:
    c = diamond()
    c.populations.clear()
    c.groups.clear()
    c.order.clear()
    c.into("f2").clear()
    assert c == diamond()
