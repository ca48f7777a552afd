"""Share of the weights whose update agrees in sign with the gradient (Section 3.3)."""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from attrs import frozen
from torch import Tensor

from neurosim.analysis.alignment import refuse_misuse
from neurosim.circuit import Circuit
from neurosim.errors import SimulationError
from neurosim.plasticity import PlasticityRule, rule_named
from neurosim.simulator import Simulator
from neurosim.step import Updates


@frozen
class SignAgreement:
    """Weights of a group by the signs of their update and of their gradient, each example counted by itself.

    Attributes:
        agree: both have the same sign.
        disagree: they have opposite signs.
        only_gradient: the update is 0, the gradient is not.
        only_update: the gradient is 0, the update is not: no active path leads from the unit to the output
            (Appendix C), or terms cancel.
        both_zero: nothing changes, nothing should: closed gates, silent inputs.
    """

    agree: int
    disagree: int
    only_gradient: int
    only_update: int
    both_zero: int

    @property
    def share(self) -> float:
        """``agree`` of the weights whose gradient is not 0; NaN where there is none. 1 is the theorem's."""
        meant = self.agree + self.disagree + self.only_gradient
        return self.agree / meant if meant else math.nan

    @property
    def total(self) -> int:
        """All weights, times the examples that were counted."""
        return self.agree + self.disagree + self.only_gradient + self.only_update + self.both_zero

    def __add__(self, other: SignAgreement) -> SignAgreement:
        return SignAgreement(
            self.agree + other.agree,
            self.disagree + other.disagree,
            self.only_gradient + other.only_gradient,
            self.only_update + other.only_update,
            self.both_zero + other.both_zero,
        )


def compare_signs(update: Tensor, gradient: Tensor) -> SignAgreement:
    """Count the entries of two tensors of one shape by their signs.

    Raises:
        SimulationError: shapes that differ.

    Example:
        >>> compare_signs(torch.tensor([1.0, 2.0, 3.0, 0.0]), torch.tensor([5.0, -1.0, 0.0, 0.0]))
        SignAgreement(agree=1, disagree=1, only_gradient=0, only_update=1, both_zero=1)
    """
    if update.shape != gradient.shape:
        raise SimulationError(
            f"compare_signs: expected tensors of one shape, got {tuple(update.shape)} and {tuple(gradient.shape)}"
        )
    up, down, rising, falling = update > 0, update < 0, gradient > 0, gradient < 0
    counted = [up, down, rising, falling, up & rising, down & falling, up & falling, down & rising]
    # bytes are counted many times faster than floating-point masks, and the device is read once
    numbers = torch.stack([torch.count_nonzero(mask) for mask in counted]).tolist()
    agree, disagree = numbers[4] + numbers[5], numbers[6] + numbers[7]
    only_gradient = numbers[2] + numbers[3] - agree - disagree
    only_update = numbers[0] + numbers[1] - agree - disagree
    both_zero = update.numel() - agree - disagree - only_gradient - only_update
    return SignAgreement(agree, disagree, only_gradient, only_update, both_zero)


def sign_agreement(
    simulator: Simulator, images: Tensor, labels: Tensor, rule: PlasticityRule | None = None, per: str = "example"
) -> dict[str, SignAgreement]:
    """Compare a rule's updates with the gradient, weight by weight, for every group that learns.

    Under the conditions that ``circuit.guarantees(rule)`` lists, the share of every group is 1 for each example; a
    batch sums examples and has no such guarantee. Changes nothing.

    Args:
        simulator: the network to measure.
        images, labels: as in :meth:`Simulator.learn`.
        rule: whose updates; by default each group's own.
        per: ``"example"``: the update of each example by itself, counts summed; ``"batch"``: of the whole batch.

    Returns:
        group -> counts.

    Raises:
        SimulationError: another ``per``, no Simulator, a circuit in which nothing learns, no rule, one that cannot
            apply or whose constants this simulator lacks.

    Example:
        >>> from neurosim import circuits
        >>> from neurosim.datasets import load_dataset
        >>> digits = load_dataset("digits").train.first(4)
        >>> signs = sign_agreement(Simulator(circuits.load("digits-fc")), digits.images, digits.labels)
        >>> {group: counts.share for group, counts in signs.items()}
        {'input->fc1': 1.0, 'fc1->fc2': 1.0, 'fc2->output': 1.0}
    """
    if per not in ("example", "batch"):
        raise SimulationError(f"sign_agreement: per= must be 'example' or 'batch', got {per!r}")
    refuse_misuse("sign_agreement", simulator, rule, ())
    circuit = simulator.circuit
    learning = [name for name, group in circuit.groups.items() if group.rule is not None]
    if not learning:
        raise SimulationError("sign_agreement: nothing learns in this circuit; give a group a rule")
    refuse_misuse("sign_agreement", simulator, rule, learning)
    # with_rules() on every learning group: the very updates that a simulator of these circuits would make
    measured, exact = (circuit if rule is None else circuit.with_rules(rule)), circuit.with_rules(rule_named("bp"))
    size = 1 if per == "example" else len(images)
    found: dict[str, SignAgreement] = {}
    for image, label in zip(images.split(size), labels.split(size), strict=True):
        for name, counts in _compared(simulator, image, label, (measured, exact), learning).items():
            found[name] = found[name] + counts if name in found else counts
    return found


@torch.no_grad()
def _compared(
    simulator: Simulator, images: Tensor, labels: Tensor, circuits: tuple[Circuit, Circuit], groups: list[str]
) -> Mapping[str, SignAgreement]:
    seen = simulator.probe(images, labels).credits.seen
    updates = []
    for circuit in circuits:
        out = {name: torch.empty_like(simulator.weights[name]) for name in groups}
        Updates(circuit, seen.synapses).compute(seen, out)
        updates.append(out)
    return {name: compare_signs(updates[0][name], updates[1][name]) for name in groups}
