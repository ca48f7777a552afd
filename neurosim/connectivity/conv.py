"""Convolution: receptive fields that slide over space and share their weights."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from attrs import frozen
from jaxtyping import Float
from torch import Tensor
from torch.nn.grad import conv2d_input, conv2d_weight

from neurosim.connectivity.base import Shape, accumulated
from neurosim.connectivity.sliding import _SlidingWindow

#: below this many presynaptic channels, channels-last memory costs more than it brings
_CHANNELS_LAST_FROM = 8
#: from as many postsynaptic channels per presynaptic unit of a field, writing all fields to memory pays on the cpu
_CHANNELS_PER_INPUT = 4


@frozen
class Conv2d(_SlidingWindow):
    """Convolution with weights ``(channels, pre_channels, kernel, kernel)``, shared over positions.

    Args:
        kernel: side of the receptive field, or (height, width).
        stride: step between neighbouring receptive fields.
        padding: zeros around the presynaptic population.

    Example:
        >>> Conv2d(3, padding=1).post_shape((1, 28, 28), 64)
        (64, 28, 28)
    """

    def weight_shape(self, pre: Shape, post: Shape) -> Shape:
        return (post[0], pre[0], *self.kernel)

    def pre_axis(self, post: Shape) -> int:
        return 1

    def arrange(self, weight: Tensor) -> Tensor:
        if weight.shape[1] < _CHANNELS_LAST_FROM:
            return weight.contiguous()
        return weight.contiguous(memory_format=torch.channels_last)

    def forward(
        self, weight: Tensor | None, a: Float[Tensor, "*lead c h w"], pre: Shape
    ) -> Float[Tensor, "*lead channels height width"]:
        assert weight is not None
        small = pre[0] < _CHANNELS_LAST_FROM and _CHANNELS_PER_INPUT * self.fan_in(pre) <= weight.shape[0]
        if small and a.device.type == "cpu":
            # one matrix product an image is up to five times faster here than the cpu's convolution
            patches = F.unfold(a.reshape(-1, *pre), self.kernel, stride=self.stride, padding=self.padding)
            drive = torch.matmul(weight.flatten(1), patches).unflatten(2, self.post_shape(pre, weight.shape[0])[1:])
        else:
            drive = F.conv2d(_images(a, pre), weight, stride=self.stride, padding=self.padding)
        unfolded: Tensor = drive.unflatten(0, a.shape[:-3])
        return unfolded

    def transpose(
        self, weight: Tensor | None, d: Float[Tensor, "*lead channels height width"], pre: Shape
    ) -> Float[Tensor, "*lead c h w"]:
        assert weight is not None
        images = d.flatten(0, -4)
        size = (images.shape[0], *pre)
        signal = conv2d_input(size, weight, images, stride=self.stride, padding=self.padding)
        unfolded: Tensor = signal.unflatten(0, d.shape[:-3])
        return unfolded

    def correlate(
        self,
        post: Float[Tensor, "*lead channels height width"],
        pre: Float[Tensor, "*lead c h w"],
        pre_shape: Shape,
        out: Tensor | None = None,
    ) -> Tensor:
        size = (post.shape[-3], pre_shape[0], *self.kernel)
        images = _images(pre, pre_shape)
        update: Tensor = conv2d_weight(images, size, post.flatten(0, -4), stride=self.stride, padding=self.padding)
        return update

    def correlate_modulated(
        self,
        post: Float[Tensor, "batch channels height width"],
        pre: Float[Tensor, "batch c h w"],
        modulator: Float[Tensor, "batch K"],
        pre_shape: Shape,
        out: Tensor | None = None,
    ) -> Float[Tensor, "K channels ..."]:
        each = self._by_example(post, pre)
        if out is not None and out.is_contiguous():
            torch.mm(modulator.t(), each, out=out.view(out.shape[0], -1))
            return out
        update = modulator.t() @ each
        return update.reshape(modulator.shape[1], post.shape[1], pre_shape[0], *self.kernel)

    def accumulate_modulated(
        self,
        post: Float[Tensor, "batch channels height width"],
        pre: Float[Tensor, "batch c h w"],
        modulator: Float[Tensor, "batch K"],
        pre_shape: Shape,
        total: Tensor,
        fresh: bool,
    ) -> None:
        if total.is_contiguous() and total.dtype == post.dtype:
            total.view(len(total), -1).addmm_(modulator.t(), self._by_example(post, pre), beta=0 if fresh else 1)
        else:
            accumulated(self.correlate_modulated(post, pre, modulator, pre_shape), total, fresh)

    def _by_example(
        self, post: Float[Tensor, "batch channels height width"], pre: Float[Tensor, "batch c h w"]
    ) -> Float[Tensor, "batch weights"]:
        """Every example's correlation.

        The modulator does not depend on position, so positions are summed first, example by example, and the
        K components only afterwards: K times less work than folding the components into the channels.
        """
        patches = F.unfold(pre, self.kernel, padding=self.padding, stride=self.stride)  # (batch, fan_in, positions)
        return torch.bmm(post.flatten(2), patches.transpose(1, 2)).flatten(1)


def _images(a: Tensor, pre: Shape) -> Tensor:
    """All leading axes as one, in the memory order that suits the number of channels."""
    if pre[0] < _CHANNELS_LAST_FROM:
        return a.reshape(-1, *pre)
    return a.movedim(-3, -1).reshape(-1, *pre[1:], pre[0]).movedim(-1, 1)  # one copy at most, whatever the order
