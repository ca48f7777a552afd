"""Activity in two dimensions: principal components, then t-SNE (Appendix J)."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any, Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt
from attrs import Attribute, field, frozen

from neurosim.errors import DataError

Array = npt.NDArray[Any]

#: t-SNE begins with that many iterations of early exaggeration, which count
_EXAGGERATED = 250
#: rows of activity that are in memory at once, in bytes as float64
_BLOCK_BYTES = 128 * 2**20


@runtime_checkable
class Rows(Protocol):
    """An array, or an HDF5 dataset that is read piece by piece."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Examples first."""

    def __getitem__(self, rows: slice) -> Any:
        """Some examples."""


def _at_least(least: float) -> Any:
    def check(instance: EmbeddingSettings, attribute: Attribute[Any], value: Any) -> None:
        if isinstance(value, bool) or not math.isfinite(value) or value < least:
            raise DataError(f"embedding: {attribute.name} must be at least {least:g}, got {value!r}")

    return check


@frozen
class EmbeddingSettings:
    """Appendix J, whose numbers are the defaults.

    Attributes:
        components: principal components that are kept before t-SNE, or all where there are fewer.
        perplexity: about how many neighbours a point has.
        learning_rate: of t-SNE.
        iterations: of t-SNE in all; the first 250 of them, or half where that is less, with early exaggeration.
        seed: of t-SNE, which starts from the first two principal components with small noise. PCA draws nothing.

    Raises:
        DataError: a number out of range.
    """

    components: int = field(default=600, validator=_at_least(2))
    perplexity: float = field(default=20.0, validator=_at_least(1))
    learning_rate: float = field(default=100.0, validator=_at_least(1e-9))
    iterations: int = field(default=5000, validator=_at_least(2))
    seed: int = 0


#: what Appendix J says
APPENDIX_J = EmbeddingSettings()


def embed(activity: Rows, settings: EmbeddingSettings = APPENDIX_J) -> Array:
    """Two dimensions of activity, ``(examples, 2)``, the same for the same seed.

    Args:
        activity: ``(examples, ...)``; whatever follows is flattened, the K components of vector units too.
        settings: of PCA and t-SNE.

    Raises:
        DataError: too few examples or numbers, activity that is not finite or the same for all examples.

    Example:
        >>> blobs = np.random.default_rng(0).normal(size=(40, 5)) + 9 * (np.arange(40) % 2)[:, None]
        >>> embed(blobs, EmbeddingSettings(perplexity=5, iterations=50)).shape
        (40, 2)
    """
    refuse_few(activity.shape[0], settings)
    return _tsne(principal_components(activity, settings.components), settings)


def refuse_few(examples: int, settings: EmbeddingSettings) -> None:
    """Raise a DataError where t-SNE has fewer examples than its perplexity needs neighbours."""
    if examples < (least := math.ceil(3 * settings.perplexity) + 1):
        raise DataError(
            f"embedding: t-SNE with perplexity {settings.perplexity:g} needs at least {least} examples, found "
            f"{examples}; take more examples or a lower perplexity"
        )


def principal_components(activity: Rows, components: int = 600, *, block_bytes: int = _BLOCK_BYTES) -> Array:
    """Scores on the leading principal components, ``(examples, at most components)``, the largest variance first.

    Exact, from the smaller of two matrices: the products of centred examples (at most examples x examples) or of
    centred numbers. Activity is read a few times, block by block, and never held as a whole. Each component's sign is
    such that its largest score is positive.

    Args:
        activity: ``(examples, ...)``, flattened.
        components: how many, or all where there are fewer.
        block_bytes: size of a block, as float64.

    Raises:
        DataError: as for :func:`embed`.

    Example:
        >>> scores = principal_components(np.array([[0.0, 0.0], [4.0, 0.0], [2.0, 1.0], [2.0, -1.0]]), 2)
        >>> np.abs(scores).round(6).tolist()
        [[2.0, 0.0], [2.0, 0.0], [0.0, 1.0], [0.0, 1.0]]
    """
    examples, numbers = activity.shape[0], math.prod(activity.shape[1:])
    if examples < 3 or numbers < 2:
        raise DataError(
            f"embedding: expected at least 3 examples of at least 2 numbers, got activity of {tuple(activity.shape)}"
        )
    blocks = _Centred(activity, max(1, block_bytes // (8 * numbers)))
    kept = min(components, examples - 1, numbers)
    if examples <= numbers:
        values, vectors = _leading(_between_examples(blocks), kept)
        scores = vectors * np.sqrt(values)
    else:
        _, directions = _leading(sum(block.T @ block for _, block in blocks), kept)
        scores = np.concatenate([block @ directions for _, block in blocks])
    if not scores.any():
        raise DataError("embedding: the activity is the same for all examples, so there is nothing to embed")
    largest = scores[np.abs(scores).argmax(axis=0), np.arange(kept)]
    signed: Array = scores * np.where(largest < 0, -1.0, 1.0)
    return signed


class _Centred:
    """Blocks of examples, flattened, less their mean over all examples."""

    def __init__(self, activity: Rows, rows: int) -> None:
        self.activity, self.rows = activity, rows
        self.mean: Array | float = 0.0
        self.mean = sum(block.sum(axis=0) for _, block in self) / len(self)
        if not np.isfinite(self.mean).all():
            raise DataError("embedding: expected finite activity, found NaN or infinite values")

    def __len__(self) -> int:
        return self.activity.shape[0]

    def __iter__(self) -> Iterator[tuple[slice, Array]]:
        return self.upto(len(self))

    def upto(self, end: int) -> Iterator[tuple[slice, Array]]:
        """The blocks that begin before ``end``, each with its place."""
        for start in range(0, end, self.rows):
            place = slice(start, min(start + self.rows, len(self)))
            block = np.asarray(self.activity[place], dtype=np.float64).reshape(place.stop - start, -1)
            yield place, block - self.mean


def _between_examples(blocks: _Centred) -> Array:
    products = np.empty((len(blocks), len(blocks)))
    for here, block in blocks:
        for there, other in blocks.upto(here.start):
            products[here, there] = block @ other.T
            products[there, here] = products[here, there].T
        products[here, here] = block @ block.T
    return products


def _leading(symmetric: Any, count: int) -> tuple[Array, Array]:
    """The largest eigenvalues, rounding errors below 0 put to 0, and their vectors in columns."""
    from scipy.linalg import eigh

    values, vectors = eigh(symmetric, subset_by_index=(len(symmetric) - count, len(symmetric) - 1))
    return np.clip(values[::-1], 0.0, None), vectors[:, ::-1]


def _tsne(scores: Array, settings: EmbeddingSettings) -> Array:
    """openTSNE on one thread, with exact neighbours; what Appendix J does not name is openTSNE's default."""
    from openTSNE import TSNE

    exaggerated = min(_EXAGGERATED, settings.iterations // 2)
    made = TSNE(
        n_components=2,
        perplexity=settings.perplexity,
        learning_rate=settings.learning_rate,
        early_exaggeration_iter=exaggerated,
        n_iter=settings.iterations - exaggerated,
        neighbors="exact",
        n_jobs=1,
        random_state=settings.seed,
    ).fit(scores)
    return np.array(made, dtype=np.float64)
