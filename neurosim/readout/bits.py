"""Codes of bits: each output component is one bit of the class's word (Section 7.3)."""

from __future__ import annotations

from reprlib import repr as brief
from typing import Any, ClassVar

import torch
from attrs import Attribute, field, frozen
from jaxtyping import Float
from torch import Tensor

from neurosim.errors import CircuitError
from neurosim.readout import tables
from neurosim.readout.base import Readout, known_loss
from neurosim.readout.tables import Table


@frozen
class _BitCode(Readout):
    """A code of bits, each an output component of its own; a subclass gives the :attr:`table`."""

    losses: ClassVar[tuple[str, ...]] = ("logistic", "squared")
    loss: str = field(default="logistic", validator=known_loss)

    @property
    def table(self) -> Table:
        """One word per class, most significant bit first."""
        raise NotImplementedError(f"{type(self).__name__} must define table")

    @property
    def length(self) -> int:
        return len(self.table[0])

    @property
    def minimum_distance(self) -> int:
        """The smallest number of bits in which two words differ."""
        return tables.minimum_distance(self.table)

    def codewords(self) -> Float[Tensor, "classes length"]:
        return torch.tensor(self.table, dtype=torch.float64, device="cpu")


@frozen
class Binary(_BitCode):
    """Class c is written in binary, most significant bit first: ``K ~ log2 C`` components (Section 7.3).

    With two classes this is one logistic output, the K = 1 network of Section 2.

    Example:
        >>> Binary(3).codewords().tolist()
        [[0.0, 0.0], [0.0, 1.0], [1.0, 0.0]]
    """

    @property
    def table(self) -> Table:
        return tables.plain(self.classes)


@frozen
class Gray(_BitCode):
    """Binary reflected Gray code: as long as :class:`Binary`, and the words of neighbouring classes differ in one bit.

    Example:
        >>> Gray(4).codewords().tolist()
        [[0.0, 0.0], [0.0, 1.0], [1.0, 1.0], [1.0, 0.0]]
    """

    @property
    def table(self) -> Table:
        return tables.gray(self.classes)


def _long_enough(instance: Readout, attribute: Attribute[int], value: int) -> None:
    least = tables.bits_for(instance.classes)
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise CircuitError(
            f"ErrorCorrecting.length must be an integer of at least {least}, the bits that tell {instance.classes} "
            f"classes apart, got {value!r}"
        )


@frozen
class ErrorCorrecting(_BitCode):
    """Words of a chosen length that differ in many bits, so that some wrong bits do not make a wrong class.

    See :func:`neurosim.readout.tables.error_correcting`; nothing is drawn at random. More bits never bring words
    closer, but not each takes them farther apart: past 16 bits, only when there are enough for a second code beside the
    first. So look at :attr:`minimum_distance`, and use the shortest code that has the same.

    Args:
        classes: number of classes.
        length: bits, at least ``log2 classes``.

    Raises:
        CircuitError: too few bits to tell the classes apart.

    Example:
        >>> [ErrorCorrecting(10, length).minimum_distance for length in (4, 7, 11, 15)]
        [1, 3, 5, 8]
        >>> [ErrorCorrecting(100, length).minimum_distance for length in (15, 16, 22, 23)]  # 17 to 22 buy nothing
        [5, 6, 6, 7]
    """

    length: int = field(validator=_long_enough)
    loss: str = field(default="logistic", validator=known_loss)

    @property
    def table(self) -> Table:
        return tables.error_correcting(self.classes, self.length)


def _as_words(value: Any) -> tuple[str, ...]:
    """Rows of 0 and 1, of whatever sort, as texts of 0 and 1."""
    rows = value.tolist() if hasattr(value, "tolist") else value  # arrays and tensors
    if not isinstance(rows, list | tuple):
        raise CircuitError(f"CodeTable.words must be one word of 0 and 1 per class, got {brief(value)}")
    return tuple(_as_word(place, row) for place, row in enumerate(rows))


