"""Learning curves (Figures 4 and 5): error over epochs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from neurosim.figures.style import CYCLE, axes

if TYPE_CHECKING:
    from pandas import DataFrame


def draw_learning_curves(curves: Mapping[str, DataFrame], ax: Any = None) -> Any:
    """Test error (solid) and running train error (dashed) in percent, one colour a run.

    Args:
        curves: label -> table with the columns ``epoch``, ``test_error``, ``train_error`` (fractions), as
            ``Run(path).epochs`` gives it.
        ax: axes to draw on.

    Returns:
        The matplotlib axes.

    Example:
        >>> import pandas
        >>> table = pandas.DataFrame({"epoch": [1, 2], "test_error": [0.2, 0.1], "train_error": [0.3, 0.1]})
        >>> draw_learning_curves({"GEVB": table}).get_xlabel()
        'epoch'
    """
    ax = axes(ax)
    for number, (label, table) in enumerate(curves.items()):
        colour = CYCLE[number % len(CYCLE)]
        marker = "o" if len(table) < 2 else None
        ax.plot(table["epoch"], 100 * table["test_error"], color=colour, label=f"{label}, test", marker=marker)
        ax.plot(
            table["epoch"],
            100 * table["train_error"],
            color=colour,
            linestyle="--",
            label=f"{label}, train",
            marker=marker,
        )
    ax.set_xlabel("epoch")
    ax.set_ylabel("error (%)")
    ax.xaxis.get_major_locator().set_params(integer=True)
    ax.set_ylim(bottom=0)
    ax.spines[["top", "right"]].set_visible(False)
    ax.legend(frameon=False, fontsize=8)
    return ax
