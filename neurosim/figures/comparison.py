"""A comparison of settings: what each comes to and what it costs, side by side."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from neurosim.figures.style import BLACK, BLUE, axes

if TYPE_CHECKING:
    from neurosim.comparison.table import Row

_REFERENCE, _GAP = "0.6", 0.05


def draw_comparison(rows: Sequence[Row], ax: Any = None) -> Any:
    """Test error, time and memory of a step, and weight difference to the reference, one row a setting.

    Bars are means or medians; dots on them are single seeds; the reference, on top, is grey. Weight differences are
    dots, because a logarithmic axis has no 0 for bars to begin at. Where groups are untied, a fifth panel has the
    spread of their K weights over the epochs, one line a group, labelled with the last of the widest.

    Args:
        rows: as :meth:`neurosim.comparison.comparison.Comparison.run` gives them, the reference first.
        ax: axes to draw in; the panels are its ``child_axes``.

    Returns:
        The matplotlib axes.

    Example:
        >>> from neurosim.comparison.table import Row
        >>> from neurosim.step_costs import StepCost
        >>> rows = [Row(name, 10, 1, (0,), ((9.0,),), StepCost(0.01, 0.02, 2**20), (0.0,)) for name in ("GEVB", "BP")]
        >>> [panel.get_title() for panel in draw_comparison(rows).child_axes]
        ['test error (%)', 'ms / step', 'MiB / step', 'weight difference']
    """
    count = 5 if any(row.spreads for row in rows) else 4
    ax = axes(ax, (2.25 * count, 1.1 + 0.36 * len(rows)))
    ax.set_ylim(len(rows) - 0.4, -0.6)
    ax.set_yticks(range(len(rows)), [row.name for row in rows], fontsize=8.5)
    ax.set_xticks([])
    ax.tick_params(length=0)
    ax.spines[:].set_visible(False)
    width = (1 - (count - 1) * _GAP) / count
    panels = [ax.inset_axes((number * (width + _GAP), 0, width, 1)) for number in range(count)]
    errors, times, memory, differences = panels[:4]
    worst = [max(row.test_errors, default=0.0) for row in rows]
    _bars(errors, "test error (%)", [row.mean for row in rows], [_error(row) for row in rows], worst)
    for place, row in enumerate(rows):
        errors.plot(row.test_errors, [place] * len(row.test_errors), "o", color=BLACK, markersize=3, alpha=0.7)
    wall = [1e3 * row.cost.wall_seconds for row in rows]
    _bars(times, "ms / step", wall, [f"{value:.3g}" for value in wall])
    peaks = [None if row.cost.peak_bytes is None else row.cost.peak_bytes / 2**20 for row in rows]
    _bars(memory, "MiB / step", peaks, ["not known" if value is None else f"{value:.3g}" for value in peaks])
    _draw_differences(differences, rows)
    if count == 5:
        _draw_spreads(panels[4], rows)
    return ax


def _error(row: Row) -> str:
    if row.mean is None:
        return "failed"
    return f"{row.mean:.2f}" + (f" ± {row.std:.2f}" if row.std is not None else "")


def _bars(
    panel: Any,
    title: str,
    values: Sequence[float | None],
    labels: Sequence[str],
    ends: Sequence[float] | None = None,
) -> None:
    """``ends``: where the labels begin, at the ends of the bars unless something else reaches further."""
    lengths = [value or 0.0 for value in values]
    ends = lengths if ends is None else ends
    colours = [_REFERENCE if place == 0 else BLUE for place in range(len(values))]
    panel.barh(range(len(values)), lengths, height=0.6, color=colours)
    panel.set_xlim(0, 1.9 * (max(ends) or 1.0))  # room for the labels
    _label(panel, ends, labels)
    _finish(panel, title, len(values))


def _draw_differences(panel: Any, rows: Sequence[Row]) -> None:
    """On a logarithmic axis, as far as there is something to show; what is 0 or unknown is said in words."""
    values = [row.difference or 0.0 for row in rows]
    seen = [value for value in values if value > 0]
    low = 10.0 ** (math.floor(math.log10(min(seen))) if seen else -1)
    high = max(10.0 ** (math.ceil(math.log10(max(seen))) if seen else 0), 10 * low)
    labels = [
        "reference" if place == 0 else row.incomparable or ("not known" if row.difference is None else f"{value:.2g}")
        for place, (row, value) in enumerate(zip(rows, values, strict=True))
    ]
    panel.set_xscale("log")
    panel.set_xlim(low, high * (high / low) ** 0.9)  # room for the labels
    decades = range(round(math.log10(low)), round(math.log10(high)) + 1)
    shown = decades[:: max(1, len(decades) // 2)]
    panel.set_xticks([10.0**decade for decade in shown], [f"$10^{{{decade}}}$" for decade in shown])
    panel.minorticks_off()
    places = [place for place, value in enumerate(values) if value > 0]
    panel.hlines(places, low, high, color="0.85", linewidth=0.8, zorder=0)
    panel.plot([values[place] for place in places], places, "o", color=BLUE, markersize=5)
    _label(panel, [high if value > 0 else low for value in values], labels)
    _finish(panel, "weight difference", len(rows))
    panel.spines["bottom"].set_bounds(low, high)


def _draw_spreads(panel: Any, rows: Sequence[Row]) -> None:
    """A small curve in every row, all on one scale: 0 at the bottom of the row, the largest of all at its top."""
    curves = [[row.mean_spread(group) for group in row.spreads] for row in rows]
    known = [value for several in curves for curve in several for value in curve if value is not None]
    highest = max(known, default=0.0) or 1.0
    for place, several in enumerate(curves):
        ends = []
        for curve in several:
            shown = [(epoch, value) for epoch, value in enumerate(curve) if value is not None]
            if shown:
                epochs, values = zip(*shown, strict=True)
                heights = [place + 0.32 - 0.64 * value / highest for value in values]
                panel.plot(epochs, heights, color=BLUE, linewidth=1.2)
                ends.append((values[-1], epochs[-1], heights[-1]))
        if ends:
            value, epoch, height = max(ends)
            _label_one(panel, (epoch, height), f"{value:.3g}")
    panel.margins(x=0.0)
    last = max(math.ceil(panel.get_xlim()[1]), 1)
    panel.set_xlim(0, 1.5 * last)  # room for the labels
    panel.set_xticks([0, last // 2, last] if last > 1 else [0, 1])
    panel.set_xlabel("epoch", fontsize=8)
    _finish(panel, "spread of K weights", len(rows))
    panel.spines["bottom"].set_bounds(0, last)


def _label_one(panel: Any, place: tuple[float, float], label: str) -> None:
    panel.annotate(label, place, xytext=(5, 0), textcoords="offset points", va="center", fontsize=7.5, color=BLACK)


def _label(panel: Any, ends: Sequence[float], labels: Sequence[str]) -> None:
    for place, (end, label) in enumerate(zip(ends, labels, strict=True)):
        _label_one(panel, (end, place), label)


def _finish(panel: Any, title: str, count: int) -> None:
    panel.set_ylim(count - 0.4, -0.6)
    panel.set_yticks([])
    panel.set_title(title, fontsize=9)
    panel.tick_params(labelsize=7.5)
    panel.spines[["top", "right"]].set_visible(False)
