"""Learning curves (Figures 4 and 5): error over epochs."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from neurosim.figures.style import axes, line_styles, log_numbers, plain

if TYPE_CHECKING:
    from pandas import DataFrame

#: at most so many markers on a line
_MARKS = 8
#: how far the lines of a single epoch go to both sides of it
_REACH = 0.2


def draw_learning_curves(
    curves: Mapping[str, DataFrame],
    ax: Any = None,
    *,
    published: Mapping[str, float] | None = None,
    styled: Iterable[str] | None = None,
    log: bool = False,
    legend: bool = True,
) -> Any:
    """Test error (solid) and running train error (dashed) in percent, one colour and marker a curve.

    Args:
        curves: label -> table with the columns ``epoch``, ``test_error``, ``train_error`` (fractions), as
            ``Run(path).epochs`` gives it; with ``test_error_std`` and ``train_error_std`` bands are drawn.
        ax: axes to draw on.
        published: label -> test error in percent that was published, a mark at the right edge.
        styled: all labels of a figure of several panels, so that one label looks the same in each.
        log: a logarithmic axis of errors, for curves that differ by factors; an error of 0 is a gap, and said to be.
        legend: whether to explain lines and marks.

    Returns:
        The matplotlib axes.

    Example:
        >>> import pandas
        >>> table = pandas.DataFrame({"epoch": [1, 2], "test_error": [0.2, 0.1], "train_error": [0.3, 0.1]})
        >>> draw_learning_curves({"GEVB": table}, published={"GEVB": 9.5}).get_xlabel()
        'epoch'
    """
    ax = axes(ax)
    styles = line_styles(styled if styled is not None else curves)
    for label, table in curves.items():
        for column, line in (("test_error", "-"), ("train_error", "--")):
            _draw_curve(ax, table, column, line, styles[label])
    if log:
        ax.set_yscale("log", subs=(2, 5), nonpositive="mask")
        _explain_gaps(ax)
        log_numbers(ax)
    _draw_marks(ax, published or {}, styles, log)
    if not log:
        ax.set_ylim(bottom=0)
    if len(trained := {epoch for table in curves.values() for epoch in table["epoch"]}) == 1:
        ax.set_xlim(min(trained) - 3 * _REACH, min(trained) + 3 * _REACH)
    ax.set_xlabel("epoch")
    ax.set_ylabel("error (%)")
    ax.xaxis.get_major_locator().set_params(integer=True, min_n_ticks=1)
    plain(ax)
    if legend:
        ax.legend(handles=legend_entries(curves, bool(published)), frameon=False, fontsize=8)
    return ax


def legend_entries(labels: Iterable[str], published: bool) -> list[Any]:
    """What the lines, dashes and marks of such axes mean, for a legend."""
    from matplotlib.lines import Line2D

    entries = [Line2D([], [], label=label, **style) for label, style in line_styles(labels).items()]
    entries += [
        Line2D([], [], color="0.3", label="test"),
        Line2D([], [], color="0.3", linestyle="--", label="train"),
    ]
    if published:
        entries.append(
            Line2D([], [], color="0.3", marker="<", linestyle="", label="paper: test error at the end of its training")
        )
    return entries


def _draw_curve(ax: Any, table: DataFrame, column: str, line: str, style: Mapping[str, Any]) -> None:
    epochs, error = table["epoch"].to_numpy(), 100 * table[column].to_numpy()
    test = column == "test_error"
    ax.plot(
        epochs,
        error,
        linestyle=line,
        linewidth=1.3 if test else 0.9,
        markevery=max(1, len(table) // _MARKS),
        **{**style, "markersize": style["markersize"] * (1.0 if test else 0.6)},
    )
    if len(table) == 1:  # a line to tell test from train
        reach = epochs + [-_REACH, _REACH]
        ax.plot(reach, error.repeat(2), linestyle=line, linewidth=1.3 if test else 0.9, color=style["color"])
    if f"{column}_std" in table:
        spread = 100 * table[f"{column}_std"].to_numpy()
        ax.fill_between(epochs, error - spread, error + spread, color=style["color"], alpha=0.15, linewidth=0)


def _explain_gaps(ax: Any) -> None:
    """On a logarithmic axis errors of 0 cannot be drawn; what stands alone between two of them is a dot."""
    gaps = False
    for line in list(ax.lines):
        x, y = line.get_xdata(), line.get_ydata()
        missing = [True, *(value <= 0 for value in y), True]
        gaps = gaps or any(missing[1:-1])
        alone = [n for n in range(len(y)) if missing[n] and not missing[n + 1] and missing[n + 2]]
        if alone and len(y) > 1:
            ax.plot(x[alone], y[alone], ".", markersize=2.5, color=line.get_color())
    if gaps:
        ax.text(0.02, 0.02, "gaps: error 0", transform=ax.transAxes, fontsize=7, color="0.35")


def _draw_marks(ax: Any, published: Mapping[str, float], styles: Mapping[str, Mapping[str, Any]], log: bool) -> None:
    """At the right edge, whatever the epochs; marks that would hide each other stand side by side."""

    def height(error: float) -> float:
        return math.log10(error) if log else error

    low, high = map(height, ax.get_ylim())
    columns: list[float] = []  # the height of the last mark in each
    for label, error in sorted(published.items(), key=lambda item: item[1]):
        place = (height(error) - low) / (high - low or 1.0)
        number = next((n for n, last in enumerate(columns) if place - last > 0.045), len(columns))
        columns[number : number + 1] = [place]
        ax.plot(
            [1.02 + 0.045 * number],
            [error],
            transform=ax.get_yaxis_transform(),
            clip_on=False,
            linestyle="",
            **{**styles[label], "marker": "<", "markersize": 5.5},
        )
