"""Alignment angles over training (Figures 2 and 6)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from neurosim.errors import DataError
from neurosim.figures.style import axes, line_styles, plain

Array = npt.ArrayLike


def draw_alignment(
    names: Sequence[str],
    epochs: Array,
    degrees: Array,
    std: Array | None = None,
    ax: Any = None,
    *,
    published: tuple[Array, Array, Array] | None = None,
) -> Any:
    """Angle between a rule's credit and the gradient's over checkpoints, a line a population; 90 degrees is chance.

    Args:
        names: of the hidden populations, from first to last.
        epochs: ``(checkpoints,)``.
        degrees: ``(checkpoints, populations)``, the mean over seeds.
        std: of the same shape, their standard deviation; drawn as error bars.
        ax: axes to draw on.
        published: epochs, degrees and standard deviations that were published, drawn in light behind, as far as the
            first checkpoint that is not before our last; all of them where there are none of ours.

    Returns:
        The matplotlib axes.

    Raises:
        DataError: angles or deviations that are not one a checkpoint and population.

    Example:
        >>> draw_alignment(["f1"], [0, 10], [[10.0], [40.0]]).get_ylabel()
        'angle to the gradient (°)'
    """
    at, angles = np.asarray(epochs, dtype=float), np.asarray(degrees, dtype=float)
    _refuse_shapes(names, epochs, degrees, std)
    if published is not None:
        _refuse_shapes(names, *published)
    ax = axes(ax)
    styles = line_styles(names)
    end = max(float(at.max()), 1.0) if at.size else 0.0
    ax.axhline(90, color="0.6", linewidth=0.8, linestyle=":", zorder=0)
    if published is not None:
        theirs, their_angles, their_std = (np.asarray(part, dtype=float) for part in published)
        later = theirs[theirs >= end]
        end = float(later[0] if at.size else theirs.max()) if len(later) else end
        for number, name in enumerate(names):
            middle, spread, colour = their_angles[:, number], their_std[:, number], styles[name]["color"]
            ax.fill_between(theirs, middle - spread, middle + spread, color=colour, alpha=0.25, linewidth=0, zorder=1)
            ax.plot(theirs, middle, color=colour, alpha=0.5, linewidth=0.8, marker=".", markersize=4, zorder=1)
    for number, name in enumerate(names if at.size else ()):
        bars = None if std is None else np.asarray(std, dtype=float)[:, number]
        ax.errorbar(at, angles[:, number], bars, label=name, capsize=2, linewidth=1.3, zorder=2, **styles[name])
    ax.set_xlim(-0.03 * end, 1.03 * end)
    highest = max([100.0, *(1.05 * angles[np.isfinite(angles)])])
    ax.set_ylim(0, 1.28 * highest)  # room for the legend, where no angle is
    ax.set_yticks([tick for tick in range(0, 181, 30) if tick <= max(90, highest)])
    ax.set_xlabel("epoch")
    ax.set_ylabel("angle to the gradient (°)")
    ax.xaxis.get_major_locator().set_params(integer=True)
    plain(ax)
    entries = _entries(styles, published is not None)
    loose = {"loc": "upper center", "ncols": 4, "handlelength": 1.4, "columnspacing": 1.0, "borderaxespad": 0.2}
    ax.legend(handles=entries, frameon=False, fontsize=7, **loose)
    return ax


def _refuse_shapes(names: Sequence[str], epochs: Array, *tables: Array | None) -> None:
    expected = (len(np.asarray(epochs)), len(names))
    for table in tables:
        if table is not None and np.size(table) + np.size(epochs) and np.shape(table) != expected:
            raise DataError(
                f"alignment: expected angles of {expected[0]} checkpoints and {expected[1]} populations, "
                f"({expected[0]}, {expected[1]}), got {np.shape(table)}"
            )


def _entries(styles: dict[str, dict[str, Any]], published: bool) -> list[Any]:
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    entries: list[Any] = [Line2D([], [], label=name, **style) for name, style in styles.items()]
    if published:
        entries.append(Patch(color="0.3", alpha=0.35, linewidth=0, label="paper"))
    return entries
