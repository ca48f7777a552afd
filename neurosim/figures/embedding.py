"""An embedding, coloured by class (Figure 3A)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from neurosim.errors import DataError
from neurosim.figures.style import BLACK, BLUE, GREEN, ORANGE, PURPLE, SKY, VERMILION, YELLOW, axes

#: neighbours in this list differ in lightness too, so that they differ in grey
_COLOURS = (BLUE, ORANGE, GREEN, BLACK, SKY, VERMILION, PURPLE, YELLOW)
_MARKERS = ("o", "^")


def draw_embedding(
    points: npt.ArrayLike,
    labels: npt.ArrayLike,
    ax: Any = None,
    *,
    classes: Sequence[str] = (),
    legend: bool = True,
) -> Any:
    """Points in two dimensions, a colour a class; the axes of t-SNE mean nothing, so they have no numbers.

    Args:
        points: ``(examples, 2)``.
        labels: ``(examples,)`` integers; each class keeps its colour, whichever others are drawn.
        ax: axes to draw on.
        classes: names of the classes 0, 1, ...; by default their numbers.
        legend: of the classes, to the right of the axes.

    Returns:
        The matplotlib axes.

    Raises:
        DataError: shapes that do not belong together, or a class above 15, for which there is no colour and form.

    Example:
        >>> ax = draw_embedding([[0.0, 1.0], [2.0, 3.0]], [0, 1], classes=["airplane", "automobile"])
        >>> [text.get_text() for text in ax.get_legend().get_texts()]
        ['airplane', 'automobile']
    """
    x, kinds = np.asarray(points, dtype=float), np.asarray(labels)
    if x.ndim != 2 or x.shape[1] != 2 or kinds.shape != x.shape[:1] or len(x) == 0:
        raise DataError(
            f"embedding: expected points (examples, 2) and labels (examples,), got {x.shape}, {kinds.shape}"
        )
    found = np.unique(kinds)
    styles = [(colour, marker) for marker in _MARKERS for colour in _COLOURS]
    if found[0] < 0 or found[-1] >= len(styles):
        raise DataError(f"embedding: expected classes from 0 to {len(styles) - 1}, got {found[0]} to {found[-1]}")
    ax = axes(ax, (4.2, 3.4))
    order = np.random.default_rng(0).permutation(len(x))  # no class lies on top of the others
    for marker in _MARKERS:
        drawn = [i for i in order if styles[kinds[i]][1] == marker]
        if drawn:
            colours = [styles[kinds[i]][0] for i in drawn]
            ax.scatter(*x[drawn].T, s=_size(len(x)), c=colours, marker=marker, linewidths=0, alpha=0.8)
    ax.set_xticks([])
    ax.set_yticks([])
    ax.spines[:].set_color("0.7")
    ax.margins(0.04)
    ax.set_aspect("equal", adjustable="datalim")
    if legend:
        entries = legend_entries(found, classes)
        ax.legend(handles=entries, loc="center left", bbox_to_anchor=(1.0, 0.5), frameon=False, fontsize=8)
    return ax


def legend_entries(labels: npt.ArrayLike, classes: Sequence[str] = ()) -> list[Any]:
    """A handle for each class in ``labels``, for a legend that several axes share."""
    from matplotlib.lines import Line2D

    styles = [(colour, marker) for marker in _MARKERS for colour in _COLOURS]
    return [
        Line2D(
            [], [], linestyle="", color=styles[c][0], marker=styles[c][1], markersize=5, markeredgewidth=0,
            label=classes[c] if classes else str(c),
        )
        for c in np.unique(np.asarray(labels)).tolist()
    ]  # fmt: skip


def _size(count: int) -> float:
    """Area of a point, smaller where there are many."""
    return float(np.clip(9000 / count, 2.0, 20.0))
