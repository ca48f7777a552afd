"""Receptive fields of the first layer, as images."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from neurosim.errors import DataError
from neurosim.figures.style import axes


def draw_receptive_fields(fields: npt.ArrayLike, ax: Any = None, *, columns: int = 10, each: str = "unit") -> Any:
    """Weights onto each unit and component as an image: a row a unit, a column a component.

    One colour channel: blue is negative, red positive, white 0, with one scale for all. Three channels: the weights as
    red, green and blue, grey is 0.

    Args:
        fields: ``(units, K, channels, height, width)`` with one or three channels.
        ax: axes to draw on.
        columns: images a row where ``K = 1``.
        each: what a row is, ``"channel"`` in a convolution; both axes count from 0, as everywhere.

    Returns:
        The matplotlib axes.

    Raises:
        DataError: another shape.

    Example:
        >>> import numpy as np
        >>> draw_receptive_fields(np.eye(9).reshape(3, 3, 1, 3, 3)).get_ylabel()
        'unit'
    """
    weights = np.asarray(fields, dtype=float)
    if weights.ndim != 5 or weights.shape[2] not in (1, 3) or 0 in weights.shape:
        raise DataError(
            f"receptive fields: expected (units, K, channels, height, width) with 1 or 3 channels, got {weights.shape}"
        )
    units, K = weights.shape[:2]
    wrapped = K == 1 and units > 1
    if wrapped:
        weights = _wrapped(weights[:, 0], columns)
    rows, across, _, height, width = weights.shape
    limit = float(np.nanmax(np.abs(weights))) or 1.0
    if ax is None:
        inch = 0.5
        ax = axes(None, (inch * across + 1.2, inch * rows * height / width + 0.6))
    ax.set_facecolor("0.85")  # the gaps
    drawn = ax.imshow(_tiled(weights, limit), cmap="RdBu_r", vmin=-limit, vmax=limit, interpolation="nearest")
    ax.spines[:].set_visible(False)
    ax.set_xticks([])
    ax.set_yticks([])
    if not wrapped:
        ax.set_xticks(np.arange(across) * (width + _gap(width)) + width / 2 - 0.5, range(across), fontsize=7)
        ax.set_yticks(np.arange(rows) * (height + _gap(height)) + height / 2 - 0.5, range(rows), fontsize=7)
        ax.tick_params(length=0)
        ax.set_xlabel("component", fontsize=9)
    ax.set_ylabel(f"{each}s" if wrapped else each, fontsize=9)
    if weights.shape[2] == 1:
        bar = ax.figure.colorbar(drawn, ax=ax, shrink=min(1.0, 3 / rows), aspect=15)
        bar.set_label("weight", fontsize=8)
        bar.ax.tick_params(labelsize=7)
    return ax


def _wrapped(units: npt.NDArray[np.float64], columns: int) -> npt.NDArray[np.float64]:
    """Scalar units, ``columns`` a row; missing ones in the last row are NaN, which is drawn as nothing."""
    columns = min(columns, len(units))
    rows = -(-len(units) // columns)
    full = np.full((rows * columns, *units.shape[1:]), np.nan)
    full[: len(units)] = units
    return full.reshape(rows, columns, *units.shape[1:])


def _gap(pixels: int) -> int:
    return max(1, pixels // 9)


def _tiled(weights: npt.NDArray[np.float64], limit: float) -> npt.NDArray[np.float64]:
    """One image of all, with gaps: ``(height, width)`` of weights, or ``(height, width, 4)`` of colours."""
    height, width = weights.shape[3:]
    gaps = ((0, 0),) * 3 + ((0, _gap(height)), (0, _gap(width)))
    padded = np.pad(weights, gaps, constant_values=np.nan)
    rows, across, channels, high, wide = padded.shape
    image = padded.transpose(0, 3, 1, 4, 2).reshape(rows * high, across * wide, channels)
    image = image[: -_gap(height), : -_gap(width)]
    if channels == 1:
        flat: npt.NDArray[np.float64] = image[:, :, 0]
        return flat
    empty = np.isnan(image).any(axis=2, keepdims=True)
    return np.concatenate([np.where(empty, 0.0, 0.5 + 0.5 * image / limit), 1.0 - empty], axis=2)
