"""The rectifier of standard networks, for scalar units."""

from __future__ import annotations

from typing import ClassVar

from attrs import frozen
from jaxtyping import Float
from torch import Tensor

from neurosim.errors import CircuitError
from neurosim.gates.base import Gate


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
        >>> import torch
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
