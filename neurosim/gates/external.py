"""Half-spaces of a signal that does not depend on the pre-activations."""

from __future__ import annotations

import math
from collections.abc import Iterator
from numbers import Real
from reprlib import repr as brief
from typing import Any, ClassVar

import torch
from attrs import Attribute, field, frozen
from jaxtyping import Float
from torch import Tensor

from neurosim.description import plain_name
from neurosim.errors import CircuitError
from neurosim.gates.base import Gate, refuse_odd


def _rows_of_numbers(value: Any) -> tuple[tuple[float, ...], ...] | None:
    """``(pairs, *source)`` of any sort, as rows of plain numbers that can be compared and saved."""
    if value is None:
        return None
    rows = value.tolist() if hasattr(value, "tolist") else value  # arrays and tensors
    if not isinstance(rows, list | tuple) or not all(isinstance(row, list | tuple) for row in rows):
        raise CircuitError(
            f"ExternalGate(context=...): expected numbers of the shape (pairs, inputs), got {brief(value)}"
        )
    flat = tuple(tuple(_numbers(row)) for row in rows)
    lengths = sorted({len(row) for row in flat})
    if len(lengths) != 1 or lengths == [0]:
        raise CircuitError(
            f"ExternalGate(context=...): expected rows of one length, (pairs, inputs), got {len(flat)} rows of "
            f"{' and '.join(map(str, lengths)) or 'no'} numbers"
        )
    return flat


def _numbers(row: Any) -> Iterator[float]:
    for item in row:
        if isinstance(item, list | tuple):
            yield from _numbers(item)
        elif isinstance(item, bool) or not isinstance(item, Real) or not math.isfinite(item):
            raise CircuitError(f"ExternalGate(context=...): expected finite numbers, got {item!r}")
        else:
            yield float(item)


def _brief(context: tuple[tuple[float, ...], ...] | None) -> str:
    return "None" if context is None else f"<{len(context)} x {len(context[0])} numbers>"


def _finite_spread(instance: object, attribute: Attribute[float], value: float) -> None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < math.inf:
        raise CircuitError(f"ExternalGate.spread must be a number of at least 0, got {value!r}")


@frozen
class ExternalGate(Gate):
    """``G = 1 where v . x >= b``, else 0: gating by a signal ``x`` that does not depend on the pre-activations.

    The half-space gating of gated linear networks (references 39-41 of the paper), the other causal variant of
    Section 7.1. ``x`` is the activity of a scalar population: the input image, scaled as the circuit sees it, or a
    relay of it. There is one context vector ``v``, and so one gate value, per ON/OFF pair, whose two members share
    theirs under :class:`SignGate` too while their pre-activations are opposite. Where units have a place in space there
    is one per pair of channels, and all positions share it.

    ``v`` is normal with std ``1 / sqrt(n)``, n the units of the source, so that ``v . x`` has the scale of one pixel;
    ``b`` is normal with std ``spread``. Where the mean image is far from 0, some of these gates are always open or
    always closed. The constants ``context`` ``(pairs, *source)`` and ``threshold`` ``(pairs,)`` may be set later, in
    ``sim.gates``.

    Args:
        source: the scalar population that gives ``x``.
        spread: std of the thresholds.
        context: the vectors ``v``, ``(pairs, *source)`` or ``(pairs, n)``, instead of random ones.

    Raises:
        CircuitError: an odd number of units, a context that does not fit pairs and source, a source that does not
            exist or is not scalar.

    Example:
        >>> gate = ExternalGate(context=[[1.0, 0.0], [0.0, 1.0]])
        >>> constants, h = gate.draw(3, 4, torch.Generator(), (2,)), torch.zeros(1, 3, 4, dtype=torch.float64)
        >>> gate.open(constants, h, torch.tensor([[0.5, -0.5]], dtype=torch.float64))
        tensor([[1., 1., 0., 0.]], dtype=torch.float64)
    """

    causal: ClassVar[bool] = True
    source: str = field(default="input", validator=plain_name)
    spread: float = field(default=0.0, validator=_finite_spread)
    context: tuple[tuple[float, ...], ...] | None = field(default=None, converter=_rows_of_numbers, repr=_brief)

    @property
    def listens_to(self) -> str | None:
        return self.source

    def check(self, channels: int, source: tuple[int, ...] | None = None) -> None:
        refuse_odd(self, channels)
        if source is None or self.context is None:
            return
        wanted, found = (channels // 2, math.prod(source)), (len(self.context), len(self.context[0]))
        if found != wanted:
            raise CircuitError(
                f"ExternalGate(context=...) has the shape {found}, expected {wanted}: one row per ON/OFF pair of "
                f"{channels} units (or channels), one number per unit of '{self.source}' {source}"
            )

    def draw(
        self, components: int, channels: int, generator: torch.Generator, source: tuple[int, ...] | None = None
    ) -> dict[str, Tensor]:
        assert source is not None
        shape = (channels // 2, *source)
        if self.context is None:
            context = torch.randn(shape, generator=generator, dtype=torch.float64, device="cpu")
            context = context.div_(math.sqrt(math.prod(source)))
        else:
            context = torch.tensor(self.context, dtype=torch.float64, device="cpu").view(shape)
        threshold = torch.randn(channels // 2, generator=generator, dtype=torch.float64, device="cpu")
        return {"context": context, "threshold": threshold.mul_(self.spread)}

    def open(
        self,
        constants: dict[str, Tensor],
        h: Float[Tensor, "batch K *units"],
        context: Float[Tensor, " batch *source"] | None = None,
    ) -> Float[Tensor, " batch *units"]:
        assert context is not None
        side = context.flatten(1) @ constants["context"].flatten(1).t() >= constants["threshold"]
        per_channel = side.to(h.dtype).repeat_interleave(2, dim=1)  # both members of a pair
        return per_channel.view(*per_channel.shape, *[1] * (h.ndim - 3)).expand(-1, -1, *h.shape[3:])
