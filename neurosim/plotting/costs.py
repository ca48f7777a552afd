"""Figures of what steps cost, from JSON files of numbers: comparisons of settings, sweeps over sizes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from neurosim.comparison.table import rows_from
from neurosim.errors import DataError
from neurosim.plotting.series_numbers import read_json

_SIZES = {"components": "components K", "classes": "classes"}
#: what was measured -> label of the axis, factor to its unit
_QUANTITIES = {"seconds": ("processor ms / step", 1e3), "memory": ("MiB / step", 2.0**-20)}


def plot_comparison(paths: Sequence[Path]) -> Any:
    """Errors and costs of a circuit's settings.

    Args:
        paths: one ``comparison.json`` of ``neurosim compare``.

    Raises:
        DataError: more than one file, or one with other content.
    """
    from neurosim.figures.comparison import draw_comparison

    data = read_json(_only("comparison", paths))
    try:
        rows = rows_from(data)
        about = f"{data['dataset']}, {data['epochs']} epochs, seeds {', '.join(map(str, data['seeds']))}"
        ax = draw_comparison(rows)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise DataError(
            f"{paths[0]}: expected the comparison.json of a folder of `neurosim compare`; found something else: "
            f"{error!r}"
        ) from error
    ax.set_title(about, fontsize=9, loc="left", pad=22)
    return ax.figure


def plot_scaling(paths: Sequence[Path]) -> Any:
    """Time and memory of a step over components and over classes.

    Args:
        paths: one file that ``benchmarks/scaling.py`` wrote.

    Raises:
        DataError: more than one file, or one with other content.
    """
    data = read_json(_only("scaling", paths))
    try:
        return lay_out_scaling(data["sweeps"])
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise DataError(
            f"{paths[0]}: expected the numbers of `python benchmarks/scaling.py --out FILE`; found something else: "
            f"{error!r}"
        ) from error


def lay_out_scaling(sweeps: Mapping[str, Mapping[str, Any]]) -> Any:
    """A row a sweep, a column a quantity.

    Args:
        sweeps: ``"components"`` or ``"classes"`` -> size -> contestant -> ``"seconds"``, ``"memory"``.
    """
    from neurosim.figures.scaling import draw_scaling
    from neurosim.figures.style import panels

    figure, drawn = panels(2 * len(sweeps), 2, (3.8, 2.9), extra=0.3)
    figure.suptitle("Processor time and memory of a step of learning: median and range of the rounds", fontsize=10)
    for row, (sweep, sizes) in enumerate(sweeps.items()):
        names = list(dict.fromkeys(name for found in sizes.values() for name in found))
        for column, (quantity, (unit, scale)) in enumerate(_QUANTITIES.items()):
            measured = {name: _values(sizes, name, quantity, scale) for name in names}
            panel = drawn[2 * row + column]
            draw_scaling(list(map(int, sizes)), measured, panel, xlabel=_SIZES[sweep], ylabel=unit, legend=column == 0)
    return figure


def _values(sizes: Mapping[str, Any], name: str, quantity: str, scale: float) -> list[list[float]]:
    """``(sizes, rounds)``, NaN where a contestant was left out."""
    found = [sizes[size].get(name, {}).get(quantity) for size in sizes]
    rows = [value if isinstance(value, list) else [float("nan") if value is None else value] for value in found]
    longest = max(map(len, rows))
    return [[scale * each for each in row] + [float("nan")] * (longest - len(row)) for row in rows]


def _only(figure: str, paths: Sequence[Path]) -> Path:
    if len(paths) != 1:
        raise DataError(f"'{figure}' is a figure of one file, found {len(paths)}")
    return paths[0]
