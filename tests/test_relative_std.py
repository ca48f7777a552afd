"""Relative standard deviation of credit: by hand, and against the angle it stands for."""

from __future__ import annotations

import math

import pytest
import torch
from small_circuits import batch_for, small

from neurosim import BP, GEVB, Circuit, Dense, HalfNormal, OneHot, SignGate, Simulator
from neurosim.analysis import gradient_alignment, predicted_angle
from neurosim.analysis.relative_std import credit_relative_std, relative_std
from neurosim.circuits import available_circuits
from neurosim.errors import SimulationError
from neurosim.plasticity import rule_named


def test_by_hand() -> None:
    credit = torch.tensor([[1.0, 3.0], [-1.0, -3.0], [2.0, 2.0], [1.0, -1.0]])
    found = relative_std(credit).tolist()
    assert found[:3] == pytest.approx([0.5, -0.5, 0.0], abs=1e-12)
    assert found[3] == math.inf


def test_active_units_only() -> None:
    credit, gates = torch.tensor([[1.0, 3.0, 100.0]]), torch.tensor([[1.0, 1.0, 0.0]])
    assert abs(float(relative_std(credit, gates)) - 0.5) <= 1e-12
    assert bool(relative_std(credit, torch.zeros(1, 3)).isnan())
    with pytest.raises(SimulationError, match=r"\(1, 3\), got \(1, 2\)"):
        relative_std(credit, torch.ones(1, 2))


@pytest.mark.parametrize("name", available_circuits())
def test_is_the_tangent_of_the_angle(name: str) -> None:
    """Eq. 22, for every hidden population of every circuit."""
    simulator = Simulator(small(name, rule=GEVB()), seed=1)
    data = batch_for(simulator.circuit, 8)
    angles, r = gradient_alignment(simulator, *data), credit_relative_std(simulator, *data)
    assert list(angles) == list(r)
    for population, values in r.items():
        degrees = [predicted_angle(float(value)) for value in values if not value.isnan()]
        assert abs(sum(degrees) / len(degrees) - angles[population]) <= 1e-3


def test_of_other_rules() -> None:
    """A constant credit has no spread; credit per component is measured along the error vector."""
    c = Circuit(5, OneHot(4))
    c.population("h", 6, gate=SignGate())
    c.connect("input", "h", Dense(), rule=GEVB())
    c.connect("h", "output", Dense(), rule=GEVB(), sign="nonnegative", init=HalfNormal())
    simulator, data = Simulator(c), batch_for(c, 3)
    assert torch.equal(credit_relative_std(simulator, *data, rule=GEVB())["h"], torch.zeros(3, dtype=torch.float64))
    by_noise = credit_relative_std(simulator, *data, rule=rule_named("node-perturbation"))["h"]
    assert by_noise.shape == (3,) and bool(by_noise.isfinite().all())
    per_unit, closed_too = (credit_relative_std(simulator, *data, active_only=only)["h"] for only in (True, False))
    assert not torch.equal(per_unit, closed_too)


def test_of_a_conventional_network() -> None:
    simulator = Simulator(small("digits-fc", rule=BP(), readout=OneHot(10), K=1))
    found = credit_relative_std(simulator, *batch_for(simulator.circuit, 4))
    assert all(values.shape == (4,) for values in found.values())
