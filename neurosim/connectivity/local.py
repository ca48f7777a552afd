"""Local connection: the receptive fields of a convolution, each with weights of its own."""

from __future__ import annotations

from itertools import product

import torch
from attrs import frozen
from jaxtyping import Float
from torch import Tensor

from neurosim.connectivity.base import Shape
from neurosim.connectivity.sliding import _SlidingWindow


@frozen
class Local2d(_SlidingWindow):
    """Receptive fields as in :class:`Conv2d`, weights ``(channels, height, width, pre_channels, kernel, kernel)``.

    In memory the positions come first, so that all positions are one batched matrix product; activity made by a
    local connection keeps that order (strides are free, shapes are not).

    Example:
        >>> Local2d(3, padding=1).weight_shape((1, 28, 28), (32, 28, 28))
        (32, 28, 28, 1, 3, 3)
    """

    def weight_shape(self, pre: Shape, post: Shape) -> Shape:
        return (*post, pre[0], *self.kernel)

    def pre_axis(self, post: Shape) -> int:
        return 3

    def arrange(self, weight: Tensor) -> Tensor:
        return weight.permute(1, 2, 0, 3, 4, 5).contiguous().permute(2, 0, 1, 3, 4, 5)

    def forward(
        self, weight: Tensor | None, a: Float[Tensor, "*lead c h w"], pre: Shape
    ) -> Float[Tensor, "*lead channels height width"]:
        assert weight is not None
        height, width = self._extent(pre)
        patches, order = self._patches(a, pre)
        drive = torch.bmm(_by_position(weight), patches.flatten(2))  # (positions, channels, lead)
        return _positions_last(drive.view(height, width, -1, *patches.shape[2:]), order)

    def transpose(
        self, weight: Tensor | None, d: Float[Tensor, "*lead channels height width"], pre: Shape
    ) -> Float[Tensor, "*lead c h w"]:
        assert weight is not None
        height, width = self._extent(pre)
        moved, order = _positions_first(d)
        lead = moved.shape[3:]
        by_position = moved.reshape(height * width, d.shape[-3], -1)
        patches = torch.bmm(_by_position(weight).transpose(1, 2), by_position)
        patches = patches.view(height, width, pre[0], *self.kernel, *lead)
        (top, left), (down, right) = self.padding, self.stride
        padded = torch.zeros(pre[1] + 2 * top, pre[2] + 2 * left, pre[0], *lead, dtype=d.dtype, device=d.device)
        for y, x in product(range(self.kernel[0]), range(self.kernel[1])):
            rows = slice(y, y + down * (height - 1) + 1, down)
            columns = slice(x, x + right * (width - 1) + 1, right)
            padded[rows, columns] += patches[:, :, :, y, x]
        return _positions_last(padded[top : top + pre[1], left : left + pre[2]], order)

    def correlate(
        self,
        post: Float[Tensor, "*lead channels height width"],
        pre: Float[Tensor, "*lead c h w"],
        pre_shape: Shape,
        out: Tensor | None = None,
    ) -> Tensor:
        height, width = self._extent(pre_shape)
        patches, order = self._patches(pre, pre_shape)
        moved = post.permute(-2, -1, -3, *order).reshape(height * width, post.shape[-3], -1)
        by_position = patches.flatten(2).transpose(1, 2)
        if out is not None and out.permute(1, 2, 0, 3, 4, 5).is_contiguous():  # then it can be seen by position
            torch.bmm(moved, by_position, out=_by_position(out))
            return out
        update = torch.bmm(moved, by_position)
        return update.view(height, width, -1, pre_shape[0], *self.kernel).permute(2, 0, 1, 3, 4, 5)

    def correlate_modulated(
        self,
        post: Float[Tensor, "batch channels height width"],
        pre: Float[Tensor, "batch c h w"],
        modulator: Float[Tensor, "batch K"],
        pre_shape: Shape,
        out: Tensor | None = None,
    ) -> Float[Tensor, "K channels ..."]:
        # One component at a time, the modulator on the smaller factor: folding all K into the channels would write
        # K activations' worth of memory first.
        height, width = self._extent(pre_shape)
        patches, _ = self._patches(pre, pre_shape)
        fields = patches.transpose(1, 2)  # (positions, batch, fan_in)
        moved = post.permute(2, 3, 1, 0).reshape(height * width, post.shape[1], -1)
        updates = []
        for m in modulator.unbind(1):
            if moved.shape[1] <= patches.shape[1]:
                updates.append(torch.bmm(moved * m, fields))
            else:
                updates.append(torch.bmm(moved, (patches * m).transpose(1, 2)))
        size = (height, width, modulator.shape[1], post.shape[1], pre_shape[0], *self.kernel)
        return torch.stack(updates, dim=1).view(size).permute(2, 3, 0, 1, 4, 5, 6)

    def _patches(self, a: Tensor, pre: Shape) -> tuple[Tensor, list[int]]:
        """Receptive fields ``(positions, fan_in, *lead)`` and the order in which the leading axes come."""
        moved, order = _positions_first(a)
        top, left = self.padding
        if top or left:
            size = (pre[1] + 2 * top, pre[2] + 2 * left, *moved.shape[2:])
            padded = torch.zeros(size, dtype=a.dtype, device=a.device)
            padded[top : top + pre[1], left : left + pre[2]] = moved
            moved = padded
        windows = moved.unfold(0, self.kernel[0], self.stride[0]).unfold(1, self.kernel[1], self.stride[1])
        lead = range(3, windows.ndim - 2)
        fields = windows.permute(0, 1, 2, -2, -1, *lead)
        return fields.reshape(-1, self.fan_in(pre), *windows.shape[3:-2]), order


def _by_position(weight: Tensor) -> Tensor:
    """``(positions, channels, fan_in)``; a view when the weight was arranged."""
    return weight.permute(1, 2, 0, 3, 4, 5).flatten(3).flatten(0, 1)


def _positions_first(a: Tensor) -> tuple[Tensor, list[int]]:
    """``(height, width, channels, *lead)``, the leading axes from the largest stride to the smallest."""
    order = sorted(range(a.ndim - 3), key=a.stride, reverse=True)
    return a.permute(-2, -1, -3, *order), order


def _positions_last(a: Tensor, order: list[int]) -> Tensor:
    """Undo :func:`_positions_first`: a view ``(*lead, channels, height, width)``."""
    back = sorted(range(len(order)), key=lambda place: order[place])
    return a.permute(*[3 + place for place in back], 2, 0, 1)
