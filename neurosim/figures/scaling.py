"""What a step of learning costs over the number of components or of classes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from neurosim.figures.style import axes, line_styles, plain


def draw_scaling(
    sizes: Sequence[int],
    measured: Mapping[str, ArrayLike],
    ax: Any = None,
    *,
    xlabel: str = "components K",
    ylabel: str = "ms / step",
    styled: Iterable[str] | None = None,
    legend: bool = True,
) -> Any:
    """Medians (points on lines) and the range of the rounds (bars), log-log.

    Args:
        sizes: what the costs grow with.
        measured: label -> ``(sizes,)`` or ``(sizes, rounds)``; NaN where nothing was measured.
        ax: axes to draw on.
        xlabel, ylabel: what the axes show.
        styled: all labels of a figure of several panels, so that one label looks the same in each.
        legend: whether to explain the lines.

    Returns:
        The matplotlib axes.

    Example:
        >>> ax = draw_scaling([1, 2], {"group": [[1.0, 1.2], [2.0, 2.1]], "time": [1.0, float("nan")]})
        >>> ax.get_xscale(), [len(line.get_xdata()) for line in ax.lines[::3]]
        ('log', [2, 1])
    """
    ax = axes(ax, (4.0, 3.0))
    styles = line_styles(styled if styled is not None else measured)
    for label, samples in measured.items():
        rounds = np.asarray(samples, dtype=np.float64).reshape(len(sizes), -1)
        there = ~np.isnan(rounds).all(axis=1)
        rounds, middle = rounds[there], np.nanmedian(rounds[there], axis=1)
        spread = np.abs(np.stack([np.nanmin(rounds, axis=1), np.nanmax(rounds, axis=1)]) - middle)
        ax.errorbar(np.asarray(sizes)[there], middle, spread, label=label, linewidth=1.2, capsize=2, **styles[label])
    ax.set_xscale("log", base=10 if max(sizes) / min(sizes) == 100 else 2)
    ax.set_xticks(sizes, [f"{size:,}" for size in sizes], minor=False)
    ax.minorticks_off()
    _label_decades(ax)
    ax.set_xlabel(xlabel)
    ax.set_ylabel(ylabel)
    plain(ax)
    if legend:
        ax.legend(frameon=False, fontsize=8)
    return ax


def _label_decades(ax: Any) -> None:
    """A logarithmic axis labelled in plain numbers, at 1, 2 and 5 as well where there are few decades."""
    from matplotlib.ticker import LogLocator, NullFormatter

    ax.set_yscale("log")
    low, high = ax.get_ylim()
    ax.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0) if high < 200 * low else (1.0,)))
    ax.yaxis.set_major_formatter("{x:,g}")
    ax.yaxis.set_minor_formatter(NullFormatter())
