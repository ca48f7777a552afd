"""The circuit diagram can be read: texts inside their boxes and the picture, none over another, arrows around boxes."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from itertools import combinations, pairwise

import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch, PathPatch

from neurosim import (
    BP,
    DFA,
    FA,
    GEVB,
    AvgPool,
    Circuit,
    Conv2d,
    Dense,
    ExternalGate,
    HalfNormal,
    NodePerturbation,
    OneHot,
    SignGate,
    SignSymmetric,
    circuits,
)
from neurosim.feedback import FixedRandom
from neurosim.figures.circuit import draw_circuit
from neurosim.figures.circuit_layout import Edge, arrange
from neurosim.figures.circuit_text import shortened

POSITIVE = {"sign": "nonnegative", "init": HalfNormal()}
NEGATIVE = {"sign": "nonpositive", "init": HalfNormal()}


def start(*names: str, gate: object = None) -> Circuit:
    circuit = Circuit((1, 8, 8), OneHot(10))
    for name in names:
        circuit.population(name, 8, gate=gate or SignGate(), bias=None)
    return circuit


def four_rules() -> Circuit:
    circuit = start("f1", "f2", "f3")
    circuit.connect("input", "f1", Dense(), rule=DFA(limits=(-0.25, 0.25)))
    circuit.connect("f1", "f2", Dense(), rule=FA(FixedRandom("the second pathway")), **POSITIVE)
    circuit.connect("f2", "f3", Dense(), rule=NodePerturbation(sigma=0.125))
    circuit.connect("f3", "output", Dense(), rule=SignSymmetric())
    return circuit


def skips() -> Circuit:
    circuit = start("f1", "f2", "f3", "f4")
    for pre, post in pairwise(("input", "f1", "f2", "f3", "f4", "output")):
        circuit.connect(pre, post, Dense(), rule=GEVB())
    for pre, post in (("input", "output"), ("f1", "output"), ("f1", "f3"), ("f2", "f4"), ("input", "f3")):
        circuit.connect(pre, post, Dense(), rule=GEVB(), name=f"{pre} to {post}")
    return circuit


def excitation_and_inhibition() -> Circuit:
    circuit = start("f1")
    circuit.connect("input", "f1", Dense(), rule=GEVB())
    circuit.connect("f1", "output", Dense(), rule=GEVB(), **POSITIVE)
    circuit.connect("f1", "output", Dense(), rule=BP(), **NEGATIVE, name="inhibition")
    circuit.connect("f1", "output", Dense(), name="frozen")
    return circuit


def branches() -> Circuit:
    """Two ways of unequal length, a convolution with its pool, a skip over the relay."""
    circuit = Circuit((1, 8, 8), OneHot(10))
    circuit.population("c1", (4, 8, 8), gate=SignGate(), bias="channel")
    circuit.relay("pooled", "c1", AvgPool(2))
    circuit.population("f1", 8, gate=SignGate())
    circuit.population("excitatory-population-2", 8, gate=ExternalGate(spread=0.5))
    circuit.connect("input", "c1", Conv2d(3, padding=1), rule=GEVB())
    circuit.connect("pooled", "f1", Dense(), rule=GEVB(), **POSITIVE)
    circuit.connect("input", "excitatory-population-2", Dense())
    for pre in ("c1", "pooled", "f1", "excitatory-population-2"):
        circuit.connect(pre, "output", Dense(), rule=FA())
    return circuit


def external_gates() -> Circuit:
    circuit = Circuit((1, 8, 8), OneHot(3))
    circuit.relay("a pooled image", "input", AvgPool(4))
    gate = ExternalGate("a pooled image", context=((0.5, -1.0, 0.25, 0.125),) * 4)
    for number in range(8):  # more rules than colours
        circuit.population(f"$f_{number}$", 8, gate=gate if number == 1 else SignGate(), bias=None)
        circuit.connect("input", f"$f_{number}$", Dense(), rule=NodePerturbation(sigma=1.0 + number))
        circuit.connect(f"$f_{number}$", "output", Dense(), rule=NodePerturbation(sigma=1.0 + number))
    return circuit


MADE = [four_rules, skips, excitation_and_inhibition, branches, external_gates]
READY = [pytest.param(lambda name=name: circuits.load(name), id=name) for name in circuits.available_circuits()]


def drawn(circuit: Circuit, ax: object = None) -> object:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        ax = draw_circuit(circuit, ax)
        ax.figure.canvas.draw()
    return ax


def boxes_of(ax: object) -> dict[str, object]:
    renderer = ax.figure.canvas.get_renderer()
    return {p.get_gid(): p.get_window_extent(renderer) for p in ax.patches if isinstance(p, FancyBboxPatch)}


def within(inner: object, outer: object) -> bool:
    return outer.x0 <= inner.x0 and inner.x1 <= outer.x1 and outer.y0 <= inner.y0 and inner.y1 <= outer.y1


def over(one: object, other: object) -> bool:
    return one.x0 < other.x1 and other.x0 < one.x1 and one.y0 < other.y1 and other.y0 < one.y1


@pytest.mark.parametrize("made", [*MADE, *READY])
def test_no_text_leaves_its_place_or_covers_another(made: Callable[[], Circuit]) -> None:
    ax = drawn(made())
    renderer, canvas, boxes = ax.figure.canvas.get_renderer(), ax.figure.bbox, boxes_of(ax)
    texts = [*ax.texts, ax.title, *ax.get_legend().get_texts()]
    extents = [(text.get_text(), text.get_window_extent(renderer)) for text in texts]
    for text, extent in extents:
        assert within(extent, canvas), f"{text} leaves the picture"
        touched = [name for name, box in boxes.items() if over(extent, box)]
        assert all(within(extent, boxes[name]) for name in touched), f"{text} leaves its box"
    for (one, first), (other, second) in combinations(extents, 2):
        assert not over(first, second), f"{one} and {other} overlap"
    assert not any(over(one, other) for one, other in combinations(boxes.values(), 2))
    names = {text.get_text(): extent for text, extent in zip(texts, [e for _, e in extents], strict=True)}
    assert all(within(names[name], box) for name, box in boxes.items())


@pytest.mark.parametrize("made", [*MADE, *READY])
def test_no_arrow_crosses_a_box_or_a_text(made: Callable[[], Circuit]) -> None:
    ax = drawn(made())
    renderer, boxes = ax.figure.canvas.get_renderer(), boxes_of(ax)
    lines = [patch for patch in ax.patches if isinstance(patch, PathPatch) and not patch.get_fill()]
    assert len(lines) == len([g for name in made().order for g in made().into(name)])
    labels = [text.get_window_extent(renderer) for text in ax.texts]
    for line in lines:
        points = ax.transData.transform_path(line.get_path()).to_polygons(closed_only=False)[0]
        for (x0, y0), (x1, y1) in pairwise(points):
            for step in range(21):
                x, y = x0 + (x1 - x0) * step / 20, y0 + (y1 - y0) * step / 20
                for extent in (*boxes.values(), *labels):
                    inside = extent.x0 + 1 < x < extent.x1 - 1 and extent.y0 + 1 < y < extent.y1 - 1
                    assert not inside, f"a line crosses {extent}"


def test_signs_have_three_heads_and_parallel_groups_three_heights() -> None:
    ax = drawn(excitation_and_inhibition())
    heads = [patch.get_path() for patch in ax.patches if isinstance(patch, PathPatch) and patch.get_fill()]
    shapes = [tuple((head.vertices - head.vertices[0]).round(3).flatten()) for head in heads]
    assert len(shapes) == 4 and shapes[0] == shapes[3], "both of the mixed ones"
    assert len(set(shapes)) == 3
    assert len({round(float(head.vertices[:, 1].mean()), 2) for head in heads[1:]}) == 3
    assert [text.get_text() for text in ax.get_legend().get_texts()] == [
        "GEVB", "BP", "frozen", "nonnegative (+)", "nonpositive (\N{MINUS SIGN})", "mixed (\N{PLUS-MINUS SIGN})",
    ]  # fmt: skip


def test_more_rules_than_colours_are_dashed() -> None:
    ax = drawn(external_gates())
    lines = [line for line in ax.get_legend().get_lines() if line.get_linestyle() != "None"]
    assert len(lines) == 8 and len({(line.get_color(), line.get_linestyle()) for line in lines}) == 8


def test_a_diagram_shrinks_into_the_axes_that_it_is_given() -> None:
    figure = Figure(layout="constrained")
    FigureCanvasAgg(figure)
    one, other = figure.subplots(1, 2)
    drawn(skips(), one), drawn(branches(), other)
    renderer = figure.canvas.get_renderer()
    for ax in (one, other):
        boxes = boxes_of(ax)
        extents = [text.get_window_extent(renderer) for text in ax.texts]
        assert all(within(extent, figure.bbox) for extent in extents)
        assert sum(any(within(extent, box) for box in boxes.values()) for extent in extents) >= 3 * len(boxes)


def test_chains_are_straight_and_skips_go_beside_them() -> None:
    names = ["input", "f1", "f2", "f3", "output"]
    edges = [Edge(f"{pre}-{post}", pre, post) for pre, post in pairwise(names)] + [Edge("skip", "input", "output")]
    found = arrange([[name] for name in names], edges, dict.fromkeys(names, 0.6))
    levels = [found.y[name] for name in names]
    assert max(levels) - min(levels) < 0.005
    assert found.chains["skip"] == ["input", ("skip", 1), ("skip", 2), ("skip", 3), "output"]
    assert all(abs(found.y["skip", column] - levels[column]) > 0.3 for column in (1, 2, 3))
    assert found.leave["input-f1"] == pytest.approx(found.arrive["input-f1"], abs=0.005)


def test_crossings_that_can_be_avoided_are() -> None:
    edges = [Edge("1", "input", "a"), Edge("2", "input", "b"), Edge("3", "a", "d"), Edge("4", "b", "c")]
    layers = [["input"], ["a", "b"], ["c", "d"]]
    y = arrange(layers, edges, dict.fromkeys(["input", "a", "b", "c", "d"], 0.6)).y
    assert (y["a"] - y["b"]) * (y["d"] - y["c"]) > 0


def test_settings_that_are_the_default_are_not_written() -> None:
    assert shortened(GEVB()) == "GEVB" and shortened(FA()) == "FA" and shortened(SignGate()) == "SignGate"
    assert shortened(NodePerturbation(sigma=0.125)) == "NodePerturbation(sigma=0.125)"
    assert shortened(FA(FixedRandom(init=HalfNormal(2.0)))).startswith("FA(feedback=FixedRandom(init=HalfNormal(")
    assert shortened(ExternalGate("c", spread=0.5)) == "ExternalGate(source='c', spread=0.5)"
