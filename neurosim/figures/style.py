"""What all figures share: colours that print and that colour-blind readers can tell apart (Okabe and Ito, 2008)."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterable, Sequence
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


def wrapped(text: str, width: int = 42) -> str:
    """A title or label in lines of so many letters, by default what a panel of 3 inches holds, broken at commas.

    Example:
        >>> wrapped("digits, fully connected, 1 to 2 seeds", width=28)
        'digits, fully connected,\\n1 to 2 seeds'
    """
    bound = re.sub("(?<!,) ", "\N{NO-BREAK SPACE}", text)  # textwrap breaks at plain spaces only
    return textwrap.fill(bound, width).replace("\N{NO-BREAK SPACE}", " ")


def legend_below(figure: Any, entries: Sequence[Any], columns: int, size: float, title: str | None = None) -> Any:
    """A legend below all panels, in at most so many columns, and in fewer where its words need the width.

    Words that one column is too narrow for are wrapped. The figure grows by the height of the legend.

    Args:
        entries: handles with labels.
        columns: at most.
        size: of the font, in points.
        title: above the entries.
    """
    renderer = figure.canvas.get_renderer()
    letters = int((72 * figure.get_figwidth() - 5 * size) / (0.62 * size))  # a letter is about 0.62 of the size wide
    for entry in entries:
        entry.set_label(wrapped(entry.get_label(), letters))
    about = {"frameon": False, "fontsize": size, "title": title, "title_fontsize": size, "loc": "outside lower center"}
    for number in range(columns, 0, -1):
        legend = figure.legend(handles=entries, ncols=number, **about)
        box = legend.get_window_extent(renderer)
        if number == 1 or box.width <= figure.bbox.width:
            break
        legend.remove()
    figure.set_figheight(figure.get_figheight() + box.height / figure.dpi)
    return legend


def arrow(group: str) -> str:
    """A synapse group's name as words of a figure.

    Example:
        >>> arrow("fc1->fc2") == "fc1 \N{RIGHTWARDS ARROW} fc2"
        True
    """
    return group.replace("->", " \N{RIGHTWARDS ARROW} ")


def log_numbers(ax: Any) -> None:
    """Numbers instead of powers of ten along a logarithmic y axis."""
    ax.yaxis.set_major_formatter("{x:g}")
    ax.yaxis.set_minor_formatter("{x:g}")
    ax.tick_params(which="minor", labelsize=8)


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
            "marker": _MARKERS[(number + number // len(CYCLE)) % len(_MARKERS)],  # the second round of colours differs
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
