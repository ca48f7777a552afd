"""The layers of the baseline: vector units in plain torch modules, for autograd.

Written as one who knows torch would write them: the components of the first layer folded into the output channels of
one matrix product or convolution, shared weights applied to all components at once, gates outside the graph.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from attrs import frozen
from torch import Tensor, nn

from neurosim import Connectivity, Conv2d, Local2d


@frozen
class Described:
    """One population and the group into it.

    Attributes:
        connectivity: of the group.
        weight_shape: in the simulator, ``(K, *weight)`` in the first layer, else ``(*weight)``.
        bias_shape: in the simulator, ``(K, *units)``, per channel ``(K, channels)``.
        first: the group comes from the images.
        pooled: average pooling by 2 follows the gate.
        after_space: a dense layer on a spatial one.
    """

    connectivity: Connectivity
    weight_shape: tuple[int, ...]
    bias_shape: tuple[int, ...]
    first: bool
    pooled: bool
    after_space: bool


class Layer(nn.Module):
    """Drive, bias and gate of one population, and average pooling where it follows.

    Images come as ``(batch, *inputs)``, activity is ``(batch, K, *units)``. A subclass says how its parameters lie in
    memory, how to give their gradients back in the simulator's shapes, and how it computes.

    Args:
        described: what it is.
        weight, bias: as in the simulator; copied.
        t: the sign gate's vectors ``(K, channels)``; None where the population is linear.
    """

    def __init__(self, described: Described, weight: Tensor, bias: Tensor, t: Tensor | None) -> None:
        super().__init__()
        self.described, self.components = described, bias.shape[0]
        weight = weight.flatten(0, 1) if described.first else weight
        self.weight = nn.Parameter(self.pack(weight.clone(memory_format=torch.contiguous_format)))
        self.bias = nn.Parameter(self.pack_bias(bias.clone()))
        self.t: Tensor | None
        self.register_buffer("t", None if t is None else self.pack_t(t.clone()))

    def pack(self, weight: Tensor) -> Tensor:
        """The parameter from ``(channels, *rest)``, where the first layer's components are channels."""
        return weight

    def unpack(self, gradient: Tensor) -> Tensor:
        return gradient.reshape(self.described.weight_shape)

    def pack_bias(self, bias: Tensor) -> Tensor:
        """The parameter, which broadcasts to the activity."""
        return bias

    def unpack_bias(self, gradient: Tensor) -> Tensor:
        return gradient.reshape(self.described.bias_shape)

    def pack_t(self, t: Tensor) -> Tensor:
        return t

    def gated(self, h: Tensor, component_axis: int = 1) -> Tensor:
        """``G(h) h`` (Eqs. 7, 8); G is piecewise constant and stays out of the graph."""
        if self.t is None:
            return h
        with torch.no_grad():
            gate = ((self.t * h).sum(component_axis, keepdim=True) >= 0).to(h.dtype)
        return h * gate


class DenseLayer(Layer):
    """All to all; the first layer's bias is part of its matrix product."""

    def pack(self, weight: Tensor) -> Tensor:
        return weight.flatten(1)

    def pack_bias(self, bias: Tensor) -> Tensor:
        return bias.flatten() if self.described.first else bias

    def forward(self, a: Tensor) -> Tensor:
        if self.described.first:
            h = F.linear(a.flatten(1), self.weight, self.bias).unflatten(1, (self.components, -1))
        else:
            h = F.linear(a.flatten(2), self.weight) + self.bias
        return self.gated(h)


class ImageLayer(Layer):
    """A spatial layer in torch's own order of axes; a subclass gives the drive."""

    def pack_bias(self, bias: Tensor) -> Tensor:
        return bias.reshape(*bias.shape, *[1] * (4 - bias.ndim))

    def pack_t(self, t: Tensor) -> Tensor:
        return t[:, :, None, None]

    def drive(self, images: Tensor) -> Tensor:
        """``(N, channels, height, width)`` of ``(N, pre channels, height, width)``, without the bias."""
        raise NotImplementedError

    def forward(self, a: Tensor) -> Tensor:
        if self.described.first:
            h = self.drive(a).unflatten(1, (self.components, -1))
        else:
            h = self.drive(a.flatten(0, 1)).unflatten(0, (-1, self.components))
        a = self.gated(h + self.bias)
        if self.described.pooled:
            a = F.avg_pool2d(a.flatten(0, 1), 2).unflatten(0, (-1, self.components))
        return a


