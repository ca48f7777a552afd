"""Direct feedback alignment."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import torch
from attrs import field, frozen
from torch import Tensor

from neurosim.description import is_number, plain_name
from neurosim.errors import CircuitError
from neurosim.plasticity import CreditForm, PlasticityRule, Signal

if TYPE_CHECKING:
    from neurosim.circuit import Circuit
    from neurosim.credit import CreditContext
    from neurosim.populations import Population


def _limits(value: Any) -> tuple[float, float]:
    pair = isinstance(value, Sequence) and len(value) == 2 and all(map(is_number, value))
    if not pair or not value[0] < value[1]:
        raise CircuitError(f"DFA.limits must be (low, high), two finite numbers with low < high, got {value!r}")
    low, high = float(value[0]), float(value[1])
    largest, least = torch.finfo(torch.float32).max, torch.finfo(torch.float32).tiny
    if max(-low, high, high - low) > largest or high - low < least:
        raise CircuitError(
            f"DFA.limits must be (low, high) that float32 can tell apart: low, high and high - low at most "
            f"{largest:.2g} in size and high - low at least {least:.2g}, got {value!r}; try (-1, 1)"
        )
    return low, high


@frozen
class DFA(PlasticityRule):
    """Direct feedback alignment: the output error reaches every population through a fixed random matrix (Eq. 5).

        d_i = sum_k D_ki e_k;

    with one vector output unit, per unit: ``c_i = D_i``, times the error vector. Delivered at the gate's output,
    before pooling. With d ``(batch, K, *units)``, e ``(batch, K, output units)``, c ``(batch, *units)``.

    As in Appendix I one matrix serves the whole network: it is drawn row by row, a row per unit, and each population
    uses its first rows, in the order of its units ``(channels, height, width)``. So a larger network keeps the rows of
    a smaller one. Readable and settable as ``sim.feedback["dfa/POPULATION/D"]``, ``(output units, *units)``.

    With one vector output unit ``c_i = D_i`` is the same for all examples, so that the update of a unit's weights and
    bias is GEVB's times the constant ``D_i``: with limits (0, 1) DFA is GEVB with a fixed rate of its own for every
    unit, and with an optimizer that does not depend on the scale of updates, such as Adam, it is GEVB. Where positions
    share weights (convolution), the constants differ between positions and so weigh what is summed.

    Args:
        limits: the entries are uniform on ``[low, high)``: (-1, 1) for mixed-sign networks, (0, 1) for nonnegative
            ones (reference 18). Not normalized.
        name: of the matrix; rules of different names have matrices of their own.

    Raises:
        CircuitError: limits that are no two numbers low < high of float32; in a simulator, two of one name that differ.

    Source: Noekland, NeurIPS 2016; Lechner, ICLR 2019; Launay et al., NeurIPS 2020.

    Example:
        >>> from neurosim import Circuit, Dense, OneHot, SignGate, Simulator
        >>> c = Circuit(inputs=(4,), readout=OneHot(10), K=1)
        >>> _ = c.population("f1", (6,), gate=SignGate())
        >>> _ = c.connect("input", "f1", Dense(), rule=DFA(limits=(0, 1)))
        >>> _ = c.connect("f1", "output", Dense(), rule=DFA(limits=(0, 1)))
        >>> Simulator(c).feedback["dfa/f1/D"].shape
        torch.Size([10, 6])
    """

    uses: ClassVar[frozenset[Signal]] = frozenset({Signal.PRESYNAPTIC, Signal.GATE, Signal.ERROR, Signal.FEEDBACK})
    limits: tuple[float, float] = field(default=(-1.0, 1.0), converter=_limits)
    name: str = field(default="dfa", validator=plain_name)

    @property
    def label(self) -> str:
        return self.name

    def form(self, circuit: Circuit) -> CreditForm:
        return CreditForm.PER_UNIT if circuit.output_units == 1 else CreditForm.PER_COMPONENT

    def draw(
        self, circuit: Circuit, population: Population, stream: Callable[..., torch.Generator]
    ) -> dict[str, Tensor]:
        low, high = self.limits
        size = (population.units, circuit.output_units)
        rows = torch.rand(size, generator=stream("D"), dtype=torch.float64, device="cpu").mul_(high - low).add_(low)
        return {"D": rows.t().reshape(circuit.output_units, *population.shape).contiguous()}

    def credit(self, context: CreditContext) -> Tensor | None:
        direct, error = context.state("D"), context.error
        if direct.shape[0] == 1:
            return direct.expand(len(error), *direct.shape[1:])
        delivered = error.flatten(2) @ direct.flatten(1)  # (batch, K, units)
        return delivered.view(*error.shape[:2], *direct.shape[1:])
