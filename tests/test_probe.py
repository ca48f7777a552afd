"""The probe, which gives credit without learning, against what learning uses: mixed rules, frozen gated successors."""

from __future__ import annotations

import pytest
import torch

from neurosim import Circuit, Conv2d, Dense, FirstBinGate, Local2d, OneHot, SignGate, Simulator
from neurosim.plasticity import available_rules, rule_named
from neurosim.rules import GEVB, Kickback
from neurosim.testing import batch

RULES = [name for name, rule in sorted(available_rules().items()) if rule is not Kickback]  # it needs a scalar output


def before_others(rule, connectivity, later):
    """``rule`` first; after it gated populations whose groups learn by ``later`` (None: are frozen), and a skip."""
    circuit = Circuit((2, 6, 6), OneHot(3, loss="squared"))
    shape = (6,) if isinstance(connectivity, Dense) else (4, ...)
    for name, gate in (("h1", SignGate()), ("h2", FirstBinGate()), ("h3", SignGate())):
        circuit.population(name, shape, gate=gate)
    circuit.connect("input", "h1", connectivity, rule=rule)
    circuit.connect("h1", "h2", connectivity, rule=later)
    circuit.connect("h2", "h3", connectivity, rule=None)
    circuit.connect("h1", "output", Dense(), rule=None, name="skip")
    circuit.connect("h3", "output", Dense(), rule=later)
    return circuit


@pytest.mark.parametrize("vectorization", ["group", "temporal"])
@pytest.mark.parametrize("later", [None, GEVB()], ids=["frozen", "gevb"])
@pytest.mark.parametrize("connectivity", [Dense(), Conv2d(3, padding=1), Local2d(3, padding=1)], ids=str)
@pytest.mark.parametrize("rule", RULES)
def test_learning_is_what_the_probe_shows(rule, connectivity, later, vectorization):
    circuit = before_others(rule_named(rule), connectivity, later)
    simulator = Simulator(circuit, precision="float64", vectorization=vectorization)
    data = batch(simulator)
    shown = simulator.probe(*data)
    credit = shown.credit("h1")  # before the weights change, from which a probe in time computes it now
    learned = simulator.learn(*data)
    assert shown.updates.keys() == learned.updates.keys()
    for name, update in shown.updates.items():
        assert bool(update.any()), name
        assert float((update - learned.updates[name]).abs().max()) < 1e-13, name
    if vectorization == "group":
        assert float((credit - learned.credit("h1")).abs().max()) < 1e-13
    else:  # the credit of a probe in time is that of a probe in a group
        group = Simulator(circuit, precision="float64").probe(*data)
        torch.testing.assert_close(credit, group.credit("h1"), rtol=1e-12, atol=1e-13)
