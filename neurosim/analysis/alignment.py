"""Alignment of a rule's credit with the exact credit (Appendix D)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor

from neurosim.errors import SimulationError
from neurosim.plasticity import PlasticityRule, not_a_rule, rule_named
from neurosim.simulator import Simulator
from neurosim.step import Step

#: examples whose credit has at most this norm are left out
LEAST_NORM = 1e-6
#: the batch whose credit per component is held against LEAST_NORM; the paper's number of examples
BATCH = 128


def angle(credit: Tensor, exact: Tensor) -> Tensor:
    """Mean angle in degrees between two credits, example by example (Eq. 18).

        cos theta = credit . exact / (|credit| |exact|)

    Args:
        credit: ``(batch, ...)``.
        exact: of the same shape.

    Returns:
        0-d; the mean over the examples in which both norms exceed 1e-6, NaN where there are none.

    Raises:
        SimulationError: shapes that differ.

    Example:
        >>> bool(angle(torch.ones(1, 2), torch.tensor([[1.0, 0.0]])).round(decimals=3) == 45)
        True
    """
    return angles(credit, exact).nanmean()


def angles(credit: Tensor, exact: Tensor) -> Tensor:
    """The angle in degrees of each example, ``(batch,)``, NaN where it is left out; arguments as in :func:`angle`."""
    if credit.shape != exact.shape:
        raise SimulationError(f"angle: credits of different shapes, {tuple(credit.shape)} and {tuple(exact.shape)}")
    left, right = credit.flatten(1).double(), exact.flatten(1).double()
    norms = left.norm(dim=1), right.norm(dim=1)
    valid = (norms[0] > LEAST_NORM) & (norms[1] > LEAST_NORM)
    cosine = (left * right).sum(1) / (norms[0] * norms[1]).clamp(min=LEAST_NORM**2)
    degrees = torch.rad2deg(torch.acos(cosine.clamp(-1.0, 1.0)))
    return torch.where(valid, degrees, torch.nan)


def gradient_alignment(
    simulator: Simulator, images: Tensor, labels: Tensor, rule: PlasticityRule | None = None
) -> dict[str, float]:
    """Angle in degrees between a rule's credit and backpropagation's, for every hidden population.

    Measured at gate outputs before pooling and without the derivative of the gate (Appendix D). Changes nothing.
    Examples whose credit is almost 0 are left out, see :func:`credits_at`; ``credit_quality(...).kept`` counts the
    others.

    Args:
        simulator: the network to measure.
        images, labels: as in :meth:`Simulator.learn`; the paper used the first 128 training images.
        rule: whose credit; by default each population's own rule.

    Raises:
        SimulationError: no Simulator, no rule, or one that cannot apply, or whose constants this simulator lacks; a
            population that learns by none or several where none is named.

    Example:
        >>> import torch
        >>> from neurosim import Simulator, circuits
        >>> from neurosim.datasets import load_dataset
        >>> digits = load_dataset("digits").train.first(32)
        >>> angles = gradient_alignment(Simulator(circuits.load("digits-fc")), digits.images, digits.labels)
        >>> sorted(angles)
        ['fc1', 'fc2']
    """
    refuse_misuse("gradient_alignment", simulator, rule)
    step = simulator.probe(images, labels)
    hidden = [p.name for p in simulator.circuit.populations.values() if not p.scalar and p.relay_of is None]
    return {name: angle_at(step, name, rule) for name in hidden if name != "output"}


def refuse_misuse(where: str, simulator: Any, rule: PlasticityRule | None, groups: Iterable[str] | None = None) -> None:
    """Raise unless this is a simulator, and ``rule`` None or a rule that can apply to the groups, by default to all."""
    if not isinstance(simulator, Simulator):
        has_one = "; its simulator(epoch) is one" if hasattr(simulator, "simulator") else ""
        raise SimulationError(f"{where}: expected a Simulator, got {simulator!r}{has_one}")
    if (reason := not_a_rule(rule)) is not None:
        raise SimulationError(f"{where}: {reason}")
    for name in simulator.circuit.groups if groups is None else groups:
        if rule is not None and (reason := rule.refusal(simulator.circuit, simulator.circuit.group(name))) is not None:
            raise SimulationError(f"group '{name}': the rule {rule} cannot apply: {reason}")


def angle_at(step: Step, population: str, rule: PlasticityRule | None) -> float:
    """The angle in degrees between a rule's credit and the exact one of a probed step, at one population."""
    return float(angle(*credits_at(step, population, rule)))


def credits_at(step: Step, population: str, rule: PlasticityRule | None) -> tuple[Tensor, Tensor]:
    """A rule's credit and the exact one at one population of a probed step, in one shape.

    An example is left out of an angle where one of their norms is at most 1e-6. Credit per unit is that of ``c`` in
    ``d = c e`` and knows nothing of the batch. Credit per component, of conventional networks, carries the error of a
    mean loss, so the same example has half the credit in a batch twice as large; it is brought to what it is in a batch
    of 128, the paper's number, which cuts the same examples however many are measured together.
    """
    credit, exact = step.credit(population, rule), step.credit(population, rule_named("bp"))
    if credit.ndim != exact.ndim:  # one of them has crossed an untied group: compare c e with d, both in units of |e|
        return _with_error(credit, exact.ndim, step.error), _with_error(exact, credit.ndim, step.error)
    if credit.ndim == 2 + len(step.circuit.populations[population].shape):
        return credit * (len(credit) / BATCH), exact * (len(exact) / BATCH)
    return credit, exact


def _with_error(credit: Tensor, other_axes: int, error: Tensor) -> Tensor:
    """``c e / |e|`` of a credit per unit, ``d / |e|`` of one per component, which has one axis more than the other."""
    axes = max(credit.ndim, other_axes)
    if credit.ndim < axes:
        credit = credit.unsqueeze(1) * error.view(*error.shape[:2], *[1] * (axes - 2))
    scaled: Tensor = credit / error.flatten(1).norm(dim=1).view(-1, *[1] * (axes - 1))
    return scaled
