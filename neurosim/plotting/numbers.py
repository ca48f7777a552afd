"""Figures drawn from JSON files of numbers instead of run files."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from neurosim.errors import DataError
from neurosim.plotting.costs import plot_comparison, plot_scaling
from neurosim.plotting.runs import SERIES, lay_out
from neurosim.plotting.series_numbers import read_json, read_series

#: drawn of the settings of a width theory file, where they are there
_GATES = ("random gates", "paired gates")


def plot_width_theory(paths: Sequence[Path]) -> Any:
    """Eq. 15 (for ON/OFF its recurrence for pairs) against measurement, credit of the first hidden layer.

    Args:
        paths: one file that ``examples/width_theory.py --json`` wrote.

    Raises:
        DataError: more than one file, or one with other content.
    """
    from neurosim.figures.width_theory import draw_width_theory

    if len(paths) != 1:
        raise DataError(f"'width-theory' is a figure of one file, found {len(paths)}")
    data = read_json(paths[0])
    try:
        chosen = {
            name: each for name, each in data["settings"].items() if name.endswith(_GATES) and len(each["widths"]) > 1
        }
        widths = next(iter(chosen.values()))["widths"]
        labels = {name: name.removesuffix(", random gates") for name in chosen}
        measured = {labels[n]: np.array(each["measured_by_width_seed_layer"])[..., 0] for n, each in chosen.items()}
        predicted = {labels[n]: np.array(each["predicted_by_width_layer"])[:, 0] for n, each in chosen.items()}
        ax = draw_width_theory(widths, measured, predicted)
        about = f"first of {data['hidden']} hidden layers, {data['seeds']} networks per width"
        ax.set_title(f"Eq. 15 against random networks\n{about}", fontsize=9)
    except (KeyError, TypeError, ValueError, IndexError, StopIteration) as error:
        raise DataError(
            f"{paths[0]}: expected the numbers of `python examples/width_theory.py --json FILE`, with two widths at "
            f"least; found something else: {error!r}"
        ) from error
    return ax.figure


def _series_figure(name: str, paths: Sequence[Path]) -> Any:
    return lay_out(name, read_series(paths, SERIES[name]))


#: what `neurosim plot` draws from JSON files
FROM_NUMBERS: Mapping[str, Callable[[Sequence[Path]], Any]] = {
    **{name: partial(_series_figure, name) for name in SERIES},
    "width-theory": plot_width_theory,
    "comparison": plot_comparison,
    "scaling": plot_scaling,
}
