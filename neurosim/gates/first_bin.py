"""The sign of the first component: a gate that is known in the first time bin."""

from __future__ import annotations

from typing import ClassVar

import torch
from attrs import frozen
from jaxtyping import Float
from torch import Tensor

from neurosim.gates.base import Gate, refuse_odd


@frozen
class FirstBinGate(Gate):
    """``G(h) = 1 where t_1 h_1 >= 0`` (tie included), else 0: Eq. 8 with ``t`` zero but in its first component.

    The causal variant of Section 7.1: where components are time bins, each neuron is gated by its input in the first.
    ``t_1`` alternates -1, +1 along units or channels, so that 2i and 2i + 1 are an ON/OFF pair; for K = 1 this is
    :class:`SignGate`. The constant ``t1`` has the shape ``(channels,)``.

    Raises:
        CircuitError: an odd number of units, which cannot be paired.

    Example:
        >>> h = torch.tensor([[[2.0, 2.0], [-9.0, -9.0]]])  # one example, K = 2, two units
        >>> constants = FirstBinGate().draw(2, 2, torch.Generator())
        >>> FirstBinGate().open(constants, h), FirstBinGate().open(constants, h[:, :1])
        (tensor([[0., 1.]]), tensor([[0., 1.]]))
    """

    causal: ClassVar[bool] = True

    def check(self, channels: int, source: tuple[int, ...] | None = None) -> None:
        refuse_odd(self, channels)

    def draw(
        self, components: int, channels: int, generator: torch.Generator, source: tuple[int, ...] | None = None
    ) -> dict[str, Tensor]:
        return {"t1": torch.tensor([-1.0, 1.0], dtype=torch.float64, device="cpu").repeat(channels // 2)}

    def open(
        self,
        constants: dict[str, Tensor],
        h: Float[Tensor, "batch K *units"],
        context: Float[Tensor, " batch *source"] | None = None,
    ) -> Float[Tensor, " batch *units"]:
        t1 = constants["t1"]
        return (h[:, 0] * t1.reshape(-1, *[1] * (h.ndim - 3)) >= 0).to(h.dtype)
