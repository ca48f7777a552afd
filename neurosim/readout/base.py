"""What every readout has: a table of targets, the losses on it, error vectors, and decoding; the one-hot code."""

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


def known_loss(instance: Readout, attribute: Attribute[str], value: str) -> None:
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

    A code of one's own defines :attr:`length` and :meth:`codewords`. A loss of one's own names itself in ``losses`` and
    in the default of the field ``loss``, and defines :meth:`losses_of` and :meth:`error`, or :meth:`estimate` where
    the error is its difference to the target.
    """

    kind: ClassVar[str] = "readout"
    losses: ClassVar[tuple[str, ...]] = ("squared", "logistic")
    classes: int = field(validator=_at_least_two)
    loss: str = field(default="squared", validator=known_loss)

    @property
    def length(self) -> int:
        """Number of output components."""
        raise NotImplementedError(f"{type(self).__name__} must define length, the number of output components (K)")

    def codewords(self) -> Float[Tensor, "classes length"]:
        """The table of targets, ``(classes, length)``, float64 on the cpu."""
        raise NotImplementedError(f"{type(self).__name__} must define codewords(), the table (classes, length)")

    @property
    def error_by_component(self) -> bool:
        """Whether the error of a component depends on no other one, so that a time bin knows its own."""
        return self.loss in ("squared", "logistic")

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

    def estimate(self, output: Float[Tensor, "batch length"]) -> Float[Tensor, "batch length"]:
        """What the network takes the target to be, ``(batch, length)``: ``softmax(o)``, ``o`` or ``sigmoid(o)``."""
        if self.loss == "cross_entropy":
            return torch.softmax(output, dim=1)
        return output if self.loss == "squared" else torch.sigmoid(output)

    def error(
        self, output: Float[Tensor, "batch length"], target: Float[Tensor, "batch length"]
    ) -> Float[Tensor, "batch length"]:
        """The error vector ``e = dL/d(output)``, ``(batch, length)``, L the mean loss of the batch."""
        return (self.estimate(output) - target) / output.shape[0]

    def bit_errors(
        self, output: Float[Tensor, "batch length"], target: Float[Tensor, "batch length"]
    ) -> Int[Tensor, " length"]:
        """In how many examples each component is wrong by itself, ``(length,)``: its estimate on the other side of 1/2.

        Decoding may still find the class, where the code corrects errors.

        Example:
            >>> output, target = torch.tensor([[3.0, 2.0], [3.0, -2.0]]), torch.tensor([[0.0, 1.0], [0.0, 1.0]])
            >>> OneHot(2, "logistic").bit_errors(output, target)
            tensor([2, 1])
        """
        return ((self.estimate(output) > 0.5) != (target > 0.5)).sum(0)

    def decode(
        self, output: Float[Tensor, "batch length"], codewords: Float[Tensor, "classes length"]
    ) -> Int[Tensor, " batch"]:
        """The class of the nearest codeword, ``(batch,)``.

        Nearest in the sense of the loss: least squared distance, or greatest likelihood. The logarithm of the latter
        is ``sum_k y_k o_k`` plus a term that is the same for all words, for the logistic loss ``-sum_k softplus(o_k)``.
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
    loss: str = field(default="cross_entropy", validator=known_loss)

    @property
    def length(self) -> int:
        return self.classes

    def codewords(self) -> Float[Tensor, "classes length"]:
        return torch.eye(self.classes, dtype=torch.float64, device="cpu")


def codewords_of(readout: Readout) -> Float[Tensor, "classes length"]:
    """The table of targets, refused where classes would be confused.

    Raises:
        CircuitError: no tensor, not one word per class, or, from another package's code, words that are repeated or
            not finite.
    """
    words = readout.codewords()
    if not isinstance(words, Tensor):
        raise CircuitError(
            f"readout {readout}: codewords() must be a torch tensor (classes, length), got {type(words).__name__}; "
            f"make it one with torch.as_tensor"
        )
    if tuple(words.shape) != (readout.classes, readout.length):
        raise CircuitError(
            f"readout {readout}: codewords() must have the shape {(readout.classes, readout.length)}, one word per "
            f"class, got {tuple(words.shape)}"
        )
    if not type(readout).__module__.startswith("neurosim."):
        _refuse_unusable(readout, words)
    return words


def _refuse_unusable(readout: Readout, words: Tensor) -> None:
    if len(broken := (~words.isfinite()).nonzero()):
        place, component = broken[0].tolist()
        raise CircuitError(
            f"readout {readout}: codewords() must be finite numbers, but component {component} of class {place} is "
            f"{float(words[place, component])}"
        )
    if len(words.unique(dim=0)) < readout.classes:
        raise CircuitError(f"readout {readout}: codewords() repeats a word; no two classes may be written alike")
