"""All to all."""

from __future__ import annotations

import torch
from attrs import frozen
from jaxtyping import Float
from torch import Tensor

from neurosim.connectivity.base import Connectivity, Shape, accumulated, count
from neurosim.errors import CircuitError


@frozen
class Dense(Connectivity):
    """Every presynaptic unit connects to every postsynaptic unit: ``h_i = sum_j w_ij a_j`` (Eq. 1).

    The weight keeps the presynaptic axes, ``(n, *pre)``, so there is no flattening order to argue about.

    Example:
        >>> Dense().weight_shape((32, 7, 7), (1024,))
        (1024, 32, 7, 7)
    """

    def post_shape(self, pre: Shape, channels: int | None) -> Shape:
        if channels is None:
            raise CircuitError("Dense needs a postsynaptic population whose number of units is known")
        return (channels,)

    def weight_shape(self, pre: Shape, post: Shape) -> Shape:
        return (*post, *pre)

    def fan_in(self, pre: Shape) -> int:
        return count(pre)

    def pre_axis(self, post: Shape) -> int:
        return len(post)

    def forward(self, weight: Tensor | None, a: Tensor, pre: Shape) -> Float[Tensor, "*lead n"]:
        assert weight is not None
        lead = a.shape[: a.ndim - len(pre)]
        return torch.nn.functional.linear(a.reshape(*lead, -1), weight.reshape(weight.shape[0], -1))

    def transpose(self, weight: Tensor | None, d: Float[Tensor, "*lead n"], pre: Shape) -> Tensor:
        assert weight is not None
        return (d @ weight.reshape(weight.shape[0], -1)).reshape(*d.shape[:-1], *pre)

    def correlate(
        self, post: Float[Tensor, "*lead n"], pre: Tensor, pre_shape: Shape, out: Tensor | None = None
    ) -> Float[Tensor, "n ..."]:
        left = post.reshape(-1, post.shape[-1]).t()
        right = pre.reshape(left.shape[1], -1)
        if out is None:
            return torch.mm(left, right).reshape(-1, *pre_shape)
        torch.mm(left, right, out=out.view(out.shape[0], -1))
        return out

    def accumulate(
        self, post: Float[Tensor, "*lead n"], pre: Tensor, pre_shape: Shape, total: Tensor, fresh: bool
    ) -> None:
        if post.dtype != total.dtype:
            accumulated(self.correlate(post, pre, pre_shape), total, fresh)
            return
        left = post.reshape(-1, post.shape[-1]).t()
        total.view(total.shape[0], -1).addmm_(left, pre.reshape(left.shape[1], -1), beta=0 if fresh else 1)
