"""Weights of a synapse group before and after learning."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from neurosim.errors import DataError
from neurosim.figures.style import BLUE, axes, plain


def draw_weight_histogram(
    before: npt.ArrayLike,
    after: npt.ArrayLike,
    ax: Any = None,
    *,
    labels: tuple[str, str] = ("before", "after"),
    bins: int = 81,
) -> Any:
    """Share of the weights in bins of one width, before learning (grey) and after (outlined), on a logarithmic axis.

    Args:
        before, after: weights of any shape.
        ax: axes to draw on.
        labels: what to call the two.
        bins: how many, over all values of both.

    Returns:
        The matplotlib axes.

    Raises:
        DataError: numbers that are not finite, or none.

    Example:
        >>> draw_weight_histogram([0.0, 0.1], [0.0, 0.2]).get_xlabel()
        'weight'
    """
    first, second = finite(before, "weights before"), finite(after, "weights after")
    ax = axes(ax, (4.0, 3.0))
    edges = np.histogram_bin_edges(np.concatenate([first, second]), bins)
    ax.stairs(shares(first, edges), edges, fill=True, color="0.75", label=labels[0])
    ax.stairs(shares(second, edges), edges, color=BLUE, linewidth=1.3, label=labels[1])
    ax.set_yscale("log")
    smallest, largest = 1 / max(first.size, second.size, 2), 1.0
    ax.set_ylim(smallest / 2, largest * smallest**-0.15)  # room for the legend, where no share can be
    ax.locator_params(axis="x", nbins=4)  # numbers such as -0.125 are wide
    ax.set_xlabel("weight")
    ax.set_ylabel("share of weights")
    plain(ax)
    ax.legend(frameon=False, fontsize=7, ncols=2, loc="upper center", handlelength=1.4, columnspacing=1.0)
    return ax


def finite(values: npt.ArrayLike, what: str) -> npt.NDArray[np.float64]:
    """The values of a histogram in one axis.

    Raises:
        DataError: some are not finite, or there are none.
    """
    flat = np.ravel(np.asarray(values, dtype=float))
    if bad := int((~np.isfinite(flat)).sum()):
        raise DataError(f"histogram of {what}: expected finite numbers, got {bad} of {flat.size} that are not")
    if not flat.size:
        raise DataError(f"histogram of {what}: expected at least one number, got none")
    return flat


def shares(values: npt.NDArray[np.float64], edges: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """The part of the values that falls into each bin; empty bins are NaN, which no logarithmic axis shows.

    Example:
        >>> shares(np.array([0.1, 0.2, 0.9]), np.array([0.0, 0.5, 0.8, 1.0])).round(2).tolist()
        [0.67, nan, 0.33]
    """
    counts = np.histogram(values, edges)[0] / max(1, len(values))
    return np.where(counts > 0, counts, np.nan)
