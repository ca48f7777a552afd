"""Code tables: their words, counted and compared one by one."""

from __future__ import annotations

from itertools import combinations, pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from neurosim.errors import CircuitError
from neurosim.readout import Binary, ErrorCorrecting, Gray, Hierarchical
from neurosim.readout.tables import bits_for, error_correcting, gray, hierarchical, minimum_distance, plain


def distance(one: tuple[int, ...], other: tuple[int, ...]) -> int:
    return sum(a != b for a, b in zip(one, other, strict=True))


@given(st.integers(2, 300))
def test_bits_for_is_the_logarithm(count: int) -> None:
    assert 2 ** (bits_for(count) - 1) < count <= 2 ** bits_for(count)


@given(st.integers(2, 300))
def test_neighbours_differ_in_one_bit_of_gray_code(classes: int) -> None:
    table = gray(classes)
    assert len(set(table)) == classes
    assert {len(word) for word in table} == {bits_for(classes)}
    assert all(distance(one, other) == 1 for one, other in pairwise(table))


#: length -> the greatest minimum distance of ten words, from the tables of A(n, d): A(6, 3) = 8, A(10, 5) = 12, ...
BEST = {4: 1, 5: 2, 6: 2, 7: 3, 8: 4, 9: 4, 10: 5, 11: 6, 12: 6, 13: 6, 14: 7, 15: 8}


@pytest.mark.parametrize("length", BEST)
def test_ten_classes_are_as_far_apart_as_can_be(length: int) -> None:
    """But for one bit where only a nonlinear code of twelve words does better."""
    nonlinear = length in (10, 11)
    assert ErrorCorrecting(10, length).minimum_distance == BEST[length] - nonlinear


@settings(max_examples=30)
@given(st.integers(2, 40), st.integers(0, 14))
def test_error_correcting_words(classes: int, more: int) -> None:
    length = bits_for(classes) + more
    table = error_correcting(classes, length)
    assert (len(table), {len(word) for word in table}) == (classes, {length})
    assert set().union(*table) == {0, 1}
    smallest = min(distance(one, other) for one, other in combinations(table, 2))
    assert minimum_distance(table) == smallest >= 1
    assert all(len(set(column)) == 2 for column in zip(*table, strict=True)), "every bit says something"
    shorter = minimum_distance(error_correcting(classes, length - 1)) if more else 0
    assert smallest >= shorter, "more bits do no harm"


def test_many_classes_and_bits() -> None:
    assert minimum_distance(error_correcting(100, 15)) >= 5
    assert minimum_distance(error_correcting(100, 63)) >= 20


def test_too_few_bits_are_refused() -> None:
    with pytest.raises(CircuitError, match="3 bits have 8 words, too few for 10 classes; use 4 or more"):
        error_correcting(10, 3)


@given(st.lists(st.integers(0, 6), min_size=2, max_size=40))
def test_the_first_bits_are_the_coarse_class(drawn: list[int]) -> None:
    names = sorted(set(drawn))
    coarse = tuple(names.index(group) for group in drawn)
    if len(names) < 2:
        return
    readout, table = Hierarchical(len(coarse), coarse), hierarchical(coarse)
    assert len(set(table)) == len(coarse)
    first = readout.coarse_length
    assert first == bits_for(len(names))
    for group, word in zip(coarse, table, strict=True):
        assert int("".join(map(str, word[:first])), 2) == group
    assert readout.length == first + bits_for(max(map(coarse.count, coarse)))


def test_distances_of_short_codes() -> None:
    assert [code.minimum_distance for code in (Binary(10), Gray(10), ErrorCorrecting(10, 7))] == [1, 1, 3]
    assert minimum_distance(plain(2)) == 1
