"""Eq. 15 against measurement: relative standard deviation of credit over network width."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from neurosim.figures.style import BLACK, CYCLE, axes


def draw_width_theory(
    widths: Sequence[int], measured: Mapping[str, ArrayLike], predicted: Mapping[str, ArrayLike], ax: Any = None
) -> Any:
    """Measured (points, with their standard deviation) and predicted (lines) relative standard deviation, log-log.

    Args:
        widths: of the networks.
        measured: label -> ``(widths, ...)``; all other axes are samples.
        predicted: the same labels -> ``(widths,)``.
        ax: axes to draw on.

    Returns:
        The matplotlib axes.

    Example:
        >>> draw_width_theory([32, 64], {"a": [[0.2, 0.3], [0.1, 0.2]]}, {"a": [0.25, 0.18]}).get_xscale()
        'log'
    """
    ax = axes(ax)
    for number, (label, samples) in enumerate(measured.items()):
        colour, values = CYCLE[number % len(CYCLE)], np.asarray(samples, dtype=np.float64).reshape(len(widths), -1)
        ax.errorbar(
            widths, values.mean(1), values.std(1), color=colour, label=label, fmt="o", markersize=4, linewidth=1
        )
        ax.plot(widths, np.asarray(predicted[label]), color=colour, linewidth=1)
    ends = np.array([widths[0], widths[-1]], dtype=np.float64)
    ax.plot(ends, 0.6 * (ends / ends[0]) ** -0.5 * _lowest(predicted), color=BLACK, linestyle=":", label="slope -1/2")
    ax.set_xscale("log", base=2)
    ax.set_yscale("log")
    ax.set_xlabel("units of every hidden layer")
    ax.set_ylabel("relative standard deviation of credit")
    ax.spines[["top", "right"]].set_visible(False)
    ax.legend(frameon=False, fontsize=8, title="points: measured, lines: theory", title_fontsize=8)
    return ax


def _lowest(predicted: Mapping[str, ArrayLike]) -> float:
    """The lowest line's value at the first width."""
    return float(min(np.asarray(values)[0] for values in predicted.values()))
