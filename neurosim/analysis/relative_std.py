"""How unequal the exact credit of the units of a population is: its relative standard deviation (Eqs. 18-22)."""

from __future__ import annotations

import torch
from torch import Tensor

from neurosim.analysis.alignment import BATCH, LEAST_NORM
from neurosim.errors import SimulationError
from neurosim.plasticity import PlasticityRule, rule_named
from neurosim.simulator import Simulator
from neurosim.step import Step


def relative_std(credit: Tensor, active: Tensor | None = None) -> Tensor:
    """``r = sigma / mu`` of the credits of the units of each example (Eq. 19), without Bessel's correction.

    For a positive mean it is the tangent of the angle between the credit and a constant one, GEVB's (Eq. 22).

    Args:
        credit: ``(batch, *units)``.
        active: gates ``(batch, *units)``; units at 0 are left out.

    Returns:
        ``(batch,)``, float64, of the sign of the mean; NaN where the norm of the credit is at most 1e-6.

    Raises:
        SimulationError: gates of another shape.

    Example:
        >>> relative_std(torch.tensor([[1.0, 3.0, 8.0]]), active=torch.tensor([[1.0, 1.0, 0.0]]))
        tensor([0.5000], dtype=torch.float64)
    """
    weight = torch.ones_like(credit) if active is None else active
    if weight.shape != credit.shape:
        raise SimulationError(
            f"relative_std: expected gates of the shape of the credit, {tuple(credit.shape)}, got {tuple(weight.shape)}"
        )
    values, weight = credit.flatten(1).double(), (weight.flatten(1) > 0).double()
    units = weight.sum(1, keepdim=True)
    mean = (weight * values).sum(1, keepdim=True) / units
    spread = ((weight * (values - mean).square()).sum(1) / units[:, 0]).sqrt()
    norm = (weight * values).norm(dim=1)
    return torch.where(norm > LEAST_NORM, spread / mean[:, 0], torch.nan)


def credit_relative_std(
    simulator: Simulator,
    images: Tensor,
    labels: Tensor,
    rule: PlasticityRule | None = None,
    active_only: bool = False,
) -> dict[str, Tensor]:
    """:func:`relative_std` of every hidden population, example by example.

    A credit per component ``d`` is measured along the error vector, ``c = d.e / |e|^2``, what it is where
    ``d = c e``; in a conventional network the one component is the credit.

    Args:
        simulator: the network to measure; nothing is changed.
        images, labels: as in :meth:`Simulator.learn`.
        rule: whose credit; by default backpropagation's, which Eqs. 18-22 are about.
        active_only: leave out the units whose gates are closed.

    Returns:
        population -> ``(batch,)``; with mixed signs the mean may have any sign and be near 0.

    Example:
        >>> from neurosim import circuits
        >>> from neurosim.datasets import load_dataset
        >>> digits = load_dataset("digits").train.first(16)
        >>> r = credit_relative_std(Simulator(circuits.load("digits-fc")), digits.images, digits.labels)
        >>> {name: round(float(values.mean()), 1) for name, values in r.items()}
        {'fc1': 0.3, 'fc2': 1.5}
    """
    step, asked = simulator.probe(images, labels), rule if rule is not None else rule_named("bp")
    populations = simulator.circuit.populations.values()
    hidden = [p.name for p in populations if not p.scalar and p.relay_of is None and p.name != "output"]
    gates = step.activity.gates
    active = gates if active_only else {}
    return {name: relative_std(credit_per_unit(step, name, asked), active.get(name)) for name in hidden}


def credit_per_unit(step: Step, population: str, rule: PlasticityRule) -> Tensor:
    """A rule's credit ``(batch, *units)`` in a probed step; one per component along the error vector.

    The one component of a conventional network is brought to a batch of 128, as
    :func:`~neurosim.analysis.alignment.credits_at` does, so that the batch does not tell which examples are left out.
    """
    credit = step.credit(population, rule)
    units = len(step.circuit.populations[population].shape)
    if credit.ndim == 1 + units:
        return credit
    if credit.shape[1] == 1:
        return credit[:, 0] * (len(credit) / BATCH)
    error = step.error.flatten(1)
    along = torch.einsum("bk,bku->bu", error, credit.flatten(2)) / error.square().sum(1, keepdim=True)
    return along.view(credit.shape[0], *credit.shape[2:])
