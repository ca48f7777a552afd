"""A rule beside the gradient over checkpoints: relative standard deviation of credit, agreement of signs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from neurosim.errors import DataError
from neurosim.figures.style import arrow, axes, line_styles, log_numbers, plain


def draw_relative_std(epochs: npt.ArrayLike, values: Mapping[str, npt.ArrayLike], ax: Any = None) -> Any:
    """``r = |sigma / mu|`` of the exact credit of each population's units (Eqs. 18-22), on a logarithmic axis.

    Args:
        epochs: ``(checkpoints,)``.
        values: hidden population -> r, ``(checkpoints,)``; NaN is left out.
        ax: axes to draw on.

    Returns:
        The matplotlib axes.

    Raises:
        DataError: values that are not one a checkpoint, or none at all.

    Example:
        >>> draw_relative_std([0, 10], {"fc1": [0.1, 0.5]}).get_yscale()
        'log'
    """
    ax = axes(ax)
    _lines(epochs, values, ax, {})
    ax.set_yscale("log", subs=(2, 3, 5))
    log_numbers(ax)
    ax.set_ylabel("relative std of the exact credit")
    return _finish(ax)


def draw_sign_agreement(
    epochs: npt.ArrayLike,
    per_example: Mapping[str, npt.ArrayLike],
    per_batch: Mapping[str, npt.ArrayLike],
    ax: Any = None,
) -> Any:
    """Share of a group's weights whose update has the gradient's sign: by single examples solid, by a batch dashed.

    Args:
        epochs: ``(checkpoints,)``.
        per_example: synapse group -> share, ``(checkpoints,)``.
        per_batch: the same groups, of the sum over the examples.
        ax: axes to draw on.

    Returns:
        The matplotlib axes; the dotted line is chance.

    Raises:
        DataError: values that are not one a checkpoint, none at all, or other groups in the batch.

    Example:
        >>> draw_sign_agreement([0, 10], {"fc1->fc2": [1.0, 1.0]}, {"fc1->fc2": [0.9, 0.8]}).get_ylabel()
        "weights with the gradient's sign"
    """
    if set(per_example) != set(per_batch):
        raise DataError(f"sign agreement: expected the groups {sorted(per_example)} in both, got {sorted(per_batch)}")
    ax = axes(ax)
    ax.axhline(0.5, color="0.6", linewidth=0.8, linestyle=":", zorder=0)
    _lines(epochs, {arrow(name): values for name, values in per_example.items()}, ax, {})
    _lines(epochs, {arrow(name): per_batch[name] for name in per_example}, ax, {"linestyle": "--", "label": None})
    ax.set_ylim(0, 1.05)
    ax.set_ylabel("weights with the gradient's sign")
    return _finish(ax)


def _lines(epochs: npt.ArrayLike, values: Mapping[str, npt.ArrayLike], ax: Any, more: Mapping[str, Any]) -> None:
    at = np.asarray(epochs, dtype=np.float64)
    if not values or not at.size:
        raise DataError("checkpoints: expected values of one population or synapse group at least, got none")
    for name, style in line_styles(values).items():
        line = np.asarray(values[name], dtype=np.float64)
        if line.shape != at.shape:
            raise DataError(f"'{name}': expected values of {at.size} checkpoints, got {line.shape}")
        ax.plot(at, line, **{"label": name, "linewidth": 1.3, **style, **more})


def _finish(ax: Any) -> Any:
    ax.set_xlabel("epoch")
    ax.xaxis.get_major_locator().set_params(integer=True)
    plain(ax)
    ax.legend(frameon=False, fontsize=7, loc="best", handlelength=1.4)
    return ax
