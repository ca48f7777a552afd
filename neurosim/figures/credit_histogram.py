"""Credit of a rule beside the exact credit."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from neurosim.figures.style import VERMILION, axes, plain
from neurosim.figures.weight_histogram import finite, shares


def draw_credit_histogram(
    credit: npt.ArrayLike,
    exact: npt.ArrayLike,
    ax: Any = None,
    *,
    rule: str = "rule",
    bins: int = 41,
    legend: bool = True,
) -> Any:
    """Share of units and images by credit, on a logarithmic axis: the exact one filled, the rule's outlined.

    Args:
        credit: of the rule, of any shape, scaled to a root mean square of 1; a constant one is drawn as a line.
        exact: backpropagation's, scaled likewise.
        ax: axes to draw on.
        rule: what to call it.
        bins: how many, over all values of both.
        legend: whether to say which is which.

    Returns:
        The matplotlib axes.

    Raises:
        DataError: numbers that are not finite, or none.

    Example:
        >>> draw_credit_histogram([1.0, 1.0], [0.5, 1.5], rule="GEVB").get_legend().get_texts()[1].get_text()
        'GEVB, constant'
    """
    ours, theirs = finite(credit, "credit"), finite(exact, "exact credit")
    ax = axes(ax, (4.0, 3.0))
    constant = bool(np.ptp(ours) < 1e-6)
    top = 0.84 if legend else 0.97  # no line where the legend is
    edges = np.histogram_bin_edges(np.concatenate([ours, theirs, [0.0]]), bins)
    ax.stairs(shares(theirs, edges), edges, fill=True, color="0.72", label="BP, exact")
    if constant:
        ax.axvline(ours[0], ymax=top, color=VERMILION, linewidth=1.3, label=f"{rule}, constant")
    else:
        ax.stairs(shares(ours, edges), edges, color=VERMILION, linewidth=1.1, label=rule)
    ax.axvline(0, ymax=top, color="0.4", linewidth=0.7, linestyle=":")
    ax.set_yscale("log")
    smallest = 1 / max(theirs.size, 2)
    bottom = math.log(smallest / 2)
    ax.set_ylim(smallest / 2, math.exp(bottom - bottom / top))  # a share of 1 is at ``top``
    ax.set_yticks([tick for tick in ax.get_yticks() if smallest / 2 <= tick <= 1])  # no share is above 1
    ax.minorticks_off()
    ax.set_xlabel("credit / root mean square")
    ax.set_ylabel("share of units x images")
    plain(ax)
    if legend:
        ax.legend(
            frameon=False, fontsize=7, ncols=2, loc="upper center", handlelength=1.4, columnspacing=1.0,
            borderaxespad=0.1,
        )  # fmt: skip
    return ax
