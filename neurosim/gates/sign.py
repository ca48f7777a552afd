"""The sign of a projection of the pre-activations (Eq. 8)."""

from __future__ import annotations

import torch
from attrs import frozen
from jaxtyping import Float
from torch import Tensor

from neurosim.gates.base import Gate, refuse_odd

#: Within these bounds one fused pass per component is faster than a product of the size of h and a sum over it: few
#: components, and an activity that does not fit into the nearest caches. (If h has another memory order than its shape
#: the sum is slow at any size.)
_COMPONENTS_IN_A_LOOP = 32
_LARGE = 2**18


@frozen
class SignGate(Gate):
    """``G(h) = 1 where t . h >= 0`` (tie included), else 0 (Eq. 8).

    ``t`` has the shape ``(K, channels)``: one vector per unit, or per channel where units have a place in space. It
    is uniform over {-1, 1}^K; units (channels) 2i and 2i + 1 are an ON/OFF pair with opposite ``t``. For K = 1 ``t``
    alternates -1, +1, so that half of the units of a conventional network are inverted ReLUs.

    Raises:
        CircuitError: an odd number of units, which cannot be paired.

    Example:
        >>> SignGate().draw(1, 4, torch.Generator())["t"]
        tensor([[-1.,  1., -1.,  1.]], dtype=torch.float64)
    """

    def check(self, channels: int, source: tuple[int, ...] | None = None) -> None:
        refuse_odd(self, channels)

    def draw(
        self, components: int, channels: int, generator: torch.Generator, source: tuple[int, ...] | None = None
    ) -> dict[str, Tensor]:
        half = torch.full((components, channels // 2), -1.0, dtype=torch.float64, device="cpu")
        if components > 1:
            half = 2.0 * torch.randint(2, half.shape, generator=generator, dtype=torch.float64, device="cpu") - 1.0
        return {"t": torch.stack([half, -half], dim=2).flatten(1)}

    def open(
        self,
        constants: dict[str, Tensor],
        h: Float[Tensor, "batch K *units"],
        context: Float[Tensor, " batch *source"] | None = None,
    ) -> Float[Tensor, " batch *units"]:
        t = constants["t"]
        drive = dot_over_components(t.reshape(*t.shape, *[1] * (h.ndim - 3)), h)
        return (drive >= 0).to(h.dtype)

    def gather(
        self,
        constants: dict[str, Tensor],
        h: Float[Tensor, " batch *units"],
        component: int,
        gathered: Float[Tensor, " batch *units"] | None,
    ) -> Float[Tensor, " batch *units"]:
        t = constants["t"][component].reshape(-1, *[1] * (h.ndim - 2))
        return h * t if gathered is None else gathered.addcmul_(h, t)


def dot_over_components(
    t: Float[Tensor, "K ..."], h: Float[Tensor, "batch K *units"]
) -> Float[Tensor, " batch *units"]:
    """``sum_mu t[..., mu, :] h[:, mu]`` without a temporary of the size of ``h`` where K is small.

    Args:
        t: broadcastable to ``(K, *units)``.
        h: ``(batch, K, *units)``.
    """
    components = h.shape[1]
    if components > _COMPONENTS_IN_A_LOOP or (h.numel() < _LARGE and h.is_contiguous()):
        return (t * h).sum(1)
    total = h[:, 0] * t[0]
    for mu in range(1, components):
        total.addcmul_(h[:, mu], t[mu])
    return total
