"""Code tables: how classes are written in bits (Section 7.3). Plain numbers, no tensors.

A table has one row of 0 and 1 per class, its codeword, most significant bit first.

Example:
    >>> plain(3), gray(3)
    (((0, 0), (0, 1), (1, 0)), ((0, 0), (0, 1), (1, 1)))
    >>> [minimum_distance(error_correcting(10, length)) for length in (4, 7, 11, 15)]
    [1, 3, 5, 8]
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import lru_cache

import numpy as np

from neurosim.errors import CircuitError

Table = tuple[tuple[int, ...], ...]

#: All words of this many bits are looked through at once; longer codes are put together of several.
_BLOCK = 16


def bits_for(count: int) -> int:
    """``ceil(log2 count)``: the bits that tell ``count`` things apart."""
    return (count - 1).bit_length()


@lru_cache(maxsize=64)
def plain(classes: int) -> Table:
    """Class c is the number c in binary."""
    return _written(range(classes), bits_for(classes))


@lru_cache(maxsize=64)
def gray(classes: int) -> Table:
    """Binary reflected Gray code: the words of neighbouring classes differ in one bit."""
    return _written((number ^ (number >> 1) for number in range(classes)), bits_for(classes))


@lru_cache(maxsize=64)
def hierarchical(coarse: tuple[int, ...]) -> Table:
    """The first bits are the coarse class in binary, the others number the classes within it.

    Args:
        coarse: coarse class of every class, numbered from 0.

    Example:
        >>> hierarchical((0, 1, 1, 1))
        ((0, 0, 0), (1, 0, 0), (1, 0, 1), (1, 1, 0))
    """
    met = [0] * (max(coarse) + 1)
    within = []
    for group in coarse:
        within.append(met[group])
        met[group] += 1
    fine = bits_for(max(met))
    numbers = (group << fine | place for group, place in zip(coarse, within, strict=True))
    return _written(numbers, bits_for(len(met)) + fine)


@lru_cache(maxsize=64)
def error_correcting(classes: int, length: int) -> Table:
    """A code of ``length`` bits whose words differ from each other in many; nothing is drawn at random.

    Up to 16 bits it is the lexicographic code of the greatest minimum distance that has a word for every class;
    columns that say nothing about the classes are replaced. Longer ones are several such codes side by side, whose
    distances add up.

    Raises:
        CircuitError: too few bits to tell the classes apart.
    """
    least = bits_for(classes)
    if length < least:
        raise CircuitError(f"{length} bits have {2**length} words, too few for {classes} classes; use {least} or more")
    columns: list[tuple[int, ...]] = []
    while (missing := length - len(columns)) >= least:
        words = _lexicographic(classes, min(missing, max(_BLOCK, least)))
        columns += [column for column in zip(*words, strict=True) if len(set(column)) > 1]
    columns += list(zip(*plain(classes), strict=True))[: length - len(columns)]
    return tuple(zip(*columns, strict=True))


def minimum_distance(table: Sequence[Sequence[int]]) -> int:
    """The smallest number of bits in which two words differ; ``(d - 1) // 2`` wrong bits can be corrected."""
    words = np.asarray(table, dtype=np.int64)
    distances = (words[:, None] != words[None]).sum(2)
    return int(distances[np.triu_indices(len(words), 1)].min())


def _lexicographic(classes: int, length: int) -> Table:
    """Of all words in their order each that is far enough from those before it, as far as leaves enough of them."""
    numbers = np.arange(2**length)
    weights = sum((numbers >> bit & 1 for bit in range(length)), np.zeros_like(numbers))
    for distance in range(length, 0, -1):
        chosen: list[int] = []
        far = np.ones(len(numbers), dtype=bool)
        while len(chosen) < classes and far.any():
            chosen.append(int(far.argmax()))
            far &= weights[numbers ^ chosen[-1]] >= distance
        if len(chosen) == classes:
            break
    return _written(chosen, length)


def _written(numbers: Iterable[int], length: int) -> Table:
    return tuple(tuple(number >> bit & 1 for bit in range(length - 1, -1, -1)) for number in numbers)
