"""What all figures share: colours that print and that colour-blind readers can tell apart (Okabe and Ito, 2008)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

BLACK, ORANGE, SKY, GREEN = "#000000", "#E69F00", "#56B4E9", "#009E73"
YELLOW, BLUE, VERMILION, PURPLE = "#F0E442", "#0072B2", "#D55E00", "#CC79A7"
CYCLE = (BLUE, VERMILION, GREEN, PURPLE, ORANGE, SKY, BLACK)
_MARKERS = ("o", "s", "^", "D", "v", "P", "X")


def axes(ax: Any, size: tuple[float, float] = (5.0, 3.5)) -> Any:
    """``ax`` itself, or the axes of a new figure that no global state knows of."""
    if ax is not None:
        return ax
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=size, layout="constrained")
    FigureCanvasAgg(figure)
    return figure.add_subplot()


def panels(
    count: int, columns: int, size: tuple[float, float] = (3.0, 2.5), extra: float = 0.0, **options: Any
) -> tuple[Any, list[Any]]:
    """A new figure that no global state knows of, and ``count`` axes in rows of at most ``columns``.

    Args:
        size: of one panel, in inches.
        extra: height to leave for a legend of the whole figure, in inches.
        options: for ``Figure.subplots``.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    columns = min(columns, count)
    rows = -(-count // columns)
    figure = Figure(figsize=(max(3.5, size[0] * columns), size[1] * rows + extra), layout="constrained")
    FigureCanvasAgg(figure)
    drawn = list(figure.subplots(rows, columns, squeeze=False, **options).flat)
    for spare in drawn[count:]:
        spare.remove()
    return figure, drawn[:count]


def line_styles(labels: Iterable[str]) -> dict[str, dict[str, Any]]:
    """Colour and marker a label, so that lines differ in print without colour too.

    Labels that differ by a ``+`` only (the paper's sign for nonnegative weights) share colour and form: filled with the
    ``+``, open without.

    Example:
        >>> styles = line_styles(["GEVB+", "GEVB", "BP+"])
        >>> styles["GEVB+"]["color"] == styles["GEVB"]["color"] != styles["BP+"]["color"]
        True
    """
    labels = list(labels)
    families = list(dict.fromkeys(label.replace("+", "") for label in labels))
    styles = {}
    for label in labels:
        number = families.index(label.replace("+", ""))
        colour = CYCLE[number % len(CYCLE)]
        alone = sum(other.replace("+", "") == label.replace("+", "") for other in labels) == 1
        styles[label] = {
            "color": colour,
            "marker": _MARKERS[number % len(_MARKERS)],
            "markerfacecolor": colour if alone or "+" in label else "white",
            "markersize": 4.5,
        }
    return styles


def plain(ax: Any) -> None:
    """No box around the axes, small words and numbers."""
    ax.spines[["top", "right"]].set_visible(False)
    ax.tick_params(labelsize=8)
    for axis in (ax.xaxis, ax.yaxis):
        axis.label.set_size(9)
        axis.get_offset_text().set_size(8)
