"""The readout: how classes are written at the output, the loss, its error vector, and decoding."""

from __future__ import annotations

from typing import ClassVar

import torch
import torch.nn.functional as F
from attrs import Attribute, field, frozen
from jaxtyping import Float, Int
from torch import Tensor

from neurosim.description import Description
from neurosim.errors import CircuitError, UnknownNameError


def _at_least_two(instance: Readout, attribute: Attribute[int], value: int) -> None:
    if not isinstance(value, int) or value < 2:
        raise CircuitError(f"{type(instance).__name__}.classes must be an integer of at least 2, got {value!r}")


def _known_loss(instance: Readout, attribute: Attribute[str], value: str) -> None:
    if value not in instance.losses:
        raise UnknownNameError(f"loss for {type(instance).__name__}", value, instance.losses)


@frozen
class Readout(Description):
    """An output code, the table ``(classes, length)`` of target vectors, with a loss on it.

    Losses, for one example with output o and target y:

    - ``cross_entropy``: ``-sum_k y_k log softmax(o)_k``, error ``softmax(o) - y``;
    - ``squared``: ``1/2 sum_k (o_k - y_k)^2``, error ``o - y``;
    - ``logistic``: ``sum_k softplus(o_k) - y_k o_k``, error ``sigmoid(o) - y``.

    The loss of a batch is the mean over its examples, so the error vector carries ``1 / batch``, here and nowhere else.
    """

    kind: ClassVar[str] = "readout"
    losses: ClassVar[tuple[str, ...]] = ("squared", "logistic")
    classes: int = field(validator=_at_least_two)
    loss: str = field(default="squared", validator=_known_loss)

    @property
    def length(self) -> int:
        """Number of output components."""
        raise NotImplementedError(f"{type(self).__name__} must define length")

    def codewords(self) -> Float[Tensor, "classes length"]:
        """The table of targets, ``(classes, length)``, float64 on the cpu."""
        raise NotImplementedError(f"{type(self).__name__} must define codewords()")

    def losses_of(
        self, output: Float[Tensor, "batch length"], target: Float[Tensor, "batch length"]
    ) -> Float[Tensor, " batch"]:
        """Loss of every example: ``(batch, length)`` outputs and targets to ``(batch,)``."""
        if self.loss == "cross_entropy":
            return -(target * F.log_softmax(output, dim=1)).sum(1)
        if self.loss == "squared":
            return 0.5 * (output - target).square().sum(1)
        softplus = -F.logsigmoid(-output)  # F.softplus cuts the tail above 20 off
        return (softplus - target * output).sum(1)

    def error(
        self, output: Float[Tensor, "batch length"], target: Float[Tensor, "batch length"]
    ) -> Float[Tensor, "batch length"]:
        """The error vector ``e = dL/d(output)``, ``(batch, length)``, L the mean loss of the batch."""
        if self.loss == "cross_entropy":
            guess = torch.softmax(output, dim=1)
        elif self.loss == "squared":
            guess = output
        else:
            guess = torch.sigmoid(output)
        return (guess - target) / output.shape[0]

    def decode(
        self, output: Float[Tensor, "batch length"], codewords: Float[Tensor, "classes length"]
    ) -> Int[Tensor, " batch"]:
        """The class of the nearest codeword, ``(batch,)``.

        Nearest in the sense of the loss: least squared distance, or greatest likelihood
        ``sum_k y_k o_k`` (the same for both losses where all codewords have one length).
        """
        score = output @ codewords.t()
        if self.loss == "squared":
            score = score - 0.5 * codewords.square().sum(1)
        return score.argmax(1)


@frozen
class OneHot(Readout):
    """Class c is the c-th unit vector; one component per class.

    Example:
        >>> OneHot(10).length, OneHot(10).loss
        (10, 'cross_entropy')
    """

    losses: ClassVar[tuple[str, ...]] = ("cross_entropy", "squared", "logistic")
    loss: str = field(default="cross_entropy", validator=_known_loss)

    @property
    def length(self) -> int:
        return self.classes

    def codewords(self) -> Float[Tensor, "classes length"]:
        return torch.eye(self.classes, dtype=torch.float64, device="cpu")


@frozen
class Binary(Readout):
    """Class c is written in binary, most significant bit first: ``K ~ log2 C`` components (Section 7.3).

    With two classes this is one logistic output, the K = 1 network of Section 2.

    Example:
        >>> Binary(3).codewords().tolist()
        [[0.0, 0.0], [0.0, 1.0], [1.0, 0.0]]
    """

    losses: ClassVar[tuple[str, ...]] = ("logistic", "squared")
    loss: str = field(default="logistic", validator=_known_loss)

    @property
    def length(self) -> int:
        return (self.classes - 1).bit_length()

    def codewords(self) -> Float[Tensor, "classes length"]:
        numbers = torch.arange(self.classes, device="cpu").unsqueeze(1)
        shifts = torch.arange(self.length - 1, -1, -1, device="cpu")
        return ((numbers >> shifts) & 1).to(torch.float64)
