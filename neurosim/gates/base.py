"""The idea of a gate: which units are active."""

from __future__ import annotations

from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor

from neurosim.description import Description
from neurosim.errors import CircuitError


class Gate(Description):
    """Which units are active. A subclass turns ``h`` into ``G`` in :meth:`open`, with constants drawn by :meth:`draw`.

    ``G`` is a new tensor and piecewise constant in ``h``: the engine takes the derivative of ``G(h) h`` to be ``G``.
    A gate that looks at something else than ``h`` names it in :attr:`listens_to`; it alone is given ``source`` and
    ``context``, so that other gates may leave these arguments away.
    """

    kind: ClassVar[str] = "gate"
    #: whether ``G`` is known in the first time bin: :meth:`open` then reads no more of ``h`` than ``h[:, :1]``, and
    #: may be given only that. What temporal vectorization needs to run in one pass.
    causal: ClassVar[bool] = False

    @property
    def listens_to(self) -> str | None:
        """The scalar population whose activity is the gate's context; None for a gate that looks at ``h``."""
        return None

    def check(self, channels: int, source: tuple[int, ...] | None = None) -> None:
        """Raise a :class:`CircuitError` when the gate cannot serve ``channels`` units or channels, or its source."""

    def check_components(self, components: int) -> None:
        """Raise a :class:`CircuitError` when the gate cannot serve units of K = ``components`` components."""

    def draw(
        self, components: int, channels: int, generator: torch.Generator, source: tuple[int, ...] | None = None
    ) -> dict[str, Tensor]:
        """The gate's constants by name, float64 on the cpu; the simulator owns, converts and saves them.

        By default there are none.

        Args:
            components: K.
            channels: units of a population ``(n,)``, channels of one ``(channels, height, width)``.
            generator: the population's own stream.
            source: shape of the population that the gate listens to.
        """
        return {}

    def open(
        self,
        constants: dict[str, Tensor],
        h: Float[Tensor, "batch K *units"],
        context: Float[Tensor, " batch *source"] | None = None,
    ) -> Float[Tensor, " batch *units"]:
        """``G`` ``(batch, *units)``, of the dtype of ``h``.

        Args:
            constants: what :meth:`draw` gave, on the device and in the dtype of ``h``.
            h: pre-activations ``(batch, K, *units)``; of a causal gate ``(batch, 1, *units)``, the first component,
                is enough.
            context: activity ``(batch, *source)`` of the population that the gate listens to.
        """
        raise NotImplementedError(f"{type(self).__name__} must define open(constants, h)")

    def gather(
        self,
        constants: dict[str, Tensor],
        h: Float[Tensor, " batch *units"],
        component: int,
        gathered: Float[Tensor, " batch *units"] | None,
    ) -> Float[Tensor, " batch *units"]:
        """What a gate that is not causal has gathered after one more time bin; optional, for vectorization in time.

        Args:
            constants: as in :meth:`open`.
            h: pre-activations in this bin.
            component: the number of the bin, from 0.
            gathered: what it gathered before, free to be changed in place; None in the first bin.
        """
        raise NotImplementedError(f"{type(self).__name__} must define gather(constants, h, component, gathered)")

    def verdict(self, gathered: Float[Tensor, " batch *units"]) -> Float[Tensor, " batch *units"]:
        """``G`` from what :meth:`gather` gathered in all bins: where that is not negative, unless overridden."""
        return gathered.ge_(0)  # in place; torch keeps the dtype


def refuse_odd(gate: Gate, channels: int) -> None:
    if channels % 2:
        raise CircuitError(
            f"{type(gate).__name__} pairs units 2i and 2i + 1 as ON and OFF, got an odd number of units (or "
            f"channels), {channels}; use {channels + 1}"
        )
