"""Average pooling, the connectivity of relays: no weights, nothing to learn."""

from __future__ import annotations

from itertools import product
from typing import ClassVar

import torch
import torch.nn.functional as F
from attrs import field, frozen
from jaxtyping import Float
from torch import Tensor

from neurosim.connectivity.base import (
    Connectivity,
    Extent,
    Shape,
    as_kernel,
    as_stride,
    check_image_shape,
    sliding_extent,
)
from neurosim.errors import CircuitError


def _stride_or_none(value: Extent | None) -> tuple[int, int] | None:
    return None if value is None else as_stride(value)


@frozen
class AvgPool(Connectivity):
    """Mean over windows of ``kernel``, one step every ``stride`` (default: the kernel); incomplete windows are dropped.

    Example:
        >>> AvgPool(2).post_shape((64, 28, 28), None)
        (64, 14, 14)
    """

    has_weights: ClassVar[bool] = False
    kernel: tuple[int, int] = field(converter=as_kernel)
    stride: tuple[int, int] | None = field(default=None, converter=_stride_or_none)

    @property
    def _step(self) -> tuple[int, int]:
        return self.stride or self.kernel

    def post_shape(self, pre: Shape, channels: int | None) -> Shape:
        check_image_shape(self, pre)
        if channels not in (None, pre[0]):
            raise CircuitError(f"{self} keeps the {pre[0]} presynaptic channels, got a population of {channels}")
        return (pre[0], *sliding_extent(self, pre[1:], self.kernel, self._step, (0, 0)))

    def fan_in(self, pre: Shape) -> int:
        return self.kernel[0] * self.kernel[1]

    def forward(
        self, weight: Tensor | None, a: Float[Tensor, "*lead c h w"], pre: Shape
    ) -> Float[Tensor, "*lead channels height width"]:
        if a.is_contiguous():
            pooled = F.avg_pool2d(a.flatten(0, -4), self.kernel, self._step)
            unfolded: Tensor = pooled.unflatten(0, a.shape[:-3])
            return unfolded
        # a sum of shifted views keeps whatever memory order the activity has
        total: Tensor | None = None
        for rows, columns in self._windows(pre):
            part = a[..., rows, columns]
            total = part.clone() if total is None else total.add_(part)
        assert total is not None
        return total.div_(self.fan_in(pre))

    def transpose(
        self, weight: Tensor | None, d: Float[Tensor, "*lead channels height width"], pre: Shape
    ) -> Float[Tensor, "*lead c h w"]:
        share = d / self.fan_in(pre)
        signal = torch.zeros(*d.shape[:-3], *pre, dtype=d.dtype, device=d.device)
        for rows, columns in self._windows(pre):
            signal[..., rows, columns] += share
        return signal

    def _windows(self, pre: Shape) -> list[tuple[slice, slice]]:
        """For every place inside the window: the presynaptic units at that place, over all windows."""
        height, width = self.post_shape(pre, None)[1:]
        (down, right), (rows, columns) = self._step, self.kernel
        return [
            (slice(y, y + down * (height - 1) + 1, down), slice(x, x + right * (width - 1) + 1, right))
            for y, x in product(range(rows), range(columns))
        ]
