"""Labelled images in memory: two splits of uint8 images that live on one device, and batches of them."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from functools import cached_property
from typing import Any

import torch
from attrs import evolve, field, frozen
from jaxtyping import Int64, UInt8
from torch import Tensor

from neurosim.datasets.arrays import arrays_of, flat
from neurosim.errors import DataError

Batch = tuple[UInt8[Tensor, " batch *shape"], Int64[Tensor, " batch"]]

FINGERPRINT_IMAGES = 4096  # images of a split that enter the fingerprint; labels enter it all


@frozen(eq=False, repr=False)
class Split:
    """Images and their labels, example by example.

    Args:
        images: uint8 `(N, channels, height, width)` or, without space, `(N, features)`, 0 to 255.
        labels: int64 `(N,)`, the class of each image.
        coarse_labels: int64 `(N,)`, superclasses (CIFAR-100), or None.

    Raises:
        DataError: a wrong type, shape or device, no image at all, or counts that differ.

    Example:
        >>> split = Split(torch.zeros(5, 1, 2, 2, dtype=torch.uint8), torch.arange(5))
        >>> len(split), split
        (5, Split(5 images of (1, 2, 2), cpu))
    """

    images: UInt8[Tensor, " n *shape"]
    labels: Int64[Tensor, " n"]
    coarse_labels: Int64[Tensor, " n"] | None = None

    def __attrs_post_init__(self) -> None:
        shape = tuple(self.images.shape)
        if self.images.dtype != torch.uint8 or len(shape) not in (2, 4) or 0 in shape:
            raise DataError(
                "images: expected uint8 (N, channels, height, width) or (N, features), no axis empty, found "
                f"{_describe(self.images)}; keep pixels as 0..255 in one array a split, with at least one image, "
                "or let Dataset.from_arrays convert them"
            )
        self._check_labels("labels", self.labels)
        if self.coarse_labels is not None:
            self._check_labels("coarse_labels", self.coarse_labels)

    def _check_labels(self, what: str, labels: Tensor) -> None:
        if labels.dtype != torch.int64 or labels.ndim != 1:
            raise DataError(
                f"{what}: expected int64 (N,), found {_describe(labels)}; give one class number for each image"
            )
        if len(labels) != len(self.images):
            raise DataError(
                f"{what}: expected {len(self.images)}, one for each image, found {len(labels)}; "
                "images and labels must come from the same examples"
            )
        if labels.device != self.images.device:
            raise DataError(
                f"{what}: expected the images' device {self.images.device}, found {labels.device}; move both"
            )

    def __len__(self) -> int:
        return len(self.images)

    def __repr__(self) -> str:
        return f"Split({len(self)} images of {tuple(self.images.shape[1:])}, {self.images.device})"

    def to(self, device: torch.device | str) -> Split:
        """The same examples on another device."""
        coarse = None if self.coarse_labels is None else self.coarse_labels.to(device)
        return Split(self.images.to(device), self.labels.to(device), coarse)

    def first(self, count: int) -> Split:
        """The first `count` examples, as views of this split's tensors."""
        if not 1 <= count <= len(self):
            raise DataError(f"subset: expected a number of images from 1 to {len(self)}, found {count}")
        coarse = None if self.coarse_labels is None else self.coarse_labels[:count]
        return Split(self.images[:count], self.labels[:count], coarse)


def _describe(tensor: Tensor) -> str:
    return f"{str(tensor.dtype).removeprefix('torch.')} {tuple(tensor.shape)}"


def _class_names(names: Iterable[str]) -> tuple[str, ...]:
    found = (names,) if isinstance(names, str) else tuple(names)
    if isinstance(names, str) or not all(isinstance(name, str) and name for name in found):
        raise DataError(f"class names: expected one non-empty text for each class, found {found!r}")
    return found


