"""What a simulator is given: a device that is there, images and labels that fit the circuit."""

from __future__ import annotations

import torch
from torch import Tensor

from neurosim.connectivity import Shape
from neurosim.errors import SimulationError, UnknownNameError
from neurosim.images import to_unit_range

_INTEGERS = (torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64)


def usable_device(device: torch.device | str) -> torch.device:
    """A device that tensors can live on.

    Raises:
        UnknownNameError: no such kind of device.
        SimulationError: one that this machine or this build of torch does not have.
    """
    try:
        chosen = torch.device(device)
    except RuntimeError as error:
        raise UnknownNameError("device", str(device), ["cpu", "cuda", "cuda:0", "mps"]) from error
    try:
        torch.empty(0, device=chosen)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        raise SimulationError(
            f"device '{chosen}': this machine or this build of torch does not have it ({str(error).splitlines()[0]}); "
            f"use device='cpu'"
        ) from error
    return chosen


def images_as(images: Tensor, shape: Shape, device: torch.device, dtype: torch.dtype) -> Tensor:
    """``images``, ``(batch, *shape)``, as the numbers that the input population shows; uint8 becomes 0 to 1.

    Numbers are not looked at, because that would wait for the device: NaN goes through, and training stops at the
    first loss that is not finite.

    Raises:
        SimulationError: another type, shape or device.
    """
    if not isinstance(images, Tensor):
        raise SimulationError(f"images: expected a torch tensor, got {type(images).__name__}; use torch.as_tensor")
    if tuple(images.shape[1:]) != shape or len(images) == 0:
        raise SimulationError(
            f"images: expected the shape (batch, {', '.join(map(str, shape))}) with at least one "
            f"image, got {tuple(images.shape)}"
        )
    _refuse_elsewhere("images", images, device)
    if images.dtype == torch.uint8:
        return to_unit_range(images, dtype)
    if not images.is_floating_point():
        raise SimulationError(f"images: expected uint8 (0 to 255) or floating point numbers, got {images.dtype}")
    return images.detach().to(dtype)


def codewords_for(labels: Tensor, batch: int, codewords: Tensor) -> Tensor:
    """The codeword ``(batch, length)`` of every label.

    Raises:
        SimulationError: another type, shape or device, or a class that has no codeword.
    """
    if not isinstance(labels, Tensor):
        raise SimulationError(f"labels: expected a torch tensor, got {type(labels).__name__}; use torch.as_tensor")
    if tuple(labels.shape) != (batch,) or labels.dtype not in _INTEGERS:
        raise SimulationError(
            f"labels: expected one integer class per image, shape ({batch},), got {tuple(labels.shape)} of "
            f"{labels.dtype}"
        )
    _refuse_elsewhere("labels", labels, codewords.device)
    try:
        return codewords.index_select(0, labels.long())
    except IndexError as error:  # the cpu notices; on cuda a device-side assertion stops the program
        raise SimulationError(
            f"labels: expected classes 0 to {len(codewords) - 1}; some label is out of range"
        ) from error


def _refuse_elsewhere(what: str, tensor: Tensor, device: torch.device) -> None:
    if tensor.device.type != device.type:
        raise SimulationError(
            f"{what} are on {tensor.device}, the simulator is on {device}; move them with .to('{device}')"
        )