def _as_word(place: int, row: Any) -> str:
    bits = row.tolist() if hasattr(row, "tolist") else row
    if not isinstance(bits, str | list | tuple) or not all(bit in (0, 1, "0", "1") for bit in bits) or not bits:
        raise CircuitError(f"CodeTable.words must be words of 0 and 1; that of class {place} is {brief(row)}")
    return "".join(str(int(bit)) for bit in bits)


def _one_word_per_class(instance: Readout, attribute: Attribute[tuple[str, ...]], words: tuple[str, ...]) -> None:
    if len(words) != instance.classes:
        raise CircuitError(
            f"CodeTable.words must be one word per class, {instance.classes} in all, got {len(words)} words"
        )
    lengths = sorted({len(word) for word in words})
    if len(lengths) > 1:
        raise CircuitError(f"CodeTable.words must have one length, got {' and '.join(map(str, lengths))} bits")
    first: dict[str, int] = {}
    for place, word in enumerate(words):
        if first.setdefault(word, place) != place:
            raise CircuitError(
                f"CodeTable.words must differ, but the classes {first[word]} and {place} have the same word {word}"
            )


@frozen
class CodeTable(_BitCode):
    """A code of one's own: any table of 0 and 1.

    Args:
        classes: number of classes.
        words: one word per class, as texts, rows of numbers, an array or a tensor.

    Raises:
        CircuitError: fewer or more words than classes, words of different lengths or repeated ones.

    Example:
        >>> CodeTable(3, ["001", "010", "111"])
        CodeTable(classes=3, words=('001', '010', '111'), loss='logistic')
    """

    words: tuple[str, ...] = field(converter=_as_words, validator=_one_word_per_class, repr=brief)
    loss: str = field(default="logistic", validator=known_loss)

    @property
    def table(self) -> Table:
        return tuple(tuple(map(int, word)) for word in self.words)

    @property
    def length(self) -> int:
        return len(self.words[0])


def _as_coarse(value: Any) -> tuple[Any, ...]:
    given = value.tolist() if hasattr(value, "tolist") else value
    if not isinstance(given, list | tuple):
        raise CircuitError(f"Hierarchical.coarse must be the coarse class of every class, got {brief(value)}")
    return tuple(given)


def _coarse_of_every_class(instance: Readout, attribute: Attribute[tuple[int, ...]], coarse: tuple[int, ...]) -> None:
    if len(coarse) != instance.classes:
        raise CircuitError(
            f"Hierarchical.coarse must be the coarse class of every class, {instance.classes} in all, got {len(coarse)}"
        )
    whole = all(isinstance(group, int) and not isinstance(group, bool) for group in coarse)
    if not whole or len(set(coarse)) < 2 or set(coarse) != set(range(len(set(coarse)))):
        raise CircuitError(
            f"Hierarchical.coarse must number two or more coarse classes 0, 1, 2, ... and use them all, got "
            f"{brief(coarse)}"
        )


@frozen
class Hierarchical(_BitCode):
    """The first bits are the coarse class in binary, the others number the classes within it (Section 7.3).

    Where components unfold in time, the coarse classes come first. ``neurosim.datasets.coarse_classes`` knows those
    of CIFAR-10 and CIFAR-100.

    Args:
        classes: number of classes.
        coarse: coarse class of every class, numbered from 0.

    Raises:
        CircuitError: not one coarse class per class, or numbers that are left out.

    Example:
        >>> code = Hierarchical(4, coarse=(0, 1, 1, 1))
        >>> code.coarse_length, code.codewords().tolist()
        (1, [[0.0, 0.0, 0.0], [1.0, 0.0, 0.0], [1.0, 0.0, 1.0], [1.0, 1.0, 0.0]])
    """

    coarse: tuple[int, ...] = field(converter=_as_coarse, validator=_coarse_of_every_class, repr=brief)
    loss: str = field(default="logistic", validator=known_loss)

    @property
    def table(self) -> Table:
        return tables.hierarchical(self.coarse)

    @property
    def coarse_length(self) -> int:
        """How many of the first bits write the coarse class."""
        return tables.bits_for(max(self.coarse) + 1)
