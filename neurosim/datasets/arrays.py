"""Arrays of the user's own, numpy or torch, as the uint8 images and int64 labels of a dataset."""

from __future__ import annotations

import math
from numbers import Integral
from typing import Any

import numpy as np
import torch
from attrs import frozen
from torch import Tensor

from neurosim.description import is_number
from neurosim.errors import DataError
from neurosim.streams import stream


@frozen(eq=False)
class Arrays:
    """Images and labels of both splits: uint8 ``(N, channels, height, width)`` or ``(N, features)``, int64 ``(N,)``."""

    train_images: Tensor
    train_labels: Tensor
    test_images: Tensor
    test_labels: Tensor

    @property
    def class_names(self) -> tuple[str, ...]:
        """Labels without names are called by their numbers."""
        return tuple(map(str, range(1 + max(int(self.train_labels.max()), int(self.test_labels.max())))))


def arrays_of(
    images: Any, labels: Any, test_images: Any, test_labels: Any, scale: Any, test_fraction: Any, seed: Any
) -> Arrays:
    """What :meth:`~neurosim.datasets.Dataset.from_arrays` was given, checked, as tensors.

    Raises:
        DataError: see there.
    """
    given = test_images is not None, test_labels is not None, test_fraction is not None
    if given not in ((True, True, False), (False, False, True)):
        raise DataError(
            "test split: expected test_images= and test_labels=, or test_fraction= of the images, which are then drawn "
            f"by seed=; found {' and '.join(n for n, g in zip(_TEST, given, strict=True) if g) or 'none of them'}"
        )
    train = _pixels("images", images, scale), _classes("labels", labels)
    _refuse_other_length("labels", *train)
    if test_fraction is None:
        test = _pixels("test_images", test_images, scale), _classes("test_labels", test_labels)
        _refuse_other_length("test_labels", *test)
        return Arrays(*train, *test)
    count = len(train[0])
    if not is_number(test_fraction) or not 0 < test_fraction < 1 or not 1 <= round(test_fraction * count) < count:
        raise DataError(
            f"test_fraction: expected a number from 0 to 1 that leaves both splits at least one of {count} images, "
            f"found {test_fraction!r}"
        )
    if isinstance(seed, bool) or not isinstance(seed, Integral):
        raise DataError(f"seed: expected an integer, found {seed!r}")
    order = torch.randperm(count, generator=stream(int(seed), "dataset split"), device="cpu")
    test_part, train_part = order.split([round(test_fraction * count), count - round(test_fraction * count)])
    return Arrays(*(part[train_part] for part in train), *(part[test_part] for part in train))


_TEST = ("test_images", "test_labels", "test_fraction")


def _tensor(what: str, value: Any) -> Tensor:
    if isinstance(value, Tensor) and (value.layout != torch.strided or value.is_nested or value.is_quantized):
        kind = "nested" if value.is_nested else "quantized" if value.is_quantized else str(value.layout)
        raise DataError(
            f"{what}: expected a dense tensor of plain numbers, found a {kind.removeprefix('torch.')} one; "
            f"{'pad' if value.is_nested else 'dequantize' if value.is_quantized else 'give it .to_dense()'} first"
        )
    try:
        tensor = value.detach().cpu() if isinstance(value, Tensor) else torch.from_numpy(np.array(value))
    except (TypeError, ValueError, RuntimeError) as error:
        raise DataError(f"{what}: expected an array of numbers, found {type(value).__name__} ({error})") from error
    if tensor.is_complex():
        raise DataError(f"{what}: expected real numbers, found {tensor.dtype}")
    return tensor


def _pixels(what: str, value: Any, scale: Any) -> Tensor:
    """uint8 ``(N, channels, height, width)`` or ``(N, features)``; a channel is put before images without one."""
    images = _tensor(what, value)
    if images.ndim not in (2, 3, 4) or 0 in images.shape:
        raise DataError(
            f"{what}: expected (N, height, width), (N, channels, height, width) or (N, features), no axis empty, found "
            f"{tuple(images.shape)}"
        )
    if images.ndim == 3:
        images = images.unsqueeze(1)
    if images.dtype == torch.uint8:
        if scale is not None:
            raise DataError(f"{what}: uint8 is 0 to 255 by itself, found scale={scale!r} too; leave it out")
        return images.clone(memory_format=torch.contiguous_format)  # the caller may write to the array later
    low, high = _limits(what, images, scale)
    numbers = images if images.dtype in _WITH_EXTREMES else images.double()
    if bad := int((~numbers.isfinite()).sum()):
        raise DataError(f"{what}: expected finite numbers, found {bad} that are NaN or infinite; remove or fill them")
    least, most = (float(extreme) for extreme in torch.aminmax(numbers))
    if least < low or most > high:
        raise DataError(
            f"{what}: expected numbers within scale={(low, high)}, found {least:g} to {most:g}; widen it or clip them"
        )
    return ((numbers.double() - low) * (255 / (high - low))).round().to(torch.uint8).contiguous()


_WITH_EXTREMES = (torch.float16, torch.bfloat16, torch.float32, torch.float64)  # torch finds none of float8


def _limits(what: str, images: Tensor, scale: Any) -> tuple[float, float]:
    if scale is None:
        raise DataError(
            f"{what}: {str(images.dtype).removeprefix('torch.')} needs scale=(low, high), the numbers that the circuit "
            f"is to see as -1 and 1, such as (0, 1); images of 0 to 255 can be given as uint8"
        )
    pair = tuple(scale) if isinstance(scale, tuple | list) else ()
    if len(pair) != 2 or not all(map(is_number, pair)) or not float(pair[0]) < float(pair[1]):
        raise DataError(f"scale: expected two finite numbers (low, high), low below high, found {scale!r}")
    low, high = float(pair[0]), float(pair[1])
    if not math.isfinite(high - low) or not math.isfinite(255 / (high - low)):
        raise DataError(
            f"scale: expected (low, high) for which high - low and 255 / (high - low) are finite, found {scale!r}; "
            f"give numbers of another unit"
        )
    return low, high


def _classes(what: str, value: Any) -> Tensor:
    labels = _tensor(what, value)
    if labels.is_floating_point() or labels.dtype == torch.bool or labels.ndim != 1:
        hint = "; of one-hot rows take .argmax(1)" if labels.ndim == 2 else ""
        raise DataError(
            f"{what}: expected integers (N,), the class of each image from 0, found "
            f"{str(labels.dtype).removeprefix('torch.')} {tuple(labels.shape)}{hint}"
        )
    classes = labels.to(torch.int64, copy=True)
    if len(classes) and int(classes.min()) < 0:
        raise DataError(
            f"{what}: expected classes from 0, found {int(classes.min())} to {int(classes.max())}; count them from 0"
        )
    return classes


def _refuse_other_length(what: str, images: Tensor, labels: Tensor) -> None:
    if len(images) != len(labels):
        raise DataError(f"{what}: expected {len(images)}, one for each image, found {len(labels)}")


def flat(images: Tensor) -> Tensor:
    """``(N, features)``, in the order of the axes."""
    return images.reshape(len(images), math.prod(images.shape[1:]))
