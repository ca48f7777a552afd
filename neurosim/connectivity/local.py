"""Local connection: the receptive fields of a convolution, each with weights of its own."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from attrs import frozen
from jaxtyping import Float
from torch import Tensor

from neurosim.connectivity.base import Shape, accumulated
from neurosim.connectivity.sliding import _SlidingWindow

#: positions first; the fan-in as (kernel row, kernel column, channel): a kernel row is one piece of memory
_BY_POSITION, _FROM_POSITION = (1, 2, 0, 4, 5, 3), (2, 0, 1, 5, 3, 4)
#: A modulated update takes as many components at once as make a factor of about this many bytes: few products, and
#: memory is reused instead of being asked of the system again (the allocator keeps blocks up to 32 MiB).
_MODULATED_BYTES = 16 * 2**20


@frozen
class Local2d(_SlidingWindow):
    """Receptive fields as in :class:`Conv2d`, weights ``(channels, height, width, pre_channels, kernel, kernel)``.

    In memory the positions come first, so that all positions are one batched matrix product (one a kernel row, see
    :meth:`_fields`); activity made by a local connection keeps that order (strides are free, shapes are not).

    Example:
        >>> Local2d(3, padding=1).weight_shape((1, 28, 28), (32, 28, 28))
        (32, 28, 28, 1, 3, 3)
    """

    def weight_shape(self, pre: Shape, post: Shape) -> Shape:
        return (*post, pre[0], *self.kernel)

    def pre_axis(self, post: Shape) -> int:
        return 3

    def arrange(self, weight: Tensor) -> Tensor:
        return weight.permute(_BY_POSITION).contiguous().permute(_FROM_POSITION)

    def forward(
        self, weight: Tensor | None, a: Float[Tensor, "*lead c h w"], pre: Shape
    ) -> Float[Tensor, "*lead channels height width"]:
        assert weight is not None
        height, width = self._extent(pre)
        # A product a kernel row copies less of the activity, one product for all rows writes the drive only once.
        by_row = weight.shape[0] * self.kernel[0] <= self.fan_in(pre)
        parts, lead, order = self._fields(a, pre, by_row)
        first, *others = zip(_by_position(weight).split(parts[0].shape[1], dim=2), parts, strict=True)
        drive = torch.bmm(*first)  # (positions, channels, lead)
        for kernels, fields in others:
            drive.baddbmm_(kernels, fields)
        return _positions_last(drive.view(height, width, -1, *lead), order)

    def transpose(
        self, weight: Tensor | None, d: Float[Tensor, "*lead channels height width"], pre: Shape
    ) -> Float[Tensor, "*lead c h w"]:
        assert weight is not None
        height, width = self._extent(pre)
        moved, order = _positions_first(d)
        lead = moved.shape[3:]
        by_position = moved.reshape(height * width, d.shape[-3], -1)
        (top, left), (down, right) = self.padding, self.stride
        padded = torch.zeros(pre[1] + 2 * top, pre[2] + 2 * left, pre[0], *lead, dtype=d.dtype, device=d.device)
        # kernel row by kernel row: a temporary as large as all receptive fields would leave the cache
        for y, kernels in enumerate(_by_position(weight).split(self.kernel[1] * pre[0], dim=2)):
            signal = torch.bmm(kernels.transpose(1, 2), by_position)
            signal = signal.view(height, width, self.kernel[1], pre[0], *lead)
            rows = padded[y : y + down * (height - 1) + 1 : down]
            for x in range(self.kernel[1]):
                rows[:, x : x + right * (width - 1) + 1 : right] += signal[:, :, x]
        return _positions_last(padded[top : top + pre[1], left : left + pre[2]], order)

    def correlate(
        self,
        post: Float[Tensor, "*lead channels height width"],
        pre: Float[Tensor, "*lead c h w"],
        pre_shape: Shape,
        out: Tensor | None = None,
    ) -> Tensor:
        height, width = self._extent(pre_shape)
        parts, _, order = self._fields(pre, pre_shape, by_row=True)
        moved = post.permute(-2, -1, -3, *order).reshape(height * width, post.shape[-3], -1).contiguous()
        if out is None or not out.permute(_BY_POSITION).is_contiguous():  # then it cannot be seen by position
            out = post.new_empty(height, width, post.shape[-3], *self.kernel, pre_shape[0]).permute(_FROM_POSITION)
        for update, fields in zip(_by_position(out).split(parts[0].shape[1], dim=2), parts, strict=True):
            torch.bmm(moved, fields.transpose(1, 2), out=update)
        return out

    def correlate_modulated(
        self,
        post: Float[Tensor, "batch channels height width"],
        pre: Float[Tensor, "batch c h w"],
        modulator: Float[Tensor, "batch K"],
        pre_shape: Shape,
        out: Tensor | None = None,
    ) -> Float[Tensor, "K channels ..."]:
        # Some components at a time, the modulator on the smaller factor: folding all K into the channels would write
        # K activations' worth of memory first.
        (height, width), channels = self._extent(pre_shape), post.shape[1]
        ((fields,), _, _) = self._fields(pre, pre_shape, by_row=False)  # (positions, fan_in, batch)
        moved = post.permute(2, 3, 1, 0).reshape(height * width, channels, -1).contiguous()
        smaller = moved if channels <= fields.shape[1] else fields
        at_once = max(1, _MODULATED_BYTES // max(1, smaller.numel() * smaller.element_size()))
        if out is None:
            out = post.new_empty(modulator.shape[1], *self.weight_shape(pre_shape, tuple(post.shape[1:])))
        target = out.permute(2, 3, 0, 1, 5, 6, 4)  # (height, width, K, channels, kernel row, kernel column, channel)
        for part, m in zip(target.split(at_once, dim=2), modulator.t().contiguous().split(at_once), strict=True):
            factor = (smaller.unsqueeze(1) * m.unsqueeze(1)).flatten(1, 2)  # (positions, components folded, batch)
            if smaller is moved:
                update = torch.bmm(factor, fields.transpose(1, 2)).unflatten(1, (len(m), channels))
            else:
                update = torch.bmm(moved, factor.transpose(1, 2)).unflatten(2, (len(m), -1)).transpose(1, 2)
            part.copy_(update.unflatten(3, (*self.kernel, pre_shape[0])).unflatten(0, (height, width)))
        return out

    def accumulate(
        self,
        post: Float[Tensor, "*lead channels height width"],
        pre: Float[Tensor, "*lead c h w"],
        pre_shape: Shape,
        total: Tensor,
        fresh: bool,
    ) -> None:
        parts, _, order = self._fields(pre, pre_shape, by_row=True)
        moved = post.permute(-2, -1, -3, *order).reshape(len(parts[0]), post.shape[-3], -1).contiguous()
        _accumulate_by_position(moved, parts, total, fresh)

    def accumulate_modulated(
        self,
        post: Float[Tensor, "batch channels height width"],
        pre: Float[Tensor, "batch c h w"],
        modulator: Float[Tensor, "batch K"],
        pre_shape: Shape,
        total: Tensor,
        fresh: bool,
    ) -> None:
        ((fields,), _, _) = self._fields(pre, pre_shape, by_row=False)  # (positions, fan_in, batch)
        moved = post.permute(2, 3, 1, 0).reshape(len(fields), post.shape[1], -1).contiguous()
        for m, part in zip(modulator.unbind(1), total.unbind(0), strict=True):
            if moved.shape[1] <= fields.shape[1]:  # the modulator on the smaller factor
                _accumulate_by_position(moved * m, [fields], part, fresh)
            else:
                _accumulate_by_position(moved, [fields * m], part, fresh)

    def _fields(self, a: Tensor, pre: Shape, by_row: bool) -> tuple[list[Tensor], Shape, list[int]]:
        """Receptive fields ``(positions, fan_in, lead)``, the shape of the leading axes and the order they come in.

        With ``by_row`` one tensor a kernel row: at stride 1 all of them are views of the same memory, because the
        kernel's row y at one position is row y + 1 at the position above. So the activity is copied once a kernel
        column instead of once a place in the kernel.
        """
        moved, order = _positions_first(a)
        lead = tuple(moved.shape[3:])
        (top, left), (rows, columns) = self.padding, self.kernel
        padded = F.pad(moved.flatten(3), (0, 0, 0, 0, left, left, top, top)) if top or left else moved.flatten(3)
        in_row = padded.unfold(1, columns, self.stride[1]).permute(0, 1, 4, 2, 3)
        windows = in_row.flatten(2, 3).contiguous().unfold(0, rows, self.stride[0])
        if by_row:
            return [windows[..., y].flatten(0, 1) for y in range(rows)], lead, order
        return [windows.permute(0, 1, 4, 2, 3).flatten(2, 3).flatten(0, 1)], lead, order


def _accumulate_by_position(post: Tensor, parts: Sequence[Tensor], total: Tensor, fresh: bool) -> None:
    """Add ``sum_b post[p, i, b] fields[p, f, b]`` to ``total``, in place where its memory allows it.

    Args:
        post: ``(positions, channels, lead)``.
        parts: the receptive fields, one tensor or one a kernel row.
        total: ``(channels, height, width, pre_channels, kernel, kernel)``.
    """
    arranged = total.permute(_BY_POSITION)
    if total.dtype == post.dtype and arranged[0, 0].is_contiguous():
        by_position = arranged.view(len(post), post.shape[1], -1)
        for update, fields in zip(by_position.split(parts[0].shape[1], dim=2), parts, strict=True):
            update.baddbmm_(post, fields.transpose(1, 2), beta=0 if fresh else 1)
        return
    rows = torch.cat([torch.bmm(post, fields.transpose(1, 2)) for fields in parts], dim=2)
    accumulated(rows.view(arranged.shape).permute(_FROM_POSITION), total, fresh)


def _by_position(weight: Tensor) -> Tensor:
    """``(positions, channels, fan_in)``; a view when the weight was arranged."""
    return weight.permute(_BY_POSITION).flatten(3).flatten(0, 1)


def _positions_first(a: Tensor) -> tuple[Tensor, list[int]]:
    """``(height, width, channels, *lead)``, the leading axes from the largest stride to the smallest."""
    order = sorted(range(a.ndim - 3), key=a.stride, reverse=True)
    return a.permute(-2, -1, -3, *order), order


def _positions_last(a: Tensor, order: list[int]) -> Tensor:
    """Undo :func:`_positions_first`: a view ``(*lead, channels, height, width)``."""
    back = sorted(range(len(order)), key=lambda place: order[place])
    return a.permute(*[3 + place for place in back], 2, 0, 1)
