"""Principal components and t-SNE."""

from __future__ import annotations

import h5py
import numpy as np
import pytest
from attrs import evolve
from sklearn.decomposition import PCA

from neurosim.analysis.cluster_quality import cluster_quality
from neurosim.analysis.embedding import APPENDIX_J, EmbeddingSettings, embed, principal_components
from neurosim.errors import DataError

QUICK = EmbeddingSettings(perplexity=10, iterations=100)


def blobs(seed: int = 0, examples: int = 120) -> tuple[np.ndarray, np.ndarray]:
    """Four classes, vector units of 3 components and 2 x 5 units."""
    rng = np.random.default_rng(seed)
    labels = np.arange(examples) % 4
    return (rng.normal(size=(examples, 3, 2, 5)) + 4 * rng.normal(size=(4, 3, 2, 5))[labels]).astype("f4"), labels


def test_the_defaults_are_those_of_appendix_j():
    assert APPENDIX_J == EmbeddingSettings(components=600, perplexity=20, learning_rate=100, iterations=5000)


@pytest.mark.parametrize("shape", [(40, 7), (12, 50), (30, 3, 2, 5), (30, 30)])
@pytest.mark.parametrize("components", [3, 600])
@pytest.mark.parametrize("rows", [1, 7, 1000])
def test_components_are_those_of_pca_up_to_sign(shape, components, rows):
    x = np.random.default_rng(1).normal(size=shape) * np.linspace(1, 3, shape[-1]) + 50
    numbers = int(np.prod(shape[1:]))
    scores = principal_components(x, components, block_bytes=8 * numbers * rows)
    kept = min(components, shape[0] - 1, numbers)
    expected = PCA(kept, svd_solver="full").fit_transform(x.reshape(len(x), -1))
    assert scores.shape == expected.shape == (len(x), kept)
    assert np.abs(np.abs(scores) - np.abs(expected)).max() < 1e-6
    assert (scores.max(axis=0) >= -scores.min(axis=0)).all()


def test_a_dataset_on_disk_is_as_good_as_an_array(tmp_path):
    x, _ = blobs()
    with h5py.File(tmp_path / "a.h5", "w") as file:
        streamed = principal_components(
            file.create_dataset("activity", data=x, chunks=(7, 3, 2, 5)), 8, block_bytes=2000
        )
    assert np.abs(streamed - principal_components(x, 8)).max() < 1e-9


def test_dead_units_and_repeated_examples_do_no_harm():
    x = np.zeros((30, 50))
    x[:, :2] = np.random.default_rng(0).normal(size=(30, 2))
    scores = principal_components(x, 10)
    assert np.isfinite(scores).all() and np.abs(scores[:, 2:]).max() < 1e-6


def test_the_same_seed_gives_the_same_embedding_and_classes_stay_together():
    x, labels = blobs()
    first = embed(x, QUICK)
    assert first.shape == (120, 2) and np.array_equal(first, embed(x, QUICK))
    assert not np.array_equal(first, embed(x, evolve(QUICK, seed=1)))
    assert cluster_quality(first, labels) > 0.8


def test_it_draws_from_no_global_stream():
    before = np.random.get_state(legacy=True)[1].tolist()
    embed(blobs()[0], QUICK)
    assert np.random.get_state(legacy=True)[1].tolist() == before


@pytest.mark.parametrize(
    ("activity", "message"),
    [
        (np.zeros((60, 4)), "t-SNE with perplexity 20 needs at least 61 examples, found 60; take more examples"),
        (np.ones((70, 4)), "the activity is the same for all examples"),
        (np.full((70, 4), np.nan), "expected finite activity, found NaN"),
        (np.zeros((70, 1)), r"at least 2 numbers, got activity of \(70, 1\)"),
    ],
)
def test_what_cannot_be_embedded(activity, message):
    with pytest.raises(DataError, match=message):
        embed(activity)


@pytest.mark.parametrize(
    ("name", "value"), [("components", 1), ("perplexity", 0.5), ("learning_rate", 0), ("iterations", 1)]
)
def test_settings_out_of_range(name, value):
    with pytest.raises(DataError, match=f"embedding: {name} must be at least .*, got {value}"):
        EmbeddingSettings(**{name: value})
