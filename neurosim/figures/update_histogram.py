"""The updates that a batch would make to a synapse group."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from neurosim.figures.style import BLUE, axes, plain
from neurosim.figures.weight_histogram import finite, shares


def draw_update_histogram(updates: npt.ArrayLike, ax: Any = None, *, bins: int = 81) -> Any:
    """Share of the synapses by the update that one batch makes, on a logarithmic axis.

    Args:
        updates: of any shape, as a rule gives them; the optimizer descends them, though they need not be gradients.
        ax: axes to draw on.
        bins: how many; one is centred on 0.

    Returns:
        The matplotlib axes. A text in them says which share of the updates is exactly 0, where any is.

    Raises:
        DataError: numbers that are not finite, or none.

    Example:
        >>> draw_update_histogram([0.0, 0.1, -0.2, 0.3]).texts[0].get_text()
        '25.0% exactly 0'
    """
    values = finite(updates, "updates")
    ax = axes(ax, (4.0, 3.0))
    limit = float(np.abs(values).max()) or 1.0
    edges = np.linspace(-limit, limit, bins + 2 - bins % 2)
    ax.stairs(shares(values, edges), edges, fill=True, color=BLUE, alpha=0.6)
    ax.set_yscale("log")
    ax.set_ylim(0.5 / max(values.size, 2), 2.0)
    ax.ticklabel_format(axis="x", style="sci", scilimits=(-2, 3), useMathText=True)
    ax.locator_params(axis="x", nbins=4)
    ax.set_xlabel("update, descended")
    ax.set_ylabel("share of synapses")
    plain(ax)
    if zero := float((values == 0).mean()):
        ax.text(0.98, 0.97, f"{zero:.1%} exactly 0", transform=ax.transAxes, ha="right", va="top", fontsize=7)
    return ax
