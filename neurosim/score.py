"""Losses and mistakes on the device, and the numbers that they are read as."""

from __future__ import annotations

import math
from typing import Any, NamedTuple, Self

from torch import Tensor

from neurosim.errors import SimulationError


class _Sums(NamedTuple):
    loss: Tensor
    mistakes: Tensor


class Score(_Sums):
    """What :meth:`~neurosim.simulator.Simulator.score` found: two 0-d tensors on the device, sums over the images.

    :attr:`mean_loss` and :attr:`error_rate` are numbers, and wait for the device when they are read.

    Attributes:
        loss: sum of the losses.
        mistakes: number of images that were decoded wrongly.
        images: how many there were.

    Example:
        >>> from neurosim import Simulator, circuits
        >>> from neurosim.datasets import load_dataset
        >>> test = load_dataset("digits").test
        >>> score = Simulator(circuits.load("digits-fc"), seed=0).score(test.images, test.labels)
        >>> f"{score.error_rate:.2f}"
        '0.90'
        >>> loss, mistakes = score
        >>> int(mistakes), score.images
        (324, 360)
    """

    images: int

    def __new__(cls, loss: Tensor, mistakes: Tensor, images: int) -> Self:
        made = super().__new__(cls, loss, mistakes)
        made.images = images
        return made

    def __getnewargs__(self) -> tuple[Any, ...]:
        """What copies and pickles are made from: ``images`` is no part of the tuple."""
        return self.loss, self.mistakes, self.images

    def _replace(self, **changes: Any) -> Self:
        now: dict[str, Any] = {"loss": self.loss, "mistakes": self.mistakes, "images": self.images}
        return type(self)(**now | changes)

    __replace__ = _replace  # of copy.replace

    @property
    def mean_loss(self) -> float:
        """Mean loss of an image.

        Raises:
            SimulationError: it is not finite.
        """
        return finite_loss(self.loss) / self.images

    @property
    def error_rate(self) -> float:
        """Share of the images that were decoded wrongly.

        Raises:
            SimulationError: the loss is not finite, so that the decoded classes mean nothing.
        """
        finite_loss(self.loss)
        return int(self.mistakes) / self.images

    def __repr__(self) -> str:
        mean = float(self.loss) / self.images
        return f"<Score: mean loss {mean:.4g}, {int(self.mistakes)} of {self.images} mistaken{not_finite(mean)}>"


def finite_loss(loss: Tensor) -> float:
    """A loss as a number, read from the device.

    Raises:
        SimulationError: it is NaN or infinite.
    """
    value = float(loss)
    if not math.isfinite(value):
        raise SimulationError(
            f"loss: expected a finite number, found {value}; the simulator has diverged or was shown images that are "
            f"not finite (learning went on, because a step reads no value). Start again from the last good state, with "
            f"a lower learning rate or smaller initial weights"
        )
    return value


def not_finite(loss: float) -> str:
    """What a short description adds where the loss is no number."""
    return "" if math.isfinite(loss) else ": NOT FINITE, it has diverged"
