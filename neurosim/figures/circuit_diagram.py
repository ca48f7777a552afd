"""A circuit laid out for its diagram: what is written where, before anything is drawn."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import networkx as nx
from attrs import frozen

from neurosim.figures.circuit_layout import Arrangement, Edge, arrange
from neurosim.figures.circuit_text import folded, inches_wide, shortened
from neurosim.figures.style import BLACK, CYCLE

if TYPE_CHECKING:
    from neurosim.circuit import Circuit
    from neurosim.plasticity import PlasticityRule
    from neurosim.populations import SynapseGroup

#: sizes of texts in points
NAME, SHAPE, KIND, LABEL, LEGEND, TITLE = 9.0, 7.5, 6.5, 6.5, 8.0, 9.0
#: height in inches of a line of each
LINE = {NAME: 0.19, SHAPE: 0.15, KIND: 0.125}
#: length of an arrow's head in inches
HEAD = 0.13
_MARKS = {"nonnegative": "+", "nonpositive": "\N{MINUS SIGN}", "mixed": "\N{PLUS-MINUS SIGN}"}
_COLOURS = tuple(colour for colour in CYCLE if colour != BLACK)
_DASHES = ("-", "--", "-.")


@frozen(eq=False)
class Diagram:
    """A circuit laid out, in inches; a text keeps its size in points.

    Attributes:
        arrangement: heights of boxes, lanes and ports.
        lines: population to the texts in its box, each with its size.
        left, right: edges of every column of boxes.
        bend: where the arrows into a column have stopped bending, and their labels begin.
        styles: what the legend lists, with colour and line.
        size: width and height, without title and legend.
        bottom: the lowest height.
        columns: of the legend.
        rows: height of the legend.
    """

    circuit: Circuit
    arrangement: Arrangement
    lines: dict[str, list[tuple[str, float]]]
    left: list[float]
    right: list[float]
    bend: list[float]
    styles: dict[str, tuple[str, str]]
    size: tuple[float, float]
    bottom: float
    columns: int
    rows: float
    title: str

    @property
    def above(self) -> float:
        """Height of the title in inches."""
        return 0.15 + 0.16 * len(self.title.split("\n"))

    @property
    def height(self) -> float:
        """Title and legend included, in inches."""
        return self.size[1] + self.above + self.rows

    def half(self, population: str) -> float:
        """Half the height of a box."""
        return max(text_height(self.lines[population]), self.arrangement.extents[population]) / 2

    def column(self, population: str) -> int:
        """The number of a population's column."""
        layers = nx.topological_generations(self.circuit.graph)
        return next(number for number, layer in enumerate(layers) if population in layer)


def laid_out(circuit: Circuit) -> Diagram:
    """Everything about a diagram but the drawing of it."""
    layers = [list(layer) for layer in nx.topological_generations(circuit.graph)]  # column: the longest way there
    groups = groups_of(circuit)
    lines = {name: _lines(circuit, name) for name in circuit.populations}
    heights = {name: text_height(each) for name, each in lines.items()}
    found = arrange(layers, [Edge(group.name, group.pre, group.post) for group in groups], heights)
    left, right, bend = _columns(layers, groups, lines, found)
    styles = _styles(circuit)
    texts = legend_texts(circuit, styles)
    widest = max([inches_wide(text, LEGEND) for text in texts], default=0.0) + 0.35
    width = max(3.5, right[-1] - left[0] + 0.3, widest + 0.2)
    columns = max(1, math.floor((width - 0.2 + 0.25) / (widest + 0.25)))
    columns = min(columns, max(1, len(texts)))
    rows = math.ceil(len(texts) / columns) * (0.13 * max([text.count("\n") + 1 for text in texts], default=0) + 0.06)
    halves = {name: max(heights[name], found.extents[name]) / 2 for name in lines}
    top = max(found.y[node] + (halves[node] if isinstance(node, str) else 0.05) for node in found.y) + 0.1
    bottom = min(found.y[node] - (halves[node] if isinstance(node, str) else 0.05) for node in found.y) - 0.1
    title = "\n".join(folded(f"K = {circuit.K}, {circuit.readout}".replace("'", ""), int(width / 0.085)))
    size = (width, top - bottom)
    return Diagram(circuit, found, lines, left, right, bend, styles, size, bottom, columns, rows + 0.15, title)


