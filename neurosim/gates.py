"""Gates: the piecewise constant factor G(h) of a unit's nonlinearity ``a = G(h) h`` (Eq. 7)."""

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

from neurosim.description import Description, plain_name
from neurosim.errors import CircuitError

#: Within these bounds one fused pass per component is faster than a product of the size of h and a sum over it: few
#: components, and an activity that does not fit into the nearest caches. (If h has another memory order than its shape
#: the sum is slow at any size.)
_COMPONENTS_IN_A_LOOP = 32
_LARGE = 2**18


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


def _refuse_odd(gate: Gate, channels: int) -> None:
    if channels % 2:
        raise CircuitError(
            f"{type(gate).__name__} pairs units 2i and 2i + 1 as ON and OFF, got an odd number of units (or "
            f"channels), {channels}; use {channels + 1}"
        )


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
        _refuse_odd(self, channels)

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
        _refuse_odd(self, channels)

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


@frozen
class ReLU(Gate):
    """``G(h) = 1 where h >= 0`` (tie included), else 0: the rectified linear unit of a standard network.

    For scalar units (K = 1), where :class:`SignGate` makes every other unit an inverted rectifier, open below 0.
    Nothing is drawn, and units are not paired: their number may be odd, and as the two of an ON/OFF pair would not open
    together, :class:`~neurosim.initializers.He` is the initializer to take. ``h`` of a vector unit has no one sign to
    go by, and a gate for each component would not be the one ``G`` per unit that Eqs. 7 to 9 rest on.

    Raises:
        CircuitError: vector units (K > 1).

    Example:
        >>> ReLU().open({}, torch.tensor([[[-2.0, 0.0, 3.0]]]))
        tensor([[0., 1., 1.]])
    """

    causal: ClassVar[bool] = True  # there is but one bin

    def check_components(self, components: int) -> None:
        if components > 1:
            raise CircuitError(
                f"ReLU is for scalar units: a unit of K = {components} components has one gate value for all of them, "
                f"and h has no one sign; use SignGate(), or K=1"
            )

    def open(
        self,
        constants: dict[str, Tensor],
        h: Float[Tensor, "batch K *units"],
        context: Float[Tensor, " batch *source"] | None = None,
    ) -> Float[Tensor, " batch *units"]:
        return (h[:, 0] >= 0).to(h.dtype)


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
        _refuse_odd(self, channels)
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
