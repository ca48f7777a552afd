"""The contract of a connectivity: three linear maps, two of which follow from the first."""

from __future__ import annotations

import math
from typing import Any, ClassVar

import torch
from torch import Tensor

from neurosim.description import Description
from neurosim.errors import CircuitError

Shape = tuple[int, ...]


class Connectivity(Description):
    """Who connects to whom, as the linear map from presynaptic activity to postsynaptic drive.

    A subclass is a frozen attrs class that defines five methods: which shapes it makes (:meth:`post_shape`,
    :meth:`weight_shape`), what initializers ask for (:meth:`fan_in`, :meth:`pre_axis`), and :meth:`forward`, which maps
    activity. :meth:`transpose` and :meth:`correlate` follow from :meth:`forward` by ``torch.func.vjp``; override them
    for speed. All three satisfy

        <forward(w, x), y> = <x, transpose(w, y)> = <w, correlate(y, x)>.

    Signals have one or more leading batch axes: presynaptic ``(*lead, *pre)``, postsynaptic ``(*lead, *post)``.
    The postsynaptic channel (``post[0]``) is the first axis of the weight, so that the components of vector units
    can be folded into it; a connectivity never needs to know about components.
    """

    kind: ClassVar[str] = "connectivity"
    #: a relay has no weights; its maps get ``None``
    has_weights: ClassVar[bool] = True

    def post_shape(self, pre: Shape, channels: int | None) -> Shape:
        """Shape of the postsynaptic population that ``channels`` channels make from ``pre``."""
        raise NotImplementedError(f"{type(self).__name__} must define post_shape(pre, channels)")

    def weight_shape(self, pre: Shape, post: Shape) -> Shape:
        """Shape of the weight; its first axis is ``post[0]``."""
        raise NotImplementedError(f"{type(self).__name__} must define weight_shape(pre, post)")

    def fan_in(self, pre: Shape) -> int:
        """Number of presynaptic units that reach one postsynaptic unit."""
        raise NotImplementedError(f"{type(self).__name__} must define fan_in(pre)")

    def pre_axis(self, post: Shape) -> int:
        """The axis of the weight that runs over presynaptic channels, for ON/OFF pairs."""
        raise NotImplementedError(f"{type(self).__name__} must define pre_axis(post)")

    def arrange(self, weight: Tensor) -> Tensor:
        """The same values in the memory order that the maps run fastest on."""
        return weight.contiguous()

    def forward(self, weight: Tensor | None, a: Tensor, pre: Shape) -> Tensor:
        """Drive ``(*lead, *post)`` from presynaptic activity ``a`` ``(*lead, *pre)``."""
        raise NotImplementedError(f"{type(self).__name__} must define forward(weight, a, pre)")

    def transpose(self, weight: Tensor | None, d: Tensor, pre: Shape) -> Tensor:
        """Presynaptic signal ``(*lead, *pre)`` from a postsynaptic one ``d`` ``(*lead, *post)``."""
        channels = weight.shape[0] if weight is not None else None
        lead = d.shape[: d.ndim - len(self.post_shape(pre, channels))]
        zeros = torch.zeros(*lead, *pre, dtype=d.dtype, device=d.device)
        _, pull, *_ = torch.func.vjp(lambda a: self.forward(weight, a, pre), zeros)
        signal: Tensor = pull(d)[0]
        return signal

    def correlate(self, post: Tensor, pre: Tensor, pre_shape: Shape, out: Tensor | None = None) -> Tensor:
        """Sum over all leading axes of ``post`` times ``pre``, in the shape of the weight.

        Args:
            post: ``(*lead, *post)``, the postsynaptic factor of the plasticity.
            pre: ``(*lead, *pre)``, the presynaptic factor.
            pre_shape: the presynaptic shape.
            out: where to write the result; an implementation may ignore it and return a new tensor.
        """
        post_shape = tuple(post.shape[pre.ndim - len(pre_shape) :])
        zeros = torch.zeros(self.weight_shape(pre_shape, post_shape), dtype=post.dtype, device=post.device)
        _, pull, *_ = torch.func.vjp(lambda w: self.forward(w, pre, pre_shape), zeros)
        update: Tensor = pull(post)[0]
        return update

    def correlate_modulated(
        self, post: Tensor, pre: Tensor, modulator: Tensor, pre_shape: Shape, out: Tensor | None = None
    ) -> Tensor:
        """``sum_b modulator[b, mu] post[b] pre[b]`` for every mu, in the shape ``(K, *weight)``.

        The three-factor update of synapses from scalar units onto vector units. By default mu is folded into the
        postsynaptic channels of one :meth:`correlate`.

        Args:
            post: ``(batch, *post)``.
            pre: ``(batch, *pre)``.
            modulator: ``(batch, K)``.
            pre_shape: the presynaptic shape.
            out: where to write the result; an implementation may ignore it and return a new tensor.
        """
        components = modulator.shape[1]
        factor = modulator.reshape(*modulator.shape, *[1] * (post.ndim - 1))
        folded = (factor * post.unsqueeze(1)).flatten(1, 2)
        out_folded = folded_view(out) if out is not None else None
        update = self.correlate(folded, pre, pre_shape, out=out_folded)
        if out is not None and update is out_folded:
            return out
        unfolded: Tensor = update.unflatten(0, (components, -1))
        return unfolded

    def accumulate(self, post: Tensor, pre: Tensor, pre_shape: Shape, total: Tensor, fresh: bool) -> None:
        """Add :meth:`correlate` to ``total`` in place; where ``fresh``, ``total`` holds nothing yet and is overwritten.

        Override it to spare a second tensor of the size of the weight.
        """
        accumulated(self.correlate(post, pre, pre_shape), total, fresh)

    def accumulate_modulated(
        self, post: Tensor, pre: Tensor, modulator: Tensor, pre_shape: Shape, total: Tensor, fresh: bool
    ) -> None:
        """Add :meth:`correlate_modulated` to ``total`` ``(K, *weight)``, by default one component after the other."""
        for m, part in zip(modulator.unbind(1), total.unbind(0), strict=True):
            self.accumulate(post * m.view(-1, *[1] * (post.ndim - 1)), pre, pre_shape, part, fresh)