class ConvLayer(ImageLayer):
    """Convolution."""

    def drive(self, images: Tensor) -> Tensor:
        maps = self.described.connectivity
        assert isinstance(maps, Conv2d)
        return F.conv2d(images, self.weight, stride=maps.stride, padding=maps.padding)


class ChannelsLastConvLayer(ConvLayer):
    """Convolution in channels-last memory, past the first layer, whose one or three channels gain nothing."""

    def pack(self, weight: Tensor) -> Tensor:
        return weight if self.described.first else weight.contiguous(memory_format=torch.channels_last)

    def drive(self, images: Tensor) -> Tensor:
        first = self.described.first
        return super().drive(images if first else images.contiguous(memory_format=torch.channels_last))


class LocalLayer(ImageLayer):
    """Local connection: ``F.unfold``, then ``einsum`` with weights ``(channels, positions, fan-in)``."""

    def pack(self, weight: Tensor) -> Tensor:
        return weight.flatten(3).flatten(1, 2)

    def patches(self, images: Tensor) -> Tensor:
        """``(N, fan-in, positions)``."""
        maps = self.described.connectivity
        assert isinstance(maps, Local2d)
        return F.unfold(images, maps.kernel, stride=maps.stride, padding=maps.padding)

    def drive(self, images: Tensor) -> Tensor:
        return self.placed(torch.einsum("clf,nfl->ncl", self.weight, self.patches(images)))

    def placed(self, drive: Tensor) -> Tensor:
        """``(N, channels, positions)`` with its positions as height and width."""
        return drive.view(*drive.shape[:2], *self.described.weight_shape[-5:-3])


class BmmLocalLayer(LocalLayer):
    """Local connection: ``F.unfold``, then a matrix product per position, weights ``(positions, fan-in, channels)``."""

    def pack(self, weight: Tensor) -> Tensor:
        return weight.flatten(3).flatten(1, 2).permute(1, 2, 0).contiguous()

    def unpack(self, gradient: Tensor) -> Tensor:
        return super().unpack(gradient.permute(2, 0, 1))

    def drive(self, images: Tensor) -> Tensor:
        drive = torch.bmm(self.patches(images).permute(2, 0, 1), self.weight)  # (positions, N, channels)
        return self.placed(drive.permute(1, 2, 0))


class PositionsFirstLocalLayer(Layer):
    """Local connection with all activity as ``(height, width, batch, K, channels)``, so that little is transposed.

    One step further than the others: windows of a padded view are runs of channels in memory, and one ``bmm`` over the
    positions does the rest.
    """

    def pack(self, weight: Tensor) -> Tensor:
        by_position = weight.permute(1, 2, 4, 5, 3, 0)  # (height, width, kernel, kernel, pre channels, channels)
        return by_position.flatten(2, 4).flatten(0, 1).contiguous()

    def unpack(self, gradient: Tensor) -> Tensor:
        *_, height, width, pre, rows, columns = self.described.weight_shape
        by_position = gradient.unflatten(1, (rows, columns, pre)).unflatten(0, (height, width))
        return super().unpack(by_position.permute(5, 0, 1, 4, 2, 3))

    def pack_bias(self, bias: Tensor) -> Tensor:
        return bias.permute(2, 3, 0, 1).unsqueeze(2).contiguous()

    def unpack_bias(self, gradient: Tensor) -> Tensor:
        return gradient.squeeze(2).permute(2, 3, 0, 1)

    def forward(self, a: Tensor) -> Tensor:
        described, maps = self.described, self.described.connectivity
        assert isinstance(maps, Local2d)
        a = a.permute(2, 3, 0, 1) if described.first else a.flatten(2, 3)
        (top, left), (down, right), (rows, columns) = maps.padding, maps.stride, maps.kernel
        a = F.pad(a, (0, 0, 0, 0, left, left, top, top)) if top or left else a
        windows = a.unfold(0, rows, down).unfold(1, columns, right).permute(0, 1, 2, 4, 5, 3)
        h = torch.bmm(windows.flatten(3).flatten(0, 1), self.weight)  # (positions, N, channels)
        h = h.view(*windows.shape[:2], -1, self.components, described.bias_shape[1])
        a = self.gated(h + self.bias, component_axis=-2)
        return a.unflatten(0, (-1, 2)).unflatten(2, (-1, 2)).mean((1, 3)) if described.pooled else a


class DenseAfterPositions(DenseLayer):
    """A dense layer on activity that has its positions first."""

    def forward(self, a: Tensor) -> Tensor:
        return super().forward(a.permute(2, 3, 4, 0, 1) if self.described.after_space else a)
