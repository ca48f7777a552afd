"""Credit of a rule beside the exact credit: scaled example by example, signs and zeros counted."""

from __future__ import annotations

import numpy as np
import pytest

from neurosim import BP, GEVB, Circuit, Dense, OneHot, SignGate, Simulator, circuits
from neurosim.analysis.alignment import gradient_alignment
from neurosim.analysis.credit_distribution import credit_distribution
from neurosim.circuits.paper import network
from neurosim.datasets import load_dataset
from neurosim.errors import SimulationError
from neurosim.figures.credit_histogram import draw_credit_histogram
from neurosim.rules.dfa import DFA

FIRST = load_dataset("digits").train.first(32)


def measured(simulator):
    return credit_distribution(simulator, FIRST.images, FIRST.labels)


def test_gevb_is_constant_and_half_of_the_last_hidden_layer_has_no_exact_credit():
    simulator = Simulator(circuits.load("digits-fc", widths=(12, 8)))
    found = measured(simulator)
    assert list(found) == ["fc1", "fc2"]
    for sample in found.values():
        assert sample.constant and np.array_equal(sample.credit, np.ones_like(sample.credit))
        assert sample.same_sign == 1.0
        assert np.abs(np.square(sample.exact).mean(axis=1) - 1).max() < 1e-9
    assert found["fc2"].exact_zero == 0.5
    expected = gradient_alignment(simulator, FIRST.images, FIRST.labels)
    assert {name: sample.degrees for name, sample in found.items()} == expected


def test_bp_is_the_exact_credit():
    for sample in measured(Simulator(circuits.load("digits-fc", widths=(12, 8), rule=BP()))).values():
        assert np.array_equal(sample.credit, sample.exact) and sample.degrees < 1e-3 and not sample.constant


def test_shares_of_signs_of_a_rule_per_component():
    circuit = network((1, 8, 8), [], (12, 8), rule=DFA(limits=(0.0, 1.0)), conventional=True)
    sample = measured(Simulator(circuit))["fc1"]
    seen = sample.exact != 0
    assert sample.credit.shape == sample.exact.shape and sample.exact.shape[1] == 12
    assert len(sample.exact) <= 32, "images whose exact credit is 0 everywhere are left out"
    assert abs(sample.same_sign - (sample.credit * sample.exact > 0)[seen].mean()) < 1e-12
    assert 0.2 < sample.same_sign < 0.8


def test_untied_networks_are_compared_component_by_component():
    circuit = Circuit((1, 8, 8), OneHot(10))
    circuit.population("h", 6, gate=SignGate())
    circuit.connect("input", "h", Dense(), rule=GEVB())
    circuit.connect("h", "output", Dense(), rule=GEVB(), sharing="untied")
    sample = measured(Simulator(circuit))["h"]
    assert sample.credit.shape == sample.exact.shape == (32, 60)


def test_frozen_populations_are_named():
    circuit = circuits.load("digits-fc", widths=(12, 8)).with_rules({"input->fc1": None})
    with pytest.raises(SimulationError, match="population 'fc1': all groups"):
        measured(Simulator(circuit))


def test_the_histogram_draws_a_constant_as_a_line_and_counts_the_rest():
    random = np.random.default_rng(0).normal(size=(30, 20))
    ax = draw_credit_histogram(np.ones((30, 20)), random, rule="GEVB")
    shares, edges, _ = ax.patches[0].get_data()
    assert np.nan_to_num(shares).tolist() == (np.histogram(random, edges)[0] / random.size).tolist()
    assert [list(line.get_xdata()) for line in ax.lines] == [[1.0, 1.0], [0, 0]]
    both = draw_credit_histogram(random, 2 * random, ax=ax.figure.add_subplot(), rule="DFA")
    assert len(both.patches) == 2
    assert [text.get_text() for text in both.get_legend().get_texts()] == ["BP, exact", "DFA"]
