"""Coarse classes of CIFAR-10 and CIFAR-100."""

from __future__ import annotations

import pytest

from neurosim import Hierarchical
from neurosim.datasets import DATASETS, HIERARCHIES, coarse_classes
from neurosim.errors import DataError, UnknownNameError

#: The coarse label of every fine label, as in the files of CIFAR-100.
CIFAR100 = [
    4, 1, 14, 8, 0, 6, 7, 7, 18, 3, 3, 14, 9, 18, 7, 11, 3, 9, 7, 11, 6, 11, 5, 10, 7, 6, 13, 15, 3, 15, 0, 11, 1, 10,
    12, 14, 16, 9, 11, 5, 5, 19, 8, 8, 15, 13, 14, 17, 18, 10, 16, 4, 17, 4, 2, 0, 17, 4, 18, 17, 10, 3, 2, 12, 12, 16,
    12, 1, 9, 19, 2, 10, 0, 1, 16, 12, 9, 13, 15, 13, 16, 19, 2, 4, 6, 19, 5, 5, 8, 19, 18, 1, 2, 15, 6, 0, 17, 8, 14,
    13,
]  # fmt: skip


def test_cifar100_as_its_files_have_it() -> None:
    assert list(coarse_classes("cifar100")) == CIFAR100


def test_twenty_times_five() -> None:
    groups = HIERARCHIES["cifar100"]
    assert list(groups) == sorted(groups)
    assert {len(names) for names in groups.values()} == {5}


@pytest.mark.parametrize("dataset", HIERARCHIES)
def test_every_class_has_one_coarse_class(dataset: str) -> None:
    names = [name for group in HIERARCHIES[dataset].values() for name in group]
    assert len(names) == len(set(names)) == DATASETS[dataset].classes
    code = Hierarchical(len(names), coarse_classes(dataset))
    assert code.length == {"cifar10": 4, "cifar100": 8}[dataset]


def test_other_orders() -> None:
    names = ["truck", "ship", "horse", "frog", "dog", "deer", "cat", "bird", "automobile", "airplane"]
    assert coarse_classes("cifar10", names) == (0, 0, 1, 1, 1, 1, 1, 1, 0, 0)[::-1]


@pytest.mark.parametrize(
    ("names", "text"),
    [
        (["cat", "dog"], "expected its 10 class names, each once, found 2 with a difference in: airplane, automobile"),
        ([*"abcdefghij"], "found 10 with a difference in: a, airplane"),
        (
            ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck", "truck"],
            "found 11 with a difference in: truck, truck",
        ),
    ],
)
def test_other_classes_are_refused(names: list[str], text: str) -> None:
    with pytest.raises(DataError, match=text):
        coarse_classes("cifar10", names)


def test_an_unknown_dataset_lists_the_known_ones() -> None:
    with pytest.raises(UnknownNameError, match="unknown hierarchy 'cifar'; did you mean 'cifar10'. Known: cifar10, "):
        coarse_classes("cifar")