def groups_of(circuit: Circuit) -> list[SynapseGroup]:
    """All groups, those of relays included."""
    return [group for name in circuit.order for group in circuit.into(name)]


def _lines(circuit: Circuit, name: str) -> list[tuple[str, float]]:
    population = circuit.populations[name]
    extent = " x ".join(map(str, population.shape))
    kind = "linear" if population.gate is None else shortened(population.gate)
    if population.scalar or population.relay_of is not None:
        kind = "scalar" if population.scalar else "relay"
    return [(name, NAME), (extent, SHAPE), *((line, KIND) for line in folded(kind, 30))]


def text_height(lines: list[tuple[str, float]]) -> float:
    return sum(LINE[size] for _, size in lines) + 0.14


def _columns(
    layers: list[list[str]], groups: list[SynapseGroup], lines: dict[str, list[tuple[str, float]]], found: Arrangement
) -> tuple[list[float], list[float], list[float]]:
    """Edges of the columns of boxes, as wide as their texts, with room for bends and labels before each."""
    left, bend = [0.0], [0.0]
    right: list[float] = []
    for number, layer in enumerate(layers):
        if number:
            arriving = [inches_wide(label_of(group), LABEL) for group in groups if group.post in layer]
            bend.append(right[-1] + _room_to_bend(number, layers, found))
            left.append(bend[-1] + max(arriving, default=0.0) + HEAD + 0.1)
        texts = [inches_wide(text, size, weight_of(size)) for name in layer for text, size in lines[name]]
        right.append(left[-1] + max(0.7, *texts) + 0.16)
    return left, right, bend


def _room_to_bend(number: int, layers: list[list[str]], found: Arrangement) -> float:
    column = {name: index for index, layer in enumerate(layers) for name in layer}
    rise = 0.0
    for name, chain in found.chains.items():
        for before, after in pairwise(chain):
            if (column[after] if isinstance(after, str) else after[1]) == number:
                start, end = ends(found, name, before, after)
                rise = max(rise, abs(end - start))
    return 0.08 if rise < 0.01 else 0.3 + min(0.6, 0.3 * rise)


def ends(found: Arrangement, group: str, before: Any, after: Any) -> tuple[float, float]:
    """At which height a group crosses from one column to the next: at ports of boxes, in the middle of lanes."""
    start = found.leave[group] if isinstance(before, str) else found.y[before]
    return start, found.arrive[group] if isinstance(after, str) else found.y[after]


def weight_of(size: float) -> str:
    return "bold" if size == NAME else "normal"


def label_of(group: SynapseGroup) -> str:
    return type(group.connectivity).__name__ + (f" {_MARKS[group.sign]}" if group.connectivity.has_weights else "")


def rule_text(rule: PlasticityRule | None) -> str:
    return "\n".join(folded(shortened(rule), 60)) if rule is not None else "frozen"


def _styles(circuit: Circuit) -> dict[str, tuple[str, str]]:
    """Colour and line of every rule; where the colours are used up they come again, dashed."""
    learning = dict.fromkeys(rule_text(group.rule) for group in groups_of(circuit) if group.connectivity.has_weights)
    rules = [text for text in learning if text != "frozen"]
    styles = {
        rule: (_COLOURS[number % len(_COLOURS)], _DASHES[number // len(_COLOURS) % len(_DASHES)])
        for number, rule in enumerate(rules)
    }
    return {text: styles.get(text, (BLACK, ":")) for text in learning}


def legend_texts(circuit: Circuit, styles: dict[str, tuple[str, str]]) -> list[str]:
    shown = {group.sign for group in groups_of(circuit) if group.connectivity.has_weights}
    return [*styles, *(f"{sign} ({mark})" for sign, mark in _MARKS.items() if sign in shown)]
