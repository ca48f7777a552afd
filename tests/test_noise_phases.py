"""Phases of noise in a simulator: the patterns that groups and phases draw, and what they leave of the spread."""

from __future__ import annotations

from itertools import combinations
from typing import Any

import pytest
import torch
from small_circuits import batch_for
from torch import Tensor

from neurosim import GEVB, SGD, Circuit, Conv2d, Dense, Local2d, NoiseRelaxation, OneHot, SignGate, Simulator
from neurosim.streams import stream

WIDE = ("h1->h2", "h2->h3")


def wide(**options: int) -> Circuit:
    """Two untied groups onto which 128 units have synapses."""
    relaxation = NoiseRelaxation(every=1, **options)
    c = Circuit(8, OneHot(4, "squared"))
    c.population("h1", 128, gate=SignGate())
    c.connect("input", "h1", Dense(), rule=GEVB())
    c.population("h2", 128, gate=SignGate())
    c.connect("h1", "h2", Dense(), rule=GEVB(), sharing="untied", relaxation=relaxation)
    c.population("h3", 64, gate=SignGate())
    c.connect("h2", "h3", Dense(), rule=GEVB(), sharing="untied", relaxation=relaxation)
    c.connect("h3", "output", Dense(), rule=GEVB())
    return c


def apart(c: Circuit, precision: str = "float64") -> Simulator:
    """Untied weights that differ, and learning too slow to change them."""
    simulator = Simulator(c, precision=precision, optimizer=SGD(1e-12), seed=2)
    for name, group in c.groups.items():
        if group.untied:
            weight = simulator.weights[name]
            noise = torch.randn(weight.shape, generator=stream(0, "apart", name), dtype=torch.float64, device="cpu")
            simulator.weights[name] = 1.0 + 0.1 * noise
    return simulator


@pytest.mark.parametrize("presentations", [50, 100])
def test_every_phase_leaves_the_stated_part_of_the_spread(presentations: int) -> None:
    """Each phase relaxes further what the phases before it left, so all their patterns differ."""
    simulator = apart(wide(presentations=presentations))
    before = simulator.spread()
    for phases in range(1, 5):
        simulator.learn(*batch_for(simulator.circuit, 2))
        after = simulator.spread()
        stated = NoiseRelaxation(presentations=presentations * phases).remaining_rms(128)
        assert abs(stated - (1 - 1 / 128) ** (presentations * phases / 2)) < 1e-3
        for name in WIDE:
            assert abs(after[name] / before[name] - stated) < 0.02, (phases, name)


def test_patterns_are_signs_that_no_groups_phases_or_seeds_share(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: list[Tensor] = []
    monkeypatch.setattr(NoiseRelaxation, "relax", lambda self, weight, maps, pre, signs: drawn.append(signs((4096,))))
    for seed in (0, 1):
        simulator = Simulator(wide(presentations=1), seed=seed)
        for _ in range(3):
            simulator.learn(*batch_for(simulator.circuit, 2))
    assert len(drawn) == 2 * 3 * 2  # seeds, phases, groups
    for signs in drawn:
        assert torch.equal(signs.abs(), torch.ones_like(signs))
        assert abs(float(signs.mean())) < 0.07  # 4.5 standard deviations
    assert max(abs(float((one * other).mean())) for one, other in combinations(drawn, 2)) < 0.07


def test_patterns_are_drawn_anew_within_a_phase(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: list[Tensor] = []

    def twice(self: NoiseRelaxation, weight: Tensor, maps: Any, pre: Any, signs: Any) -> None:
        drawn.extend([signs((4096,)), signs((4096,))])

    monkeypatch.setattr(NoiseRelaxation, "relax", twice)
    simulator = Simulator(wide(presentations=1))
    simulator.learn(*batch_for(simulator.circuit, 2))
    assert abs(float((drawn[0] * drawn[1]).mean())) < 0.07


@pytest.mark.parametrize("precision", ["float32", "float64"])
def test_a_padded_local_group_relaxes_where_it_is_seen(precision: str) -> None:
    """Weights onto padding alone keep what they are; all others relax by at least the stated part."""
    c = Circuit((1, 6, 6), OneHot(4, "squared"))
    c.population("h1", (2, ...), gate=SignGate())
    c.connect("input", "h1", Conv2d(3, padding=1), rule=GEVB())
    c.population("h2", (2, ...), gate=SignGate())
    relaxation = NoiseRelaxation(presentations=20, every=1)
    c.connect("h1", "h2", Local2d(3, padding=1), rule=GEVB(), sharing="untied", relaxation=relaxation)
    c.connect("h2", "output", Dense(), rule=GEVB())
    simulator = apart(c, precision)
    weight = simulator.weights["h1->h2"]
    ones = torch.ones(1, 2, 6, 6, dtype=weight.dtype, device="cpu")
    seen = Local2d(3, padding=1).correlate(ones, ones, (2, 6, 6)) > 0
    start = weight.clone()
    for phases in range(1, 4):
        simulator.learn(*batch_for(c, 2))
        assert bool(weight.isfinite().all())
        assert torch.equal(weight[:, ~seen], start[:, ~seen])
        left, before = ((each - each.mean(0))[:, seen].square().mean().sqrt() for each in (weight, start))
        assert 0.1 < float(left / before) < (1 - 1 / 18) ** (20 * phases / 2) + 0.03
    assert 0 < int((~seen).sum()) < seen.numel()
