"""The circuit diagram: populations with their shapes, synapse groups with rule and sign."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Any

from neurosim.figures.circuit_diagram import (
    HEAD,
    KIND,
    LABEL,
    LEGEND,
    LINE,
    TITLE,
    Diagram,
    ends,
    groups_of,
    label_of,
    laid_out,
    legend_texts,
    rule_text,
    text_height,
    weight_of,
)
from neurosim.figures.style import BLACK, BLUE

if TYPE_CHECKING:
    from neurosim.circuit import Circuit
    from neurosim.populations import SynapseGroup


def draw_circuit(circuit: Circuit, ax: Any = None) -> Any:
    """Draw populations as boxes from input (left) to output (right) and groups as arrows.

    Arrows are coloured by rule; nonnegative groups end in an arrow, nonpositive ones in a bar, mixed ones in both.
    Rules and gates are named by their class and the settings that are not the default. A figure of its own is as large
    as the diagram needs; on axes that are given it is scaled down to fit.

    Returns:
        The matplotlib axes.

    Example:
        >>> from neurosim import circuits
        >>> draw_circuit(circuits.load("mnist-conv")).get_title()
        'K = 10, OneHot(classes=10, loss=cross_entropy)'
    """
    diagram = laid_out(circuit)
    if ax is not None:
        room = ax.get_position().size * ax.figure.get_size_inches()
        needed = diagram.size[0], diagram.height
        return draw_diagram(diagram, ax, min(1.0, *(float(r / n) for r, n in zip(room, needed, strict=True))))
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(diagram.size[0], diagram.height))
    FigureCanvasAgg(figure)
    return draw_diagram(diagram, add_axes(figure, diagram))


def add_axes(figure: Any, diagram: Diagram) -> Any:
    """Axes for a diagram in its own size, at the top of a figure that has the room."""
    width, height = figure.get_size_inches()
    bottom = height - diagram.above - diagram.size[1]
    left = (width - diagram.size[0]) / 2
    return figure.add_axes((left / width, bottom / height, diagram.size[0] / width, diagram.size[1] / height))


def draw_diagram(diagram: Diagram, ax: Any, scale: float = 1.0) -> Any:
    """Draw what is laid out; ``scale`` is that of all texts."""
    for name in diagram.lines:
        _box(ax, diagram, name, scale)
    for group in groups_of(diagram.circuit):
        _arrow(ax, diagram, group, scale)
    _legend(ax, diagram, scale)
    ax.set_title(diagram.title, fontsize=TITLE * scale, pad=4, parse_math=False)
    middle = (diagram.left[0] + diagram.right[-1]) / 2
    ax.set_xlim(middle - diagram.size[0] / 2, middle + diagram.size[0] / 2)
    ax.set_ylim(diagram.bottom, diagram.bottom + diagram.size[1])
    ax.set_aspect("equal")
    ax.axis("off")
    return ax


def _legend(ax: Any, diagram: Diagram, scale: float) -> None:
    from matplotlib.lines import Line2D

    texts = legend_texts(diagram.circuit, diagram.styles)
    handles = []
    for colour, line in diagram.styles.values():
        handles.append(Line2D([], [], color=colour, linewidth=1.5 * scale))
        handles[-1].set_linestyle(line)  # type: ignore[arg-type]  # a str, of those it knows
    for text in texts[len(handles) :]:
        marker = _head_path(text.split(" ")[0])
        handles.append(
            Line2D([], [], color="0.3", linestyle="", marker=marker, markersize=12 * scale, markeredgewidth=0)
        )
    if not texts:
        return
    legend = ax.legend(
        handles, texts, loc="upper center", bbox_to_anchor=(0.5, 0), ncols=diagram.columns, frameon=False,
        fontsize=LEGEND * scale, handlelength=2.0, columnspacing=2.0, borderaxespad=0.3,
    )  # fmt: skip
    for text in legend.get_texts():
        text.set_parse_math(False)


def _box(ax: Any, diagram: Diagram, name: str, scale: float) -> None:
    from matplotlib.patches import FancyBboxPatch

    population, lines = diagram.circuit.populations[name], diagram.lines[name]
    y, half = diagram.arrangement.y[name], diagram.half(name)
    column = diagram.column(name)
    left, right = diagram.left[column], diagram.right[column]
    relay = population.relay_of is not None
    patch = FancyBboxPatch(
        (left + 0.02, y - half + 0.02),
        right - left - 0.04,
        2 * half - 0.04,
        boxstyle="round,pad=0.02",
        facecolor="white" if relay or population.scalar else "#E8F1FA",
        edgecolor=BLUE if not relay else "0.6",
        linestyle="--" if relay else "-",
        linewidth=scale,
        zorder=2,
        gid=name,
    )
    ax.add_patch(patch)
    line_top = y + (text_height(lines) - 0.14) / 2
    for text, size in lines:
        ax.text(
            (left + right) / 2, line_top - LINE[size] / 2, text, ha="center", va="center", fontsize=size * scale,
            weight=weight_of(size), color="0.35" if size == KIND else BLACK, zorder=3, parse_math=False,
        )  # fmt: skip
        line_top -= LINE[size]


def _arrow(ax: Any, diagram: Diagram, group: SynapseGroup, scale: float) -> None:
    """A line through the group's lanes, its head and, above its last stretch, its label."""
    from matplotlib.patches import PathPatch
    from matplotlib.path import Path
    from matplotlib.transforms import Affine2D

    found, relay = diagram.arrangement, not group.connectivity.has_weights
    colour, line = ("0.6", "-") if relay else diagram.styles[rule_text(group.rule)]
    column = diagram.column(group.pre)
    points, codes = [(diagram.right[column], found.leave[group.name])], [Path.MOVETO]
    for before, after in pairwise(found.chains[group.name]):
        start, end = ends(found, group.name, before, after)
        here, there = diagram.right[column], diagram.bend[column + 1]
        column += 1
        points += [((here + there) / 2, start), ((here + there) / 2, end), (there, end)]
        points += [(diagram.left[column] - 0.05, end) if isinstance(after, str) else (diagram.right[column], end)]
        codes += [Path.CURVE4] * 3 + [Path.LINETO]
    tip = (diagram.left[column] - 0.03, points[-1][1])
    ax.add_patch(
        PathPatch(Path(points, codes), fill=False, edgecolor=colour, linestyle=line, linewidth=1.3 * scale, zorder=1)
    )
    head = Affine2D().scale(HEAD).translate(*tip).transform_path(_head_path("nonnegative" if relay else group.sign))
    ax.add_patch(PathPatch(head, facecolor=colour, linewidth=0, zorder=1))
    at = (diagram.bend[column] + diagram.left[column] - HEAD) / 2
    ax.text(
        at, tip[1] + 0.03, label_of(group), ha="center", va="bottom", fontsize=LABEL * scale, color="0.25", zorder=3,
        parse_math=False,
    )  # fmt: skip


def _head_path(sign: str) -> Any:
    """One high and long, its tip at 0: an arrow, a bar, or an arrow onto a bar."""
    from matplotlib.path import Path

    bar = [(0.0, -0.6), (0.0, 0.6), (-0.16, 0.6), (-0.16, -0.6), (0.0, -0.6)]
    tip = -0.16 if sign == "mixed" else 0.0
    triangle = [(tip, 0.0), (tip - 0.8, 0.4), (tip - 0.8, -0.4), (tip, 0.0)]
    shapes = {"nonnegative": [triangle], "nonpositive": [bar], "mixed": [triangle, bar]}[sign]
    return Path.make_compound_path(*(Path(shape, closed=True) for shape in shapes))
