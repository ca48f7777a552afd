"""Eq. 15 against measurement: relative standard deviation of credit over network width."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from neurosim.errors import DataError
from neurosim.figures.style import BLACK, axes, line_styles, log_numbers, plain


def draw_width_theory(
    widths: Sequence[int], measured: Mapping[str, ArrayLike], predicted: Mapping[str, ArrayLike], ax: Any = None
) -> Any:
    """Measured (points, with their standard deviation) and predicted (lines) relative standard deviation, log-log.

    Args:
        widths: of the networks.
        measured: label -> ``(widths, ...)``; all other axes are samples.
        predicted: the same labels -> ``(widths,)``.
        ax: axes to draw on.

    Returns:
        The matplotlib axes.

    Raises:
        DataError: labels that differ between measured and predicted, or values that are not one a width.

    Example:
        >>> draw_width_theory([32, 64], {"a": [[0.2, 0.3], [0.1, 0.2]]}, {"a": [0.25, 0.18]}).get_xscale()
        'log'
    """
    _refuse_shapes(len(widths), measured, predicted)
    ax = axes(ax, (6.2, 3.6))
    styles = line_styles(measured)
    for label, samples in measured.items():
        style, values = styles[label], np.asarray(samples, dtype=np.float64).reshape(len(widths), -1)
        ax.errorbar(widths, values.mean(1), values.std(1), label=label, linestyle="", linewidth=1, **style)
        ax.plot(widths, np.asarray(predicted[label]), color=style["color"], linewidth=1)
    ends = np.array([widths[0], widths[-1]], dtype=np.float64)
    ax.plot(ends, 0.6 * (ends / ends[0]) ** -0.5 * _lowest(predicted), color=BLACK, linestyle=":", label="slope -1/2")
    ax.set_xscale("log", base=2)
    ax.set_yscale("log", subs=(2, 5))
    log_numbers(ax)
    ax.set_xlabel("units of every hidden layer")
    ax.set_ylabel("relative standard deviation of credit")
    plain(ax)
    title = "points: measured\nlines: theory"
    ax.legend(frameon=False, fontsize=8, title=title, title_fontsize=8, loc="center left", bbox_to_anchor=(1.0, 0.5))
    return ax


def _refuse_shapes(widths: int, measured: Mapping[str, ArrayLike], predicted: Mapping[str, ArrayLike]) -> None:
    if not measured or set(measured) != set(predicted):
        raise DataError(
            f"width theory: expected the same labels measured and predicted, at least one, got "
            f"{', '.join(measured) or 'none'} and {', '.join(predicted) or 'none'}"
        )
    for label in measured:
        shapes = np.shape(measured[label]), np.shape(predicted[label])
        if shapes[0][:1] != (widths,) or shapes[1] != (widths,) or 0 in shapes[0]:
            raise DataError(
                f"width theory: expected values of {widths} widths for '{label}', got {shapes[0]}, {shapes[1]}"
            )


def _lowest(predicted: Mapping[str, ArrayLike]) -> float:
    """The lowest line's value at the first width."""
    return float(min(np.asarray(values)[0] for values in predicted.values()))