@frozen(eq=False, repr=False, slots=False)  # slots=False: cached_property keeps the fingerprint in the instance
class Dataset:
    """A training and a test split of images of one shape.

    Args:
        name: short name, for example `mnist`; run files quote it.
        class_names: the meaning of labels 0, 1, ...
        source: where the images come from and in what order, in words.
        train: the split that rules learn from.
        test: the split that they never see.
        coarse_class_names: the meaning of the splits' `coarse_labels`; empty where there are none.

    Raises:
        DataError: splits of different image shape or device, a label without a class name, or coarse labels without
            coarse class names (or the reverse).

    Example:
        >>> split = Split(torch.zeros(4, 1, 2, 2, dtype=torch.uint8), torch.tensor([0, 1, 0, 1]))
        >>> Dataset(name="blank", class_names=("left", "right"), source="zeros", train=split, test=split.first(2))
        Dataset('blank', 4 train + 2 test images of (1, 2, 2), 2 classes, cpu)
    """

    name: str
    class_names: tuple[str, ...] = field(converter=_class_names)
    source: str
    train: Split
    test: Split
    coarse_class_names: tuple[str, ...] = field(converter=_class_names, default=())

    def __attrs_post_init__(self) -> None:
        if not self.name or not self.class_names:
            raise DataError(f"expected a name and class names, found {self.name!r} and {self.class_names!r}")
        train, test = self.train.images, self.test.images
        if train.shape[1:] != test.shape[1:] or train.device != test.device:
            raise DataError(
                "train and test: expected images of one shape on one device, found "
                f"{tuple(train.shape[1:])} on {train.device} and {tuple(test.shape[1:])} on {test.device}; "
                "resize or move one of the splits"
            )
        for where, split in (("train", self.train), ("test", self.test)):
            _check_range(f"{where} labels", split.labels, self.class_names)
            if (split.coarse_labels is not None) != bool(self.coarse_class_names):
                raise DataError(
                    f"{where} coarse labels: expected coarse labels in both splits together with coarse class names, "
                    "found only a part of them; give all three or none"
                )
            if split.coarse_labels is not None:
                _check_range(f"{where} coarse labels", split.coarse_labels, self.coarse_class_names)

    @classmethod
    def from_arrays(
        cls,
        images: Any,
        labels: Any,
        test_images: Any = None,
        test_labels: Any = None,
        *,
        name: str = "arrays",
        class_names: Iterable[str] | None = None,
        source: str = "arrays given in Python",
        scale: tuple[float, float] | None = None,
        test_fraction: float | None = None,
        seed: int = 0,
    ) -> Dataset:
        """A dataset of numpy arrays, torch tensors or nested lists.

        Args:
            images: `(N, height, width)`, `(N, channels, height, width)` or `(N, features)`.
            labels: integers `(N,)`, classes from 0.
            test_images, test_labels: the test split, unless `test_fraction` draws it from `images`.
            name: run files quote it.
            class_names: the meaning of labels 0, 1, ...; by default their numbers.
            source: where the images come from, in words.
            scale: `(low, high)` of images that are not uint8: a circuit sees them as -1 and 1, and what is between
                linearly, rounded to the 256 levels of uint8. One scale serves all features; standardize and clip
                features of different ranges first.
            test_fraction: share of the images, chosen at random by `seed`, that are kept for testing.
            seed: of that choice.

        Raises:
            DataError: a shape or type that is none of these, NaN, numbers outside `scale`, no `scale` where one is
                needed or one too narrow or wide to compute with, a negative label, lengths that differ, not exactly
                one way to a test split, or a fraction or seed that cannot be.

        Example:
            >>> import numpy
            >>> heights = numpy.linspace(0.0, 1.0, 30).reshape(10, 3)
            >>> Dataset.from_arrays(heights, numpy.arange(10) % 2, scale=(0, 1), test_fraction=0.2, name="heights")
            Dataset('heights', 8 train + 2 test images of (3,), 2 classes, cpu)
        """
        parts = arrays_of(images, labels, test_images, test_labels, scale, test_fraction, seed)
        train = Split(parts.train_images, parts.train_labels)
        test = Split(parts.test_images, parts.test_labels)
        return cls(name, parts.class_names if class_names is None else class_names, source, train, test)

    def __repr__(self) -> str:
        return (
            f"Dataset({self.name!r}, {len(self.train)} train + {len(self.test)} test images of {self.image_shape}, "
            f"{self.classes} classes, {self.device})"
        )

    @property
    def image_shape(self) -> tuple[int, ...]:
        """`(channels, height, width)` or `(features,)`."""
        return tuple(self.train.images.shape[1:])

    @property
    def classes(self) -> int:
        """The number of classes."""
        return len(self.class_names)

    @property
    def device(self) -> torch.device:
        """Where images and labels live."""
        return self.train.images.device

    @cached_property
    def fingerprint(self) -> str:
        """16 hexadecimal digits that tell whether two datasets hold the same examples in the same order.

        Hashed are shapes, the number of classes, every label, and the pixels of at most 4,096 evenly spaced images a
        split: a changed image between those goes unnoticed. Names and device do not matter.
        """
        digest = hashlib.blake2b(str(self.classes).encode(), digest_size=8)
        for split in (self.train, self.test):
            digest.update(str(tuple(split.images.shape)).encode())
            digest.update(split.labels.cpu().numpy().astype("<i8").tobytes())
            stride = -(-len(split) // FINGERPRINT_IMAGES)
            digest.update(split.images[::stride].cpu().numpy().tobytes())
        return digest.hexdigest()

    def to(self, device: torch.device | str) -> Dataset:
        """The same dataset with its images (still uint8) and labels on another device."""
        return evolve(self, train=self.train.to(device), test=self.test.to(device))

    def flattened(self) -> Dataset:
        """The same examples as `(N, features)`, for circuits whose input has no space (`inputs=64`).

        Example:
            >>> from neurosim.datasets import load_dataset
            >>> load_dataset("digits").flattened()
            Dataset('digits', 1437 train + 360 test images of (64,), 10 classes, cpu)
        """
        train, test = (evolve(split, images=flat(split.images)) for split in (self.train, self.test))
        return evolve(self, train=train, test=test)

    def subset(self, train: int | None = None, test: int | None = None) -> Dataset:
        """The first `train` and the first `test` images, for demonstrations; None keeps a split whole.

        The tensors are views of this dataset's. Raises DataError for a count below 1 or beyond the split.

        Example:
            >>> from neurosim.datasets import load_dataset
            >>> load_dataset("digits").subset(train=100)
            Dataset('digits', 100 train + 360 test images of (1, 8, 8), 10 classes, cpu)
        """
        source = self.source
        source += "" if train is None else f"; first {train} train images"
        source += "" if test is None else f"; first {test} test images"
        return evolve(
            self,
            source=source,
            train=self.train if train is None else self.train.first(train),
            test=self.test if test is None else self.test.first(test),
        )


def _check_range(what: str, labels: Tensor, names: tuple[str, ...]) -> None:
    low, high = torch.stack(torch.aminmax(labels)).tolist()
    if low < 0 or high >= len(names):
        raise DataError(
            f"{what}: expected 0 to {len(names) - 1} ({len(names)} class names), found {low} to {high}; "
            "name every class, and count classes from 0"
        )


def batches(
    split: Split, batch_size: int, generator: torch.Generator | None = None, drop_last: bool = False
) -> Iterator[Batch]:
    """Iterate once over a split: images uint8 `(B, *shape)` and labels int64 `(B,)` on its device.

    Args:
        split: the examples.
        batch_size: B; the last batch is shorter where B does not divide the number of examples.
        generator: a cpu generator: the examples come in a random order, drawn by one `randperm` when this function is
            called. None: in order, as views of the split.
        drop_last: leave the short last batch out.

    Raises:
        DataError: a batch size below 1, one that leaves no batch, or a generator that is not on the cpu.

    Example:
        >>> split = Split(torch.zeros(5, 1, 2, 2, dtype=torch.uint8), torch.arange(5))
        >>> [labels.tolist() for _, labels in batches(split, 2)]
        [[0, 1], [2, 3], [4]]
    """
    count = len(split)
    if batch_size < 1:
        raise DataError(f"batch_size: expected at least 1, found {batch_size}")
    if drop_last and batch_size > count:
        raise DataError(
            f"batch_size: {batch_size} with drop_last leaves no batch of {count} examples; "
            f"use at most {count} or keep the last batch"
        )
    stop = count - count % batch_size if drop_last else count
    if generator is None:
        return _in_order(split, batch_size, stop)
    if generator.device.type != "cpu":
        raise DataError(
            f"generator: expected one on the cpu, found {generator.device}; "
            "the order is drawn on the cpu so that it is the same on every device"
        )
    order = torch.randperm(count, generator=generator, device="cpu")[:stop].to(split.images.device)
    return _shuffled(split, batch_size, order)


def _in_order(split: Split, batch_size: int, stop: int) -> Iterator[Batch]:
    for start in range(0, stop, batch_size):
        end = min(start + batch_size, stop)
        yield split.images[start:end], split.labels[start:end]


def _shuffled(split: Split, batch_size: int, order: Tensor) -> Iterator[Batch]:
    for start in range(0, len(order), batch_size):
        part = order[start : start + batch_size]
        yield split.images.index_select(0, part), split.labels.index_select(0, part)
