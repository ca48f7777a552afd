"""Cluster quality equals its definition by pairs."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from neurosim.analysis.cluster_quality import cluster_quality
from neurosim.errors import DataError


def by_pairs(points, labels, squared: bool) -> float:
    """Section 6, word by word: every pair of distinct examples is formed."""

    def mean_squared(chosen) -> float:
        return float(np.mean([np.sum((a - b) ** 2) for a, b in combinations(chosen, 2)]))

    overall = mean_squared(points)
    classes = [mean_squared(points[labels == c]) for c in sorted(set(labels.tolist()))]
    if squared:
        return 1 - float(np.mean(classes)) / overall
    return 1 - float(np.mean(np.sqrt(classes))) / float(np.sqrt(overall))


@st.composite
def clouds(draw):
    labels = np.array(draw(st.lists(st.integers(0, 3), min_size=1, max_size=8)))
    labels = np.concatenate([labels, np.repeat([*set(labels.tolist()), 5], 2)])  # each class at least twice
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    points = rng.normal(size=(len(labels), draw(st.integers(1, 4)))) * draw(st.sampled_from([1e-6, 1.0, 1e4]))
    return points + draw(st.sampled_from([0.0, 100.0])) * points.std(), labels


@given(cloud=clouds(), squared=st.booleans())
@settings(deadline=None, max_examples=200)
def test_it_is_the_definition_by_pairs(cloud, squared):
    points, labels = cloud
    assert cluster_quality(points, labels, squared=squared) == pytest.approx(
        by_pairs(points, labels, squared), abs=1e-9
    )


@given(cloud=clouds(), squared=st.booleans(), angle=st.floats(0, 6))
@settings(deadline=None, max_examples=50)
def test_turning_scaling_and_shuffling_change_nothing(cloud, squared, angle):
    points, labels = cloud
    points = np.pad(points, ((0, 0), (0, 1)))[:, :2]
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    order = np.random.default_rng(0).permutation(len(points))
    other = cluster_quality((3 * points @ turn + 7)[order], labels[order], squared=squared)
    assert other == pytest.approx(cluster_quality(points, labels, squared=squared), abs=1e-9)


def test_known_answers():
    points = np.array([[0.0, 0.0], [0.0, 0.0], [4.0, 3.0], [4.0, 3.0]])
    assert cluster_quality(points, [0, 0, 1, 1]) == cluster_quality(points, [0, 0, 1, 1], squared=False) == 1.0
    rng = np.random.default_rng(0)
    assert abs(cluster_quality(rng.normal(size=(4000, 2)), rng.integers(0, 10, 4000))) < 0.01
    many = np.concatenate([np.repeat([[0.0], [1.0]], 50, axis=0), rng.normal(size=(4, 1))])
    labels = np.repeat([0, 1, 2], [50, 50, 4])
    spread = 2 * many[100:].var(ddof=1) / 3 / (2 * many.var(ddof=1))
    assert cluster_quality(many, labels) == pytest.approx(1 - spread, abs=1e-12), "a small class counts as a large one"


@pytest.mark.parametrize(
    ("points", "labels", "message"),
    [
        (np.zeros((3, 2)), [0, 1], r"expected points .* as many labels \(examples,\), got \(3, 2\) and \(2,\)"),
        (np.zeros(3), [0, 1, 1], r"got \(3,\) and \(3,\)"),
        (np.zeros((0, 2)), [], r"got \(0, 2\) and \(0,\)"),
        ([[np.nan], [1.0]], [0, 0], "expected finite points, found NaN or infinite"),
        (np.eye(3), [4, 4, 4], "at least two classes, found only class 4"),
        (np.eye(3), [0, 7, 0], "at least two examples of each class, found one of class 7; take more examples"),
        (np.ones((4, 2)), [0, 0, 1, 1], "all points coincide, so there is no distance"),
    ],
)
def test_what_has_no_quality(points, labels, message):
    with pytest.raises(DataError, match=message):
        cluster_quality(points, labels)
