"""Images as the network sees them."""

from __future__ import annotations

import torch
from torch import Tensor

from neurosim.errors import DataError


def to_unit_range(images: Tensor, dtype: torch.dtype = torch.float32) -> Tensor:
    """Pixels 0..255 as numbers in [-1, 1]: `(x / 255 - 0.5) / 0.5`, in any shape, on the images' device.

    Computed as `(x - 127.5) / 127.5`: 127.5 and the difference are exact even in bfloat16, so the only rounding is
    the division's, and -1 and 1 are reached exactly.

    Raises:
        DataError: images that are not uint8 (scaled before, perhaps) or a dtype that is not floating point.

    Example:
        >>> to_unit_range(torch.tensor([0, 51, 255], dtype=torch.uint8, device="cpu"))
        tensor([-1.0000, -0.6000,  1.0000])
    """
    if images.dtype != torch.uint8 or not dtype.is_floating_point:
        raise DataError(
            f"to_unit_range: expected uint8 images and a floating-point dtype, found {images.dtype} and {dtype}; "
            "images that are floating-point numbers already were scaled before"
        )
    return images.to(dtype).sub_(127.5).div_(127.5)