def accumulated(update: Tensor, total: Tensor, fresh: bool) -> None:
    """Add ``update`` to ``total``, or put it there."""
    if fresh:
        total.copy_(update)
    else:
        total.add_(update)


def folded_view(tensor: Tensor) -> Tensor | None:
    """The first two axes as one, in the same memory; None where that needs a copy."""
    outer, inner = tensor.shape[:2]
    if outer > 1 and inner > 1 and tensor.stride(0) != inner * tensor.stride(1):
        return None
    return tensor.view(outer * inner, *tensor.shape[2:])


def empty_in_order_of(tensor: Tensor, shape: Shape) -> Tensor:
    """An empty tensor of ``shape`` whose axes have the memory order of those of ``tensor``.

    Example:
        >>> empty_in_order_of(torch.zeros(2, 3, device="cpu").t(), (4, 5)).stride()
        (1, 4)
    """
    order = sorted(range(tensor.ndim), key=tensor.stride, reverse=True)
    back = [order.index(axis) for axis in range(len(order))]
    return tensor.new_empty([shape[axis] for axis in order]).permute(back)


def check_image_shape(what: Connectivity, pre: Shape) -> None:
    """Raise unless ``pre`` is ``(channels, height, width)``."""
    if len(pre) != 3:
        raise CircuitError(
            f"{what} needs a presynaptic population of shape (channels, height, width), got {pre}; "
            f"use Dense() for populations without space"
        )


Extent = int | tuple[int, int]


def as_kernel(value: Extent) -> tuple[int, int]:
    """Side of a receptive field as (height, width)."""
    return _pair("kernel", value, least=1)


def as_stride(value: Extent) -> tuple[int, int]:
    """Step between receptive fields as (down, right)."""
    return _pair("stride", value, least=1)


def as_padding(value: Extent) -> tuple[int, int]:
    """Zeros around a population as (above and below, left and right)."""
    return _pair("padding", value, least=0)


def _pair(name: str, value: Extent, least: int) -> tuple[int, int]:
    both: tuple[Any, ...] = tuple(value) if isinstance(value, tuple | list) else (value, value)
    if len(both) != 2 or not all(type(v) is int and v >= least for v in both):
        raise CircuitError(f"{name} must be an integer >= {least}, or (height, width) of such; got {value!r}")
    return both[0], both[1]


def sliding_extent(what: object, size: Shape, kernel: Shape, stride: Shape, padding: Shape) -> tuple[int, int]:
    """Number of window positions along height and width."""
    extent = [(n + 2 * p - k) // s + 1 for n, k, s, p in zip(size, kernel, stride, padding, strict=True)]
    if min(extent) < 1:
        raise CircuitError(f"{what}: its kernel does not fit into the presynaptic {size[0]} x {size[1]} even once")
    return extent[0], extent[1]


def count(shape: Shape) -> int:
    """Number of units in a shape."""
    return math.prod(shape)
