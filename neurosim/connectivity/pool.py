"""Average pooling, the connectivity of relays: no weights, nothing to learn."""

from __future__ import annotations

from itertools import product
from typing import ClassVar

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
    empty_in_order_of,
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
        if a.is_contiguous() and a.device.type != "cpu":
            pooled = F.avg_pool2d(a.flatten(0, -4), self.kernel, self._step)
            unfolded: Tensor = pooled.unflatten(0, a.shape[:-3])
            return unfolded
        # Sums of shifted views, rows first: on the cpu more than three times faster than torch's pooling of contiguous
        # images, and they keep whatever memory order the activity has.
        (height, width), (down, right) = self.post_shape(pre, None)[1:], self._step
        by_row = _sum([a[..., y : y + down * (height - 1) + 1 : down, :] for y in range(self.kernel[0])])
        total = _sum([by_row[..., x : x + right * (width - 1) + 1 : right] for x in range(self.kernel[1])])
        return total.div_(self.fan_in(pre)) if self.fan_in(pre) > 1 else total.clone()

    def transpose(
        self, weight: Tensor | None, d: Float[Tensor, "*lead channels height width"], pre: Shape
    ) -> Float[Tensor, "*lead c h w"]:
        share = d / self.fan_in(pre)
        signal = empty_in_order_of(d, (*d.shape[:-3], *pre)).zero_()  # what multiplies it next has that order too
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


def _sum(parts: list[Tensor]) -> Tensor:
    """The sum of views; the view itself where there is one."""
    total = parts[0]
    for number, part in enumerate(parts[1:]):
        total = total + part if number == 0 else total.add_(part)
    return total
