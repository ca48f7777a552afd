"""How well an embedding keeps classes together (Section 6, Figure 3B)."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from neurosim.errors import DataError


def cluster_quality(points: npt.ArrayLike, labels: npt.ArrayLike, *, squared: bool = True) -> float:
    """One minus the distance within classes over the distance between any two examples.

    ``1 - mean_c(r_c^2) / r^2``, where ``r_c^2`` is the mean squared distance over the pairs of distinct examples of
    class c, ``r^2`` over all pairs, and every class that occurs counts alike, however many examples it has. It is
    near 0 where classes are mixed and 1 where each is one point.

    Args:
        points: ``(examples, dimensions)``, such as a t-SNE embedding.
        labels: ``(examples,)``, the class of each.
        squared: False for ``1 - mean_c(r_c) / r`` with root-mean-square distances ``r_c`` and ``r``, as the numbers
            behind Figure 3B have been computed.

    Raises:
        DataError: shapes that do not belong together, numbers that are not finite, a class with a single example
            (it has no pair), fewer than two classes, or points that all coincide.

    Example:
        >>> corners = [[0.0, 0.0], [0.0, 1.0], [3.0, 0.0], [3.0, 1.0]]
        >>> round(cluster_quality(corners, [0, 0, 1, 1]), 3), round(cluster_quality(corners, [0, 1, 0, 1]), 3)
        (0.85, -0.35)
    """
    x, classes = _checked(points, labels)
    overall = _mean_squared_distance(x)
    if overall == 0:
        raise DataError("cluster quality: all points coincide, so there is no distance to compare with")
    within = np.array([_mean_squared_distance(x[classes == c]) for c in np.unique(classes)])
    return float(1 - (np.mean(within / overall) if squared else np.mean(np.sqrt(within / overall))))


def _mean_squared_distance(x: npt.NDArray[Any]) -> float:
    """Over all pairs of distinct points: twice the unbiased variance, so no pair has to be formed."""
    centred = x - x.mean(axis=0)
    return float(2 * np.sum(centred * centred) / (len(x) - 1))


def _checked(points: npt.ArrayLike, labels: npt.ArrayLike) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
    x, classes = np.asarray(points, dtype=np.float64), np.asarray(labels)
    if x.ndim != 2 or classes.shape != x.shape[:1] or 0 in x.shape:
        raise DataError(
            "cluster quality: expected points (examples, dimensions) and as many labels (examples,), got "
            f"{x.shape} and {classes.shape}"
        )
    if not np.isfinite(x).all():
        raise DataError("cluster quality: expected finite points, found NaN or infinite ones")
    refuse_classes(classes)
    return x, classes


def refuse_classes(labels: npt.NDArray[Any]) -> None:
    """Labels whose cluster quality is not defined.

    Raises:
        DataError: fewer than two classes, or a class with a single example.
    """
    found, counts = np.unique(labels, return_counts=True)
    if len(found) < 2:
        raise DataError(f"cluster quality: expected examples of at least two classes, found only class {found[0]}")
    if counts.min() < 2:
        raise DataError(
            f"cluster quality: expected at least two examples of each class, found one of class "
            f"{found[counts.argmin()]}; take more examples"
        )
