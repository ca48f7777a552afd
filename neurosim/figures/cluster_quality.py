"""Cluster quality before and after training (Figure 3B)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from neurosim.errors import DataError
from neurosim.figures.style import axes, line_styles, plain

Array = npt.ArrayLike


def draw_cluster_quality(
    populations: Sequence[str],
    before: Mapping[str, Array],
    after: Mapping[str, Array],
    ax: Any = None,
    *,
    std: Mapping[str, tuple[Array, Array]] | None = None,
    legend: bool = True,
) -> Any:
    """A line from before (open) to after training (filled) for each rule in each population; 0 is no clustering.

    Args:
        populations: along the axis, from first to last.
        before, after: rule -> cluster quality, ``(populations,)``, NaN where a rule has none of them.
        ax: axes to draw on.
        std: rule -> standard deviations over seeds, before and after; drawn as error bars.
        legend: of the rules.

    Returns:
        The matplotlib axes.

    Raises:
        DataError: numbers that are not one a population, or rules that differ before and after.

    Example:
        >>> ax = draw_cluster_quality(["conv3"], {"GEVB": [0.02]}, {"GEVB": [0.15]})
        >>> [text.get_text() for text in ax.get_xticklabels()], ax.get_ylabel()
        (['conv3'], 'cluster quality')
    """
    values = {
        rule: np.array([before.get(rule, ()), after.get(rule, ())], dtype=float) for rule in {**before, **after}
        if np.shape(before.get(rule, ())) == np.shape(after.get(rule, ())) == (len(populations),)
    }  # fmt: skip
    if not populations or set(values) != {*before, *after}:
        raise DataError(f"cluster quality: expected {len(populations)} values of each rule, before and after training")
    ax = axes(ax, (1.8 + 0.45 * len(populations) * len(values), 3.2))
    styles = line_styles(values)
    step = 0.8 / len(values)
    ax.axhline(0, color="0.6", linewidth=0.8, zorder=0)
    for number, (rule, pair) in enumerate(values.items()):
        style = styles[rule] | {"markersize": 5.5}
        for place in range(len(populations)):
            middle = place + (number - (len(values) - 1) / 2) * step
            x = middle + np.array([-0.22, 0.22]) * step
            ax.plot(x, pair[:, place], color=style["color"], linewidth=1.3, zorder=1)
            if std is not None:
                bars = [float(np.asarray(half, dtype=float)[place]) for half in std[rule]]
                ax.errorbar(
                    x, pair[:, place], bars, fmt="none", ecolor=style["color"], capsize=2, linewidth=1, zorder=1
                )
            for end, face in ((0, "white"), (1, style["color"])):
                ax.plot(x[end], pair[end, place], **style | {"markerfacecolor": face}, linestyle="", zorder=2)
    ax.set_xticks(range(len(populations)), populations)
    ax.set_xlim(-0.6, len(populations) - 0.4)
    ax.set_ylabel("cluster quality")
    plain(ax)
    if legend:
        ax.legend(handles=legend_entries(values), frameon=False, fontsize=7)
    return ax


def legend_entries(rules: Sequence[str] | Mapping[str, Any]) -> list[Any]:
    """A handle for each rule, and what open and filled mean."""
    from matplotlib.lines import Line2D

    styles = line_styles(rules)
    entries: list[Any] = [
        Line2D([], [], label=rule, **style | {"markerfacecolor": style["color"]}) for rule, style in styles.items()
    ]
    for name, face in (("before training", "white"), ("after", "0.3")):
        entries.append(Line2D([], [], linestyle="", marker="o", color="0.3", markerfacecolor=face, label=name))
    return entries
