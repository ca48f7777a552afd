"""The circuit diagram: populations with their shapes, synapse groups with rule and sign."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import networkx as nx

from neurosim.figures.style import BLACK, BLUE, CYCLE, axes

if TYPE_CHECKING:
    from neurosim.circuit import Circuit
    from neurosim.populations import SynapseGroup

_BOX = (0.6, 0.56)


def draw_circuit(circuit: Circuit, ax: Any = None) -> Any:
    """Draw populations as boxes from input (left) to output (right) and groups as arrows.

    Arrows are coloured by rule; nonnegative groups end in an arrow, nonpositive ones in a bar, mixed ones in both.

    Returns:
        The matplotlib axes.

    Example:
        >>> from neurosim import circuits
        >>> draw_circuit(circuits.load("mnist-conv")).get_title()
        'K = 10, OneHot(classes=10, loss=cross_entropy)'
    """
    places = _places(circuit)
    columns = max(x for x, _ in places.values()) + 1
    rows = max(abs(y) for _, y in places.values()) * 2 + 1
    ax = axes(ax, (max(4.0, 1.5 * columns), 0.95 + 0.9 * rows))
    colours = _colours(circuit)
    for name in circuit.order:
        for group in circuit.into(name):
            parallel = [g.name for g in circuit.into(name) if g.pre == group.pre].index(group.name)
            _arrow(ax, group, places, colours, bend=parallel)
    for name, (x, y) in places.items():
        _box(ax, circuit, name, x, y)
    for label, colour in colours.items():
        ax.plot([], [], color=colour, label=label, linestyle="-" if label != "frozen" else ":")
    ax.legend(loc="upper center", bbox_to_anchor=(0.5, 0.1), ncols=4, frameon=False, fontsize=8)
    ax.set_title(f"K = {circuit.K}, {circuit.readout}".replace("'", ""), fontsize=9)
    skips = max([places[g.post][0] - places[g.pre][0] for g in circuit.groups.values()], default=1) - 1
    ax.set_xlim(-0.45, columns - 0.55)
    ax.set_ylim(-rows / 2 - 0.1, rows / 2 + 0.15 * skips)
    ax.axis("off")
    return ax


def _places(circuit: Circuit) -> dict[str, tuple[float, float]]:
    """Column: the longest way from the input. Row: centred, skips routed around by bending."""
    layers: list[list[str]] = [list(layer) for layer in nx.topological_generations(circuit.graph)]
    depth = {name: float(column) for column, layer in enumerate(layers) for name in layer}
    return {name: (depth[name], (len(layer) - 1) / 2 - row) for layer in layers for row, name in enumerate(layer)}


def _colours(circuit: Circuit) -> dict[str, str]:
    rules = dict.fromkeys(_label(group) for group in circuit.groups.values())
    return {rule: CYCLE[number % len(CYCLE)] if rule != "frozen" else BLACK for number, rule in enumerate(rules)}


def _label(group: SynapseGroup) -> str:
    return str(group.rule) if group.rule is not None else "frozen"


def _box(ax: Any, circuit: Circuit, name: str, x: float, y: float) -> None:
    from matplotlib.patches import FancyBboxPatch

    population = circuit.populations[name]
    relay = population.relay_of is not None
    width, height = _BOX
    patch = FancyBboxPatch(
        (x - width / 2, y - height / 2),
        width,
        height,
        boxstyle="round,pad=0.02",
        facecolor="white" if relay or population.scalar else "#E8F1FA",
        edgecolor=BLUE if not relay else "0.6",
        linestyle="--" if relay else "-",
        zorder=2,
    )
    ax.add_patch(patch)
    extent = " x ".join(map(str, population.shape))
    kind = "scalar" if population.scalar else "relay" if relay else f"{population.gate or 'linear'}".removesuffix("()")
    ax.text(x, y + 0.14, name, ha="center", va="center", fontsize=9, weight="bold", zorder=3)
    ax.text(x, y - 0.02, extent, ha="center", va="center", fontsize=7.5, zorder=3)
    ax.text(x, y - 0.17, kind, ha="center", va="center", fontsize=6.5, color="0.35", zorder=3)


def _arrow(
    ax: Any, group: SynapseGroup, places: dict[str, tuple[float, float]], colours: dict[str, str], bend: int
) -> None:
    from matplotlib.patches import FancyArrowPatch

    (x0, y0), (x1, y1) = places[group.pre], places[group.post]
    half = _BOX[0] / 2 + 0.04
    relay = not group.connectivity.has_weights
    skips = x1 - x0 > 1 and abs(y1 - y0) < 0.5
    if skips:  # leave and arrive above the boxes in between
        start, end = (x0 + 0.2, y0 + _BOX[1] / 2 + 0.03), (x1 - 0.2, y1 + _BOX[1] / 2 + 0.03)
    else:
        start, end = (x0 + half, y0 - 0.15 * bend), (x1 - half, y1 - 0.15 * bend)
    head = {"nonnegative": "-|>", "nonpositive": "|-|,widthA=0,widthB=0.35", "mixed": "-|>"}[group.sign]
    patch = FancyArrowPatch(
        start,
        end,
        arrowstyle=head,
        mutation_scale=11,
        connectionstyle="arc3,rad=-0.25" if skips else "arc3",
        color="0.6" if relay else colours[_label(group)],
        linestyle=":" if group.rule is None and not relay else "-",
        zorder=1,
    )
    ax.add_patch(patch)
    mark = {"nonnegative": "+", "nonpositive": "\N{MINUS SIGN}", "mixed": "\N{PLUS-MINUS SIGN}"}[group.sign]
    text = type(group.connectivity).__name__ + ("" if relay else f" {mark}")
    middle = (x0 + x1) / 2, (y0 + y1) / 2
    if bend:  # a second group between the same populations is drawn and labelled below the first
        ax.text(middle[0], middle[1] - 0.2 * bend, text, ha="center", va="top", fontsize=6.5, color="0.25")
    else:
        lift = 0.3 + 0.12 * (x1 - x0) if skips else 0.05
        ax.text(middle[0], middle[1] + lift, text, ha="center", va="bottom", fontsize=6.5, color="0.25")
