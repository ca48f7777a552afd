"""How a rule's credit and the exact credit are distributed over units and images."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import numpy.typing as npt
import torch
from attrs import frozen
from torch import Tensor

from neurosim.analysis.alignment import LEAST_NORM, angle, credits_at
from neurosim.analysis.credit_quality import hidden_populations
from neurosim.simulator import Simulator

Values = npt.NDArray[np.float64]


@frozen(eq=False)
class CreditSample:
    """Credits of one population on a batch, every example scaled to a root mean square of 1, as angles ignore scale.

    Attributes:
        credit: the rule's, ``(examples, units)``; or ``(examples, K units)`` where it differs between components.
        exact: backpropagation's, of the same shape.
        degrees: mean angle between the two (Appendix D).
        same_sign: share of the values whose exact credit is not 0 at which the two have one sign.
        exact_zero: share of the values whose exact credit is 0.
    """

    credit: Values
    exact: Values
    degrees: float
    same_sign: float
    exact_zero: float

    @property
    def constant(self) -> bool:
        """Whether every unit gets the same credit, as from a rule that broadcasts."""
        return bool(np.ptp(self.credit) < 1e-6)


def credit_distribution(
    simulator: Simulator, images: Tensor, labels: Tensor, populations: Iterable[str] | None = None
) -> dict[str, CreditSample]:
    """The credit of each hidden population's own rule beside the exact one, at gate outputs before pooling.

    Examples in which one of the two is 0 everywhere (norm at most 1e-6) are left out. Changes nothing.

    Args:
        simulator: the network to measure.
        images, labels: as in :meth:`Simulator.learn`.
        populations: which of the hidden ones; by default all.

    Raises:
        SimulationError: a population whose groups are frozen or learn by different rules.

    Example:
        >>> from neurosim import Simulator, circuits
        >>> from neurosim.datasets import load_dataset
        >>> digits = load_dataset("digits").train.first(32)
        >>> sample = credit_distribution(Simulator(circuits.load("digits-fc")), digits.images, digits.labels)["fc1"]
        >>> sample.constant, sample.exact.shape, sample.same_sign
        (True, (32, 256), 1.0)
    """
    step = simulator.probe(images, labels)
    names = hidden_populations(simulator.circuit) if populations is None else populations
    return {name: _sample(*credits_at(step, name, None)) for name in names}


def _sample(credit: Tensor, exact: Tensor) -> CreditSample:
    degrees = float(angle(credit, exact))
    left, right = credit.flatten(1).double(), exact.flatten(1).double()
    kept = (left.norm(dim=1) > LEAST_NORM) & (right.norm(dim=1) > LEAST_NORM)
    left, right = _scaled(left[kept]), _scaled(right[kept])
    signs = torch.sign(left * right)[right != 0]
    return CreditSample(
        left.cpu().numpy(),
        right.cpu().numpy(),
        degrees,
        float((signs > 0).double().mean()),
        float((right == 0).double().mean()),
    )


def _scaled(values: Tensor) -> Tensor:
    scaled: Tensor = values / values.square().mean(dim=1, keepdim=True).sqrt()
    return scaled
