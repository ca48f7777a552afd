"""The distribution of FA's fixed feedback: the groups' own, or one of its own where groups start at zero."""

from __future__ import annotations

import math
import re

import pytest
import torch

from neurosim import Circuit, Conv2d, Dense, He, Initializer, Local2d, OneHot, SignGate, Simulator, Zeros
from neurosim.errors import CircuitError
from neurosim.feedback import FixedRandom
from neurosim.rule_words import rule_from_words
from neurosim.rules import FA, GEVB
from neurosim.testing import batch

CONNECTIVITIES = [Dense(), Conv2d(3, padding=1), Local2d(3, padding=1)]
OWN = FA(FixedRandom(init=He()))


def starts_at_zero(rule, connectivity, init=None, K=None, sharing="tied"):
    """Two hidden populations, the group between them at zero; only what is before it listens to ``rule``."""
    circuit = Circuit((2, 6, 6), OneHot(3), K=K)
    shape = (4, ...) if not isinstance(connectivity, Dense) else (6,)
    circuit.population("a", shape, gate=SignGate())
    circuit.connect("input", "a", connectivity, rule=rule)
    circuit.population("b", shape, gate=SignGate())
    circuit.connect("a", "b", connectivity, init=init or Zeros(), rule=None, sharing=sharing)
    circuit.connect("b", "output", Dense(), rule=rule)
    return circuit


@pytest.mark.parametrize("K", [None, 1])
@pytest.mark.parametrize("connectivity", CONNECTIVITIES, ids=str)
def test_feedback_that_would_be_zero_is_refused(connectivity, K):
    text = (
        "group 'a->b': the feedback 'fa' would be drawn by Zeros() and be 0 for ever, so that nothing before this "
        "group learns by it; give it a distribution of its own, FixedRandom(init=He()), or the group another init="
    )
    with pytest.raises(CircuitError, match=re.escape(text)):
        Simulator(starts_at_zero(FA(), connectivity, K=K))


@pytest.mark.parametrize("sharing", ["tied", "untied"])
@pytest.mark.parametrize("connectivity", CONNECTIVITIES, ids=str)
def test_a_distribution_of_its_own_reaches_through_weights_at_zero(connectivity, sharing):
    circuit = starts_at_zero(OWN, connectivity, sharing=sharing)
    simulator = Simulator(circuit, precision="float64")
    feedback, group = simulator.feedback["fa/a->b"], circuit.group("a->b")
    assert feedback.shape == simulator.weights["a->b"].shape
    assert not bool(simulator.weights["a->b"].any())
    entries = feedback[0] if sharing == "untied" else feedback  # they start as copies
    scale = math.sqrt(2.0 / circuit.site(group).fan_in)
    assert 0.6 < float(entries.std()) / scale < 1.4
    before = simulator.weights["input->a"].clone()
    update = simulator.learn(*batch(simulator)).updates["input->a"]
    assert bool(update.any()) and not torch.equal(before, simulator.weights["input->a"])


def test_it_is_the_draw_that_the_group_itself_would_have_had():
    own = Simulator(starts_at_zero(OWN, Dense())).feedback["fa/a->b"]
    assert torch.equal(own, Simulator(starts_at_zero(FA(), Dense(), init=He())).feedback["fa/a->b"])


def test_zeros_after_which_nobody_listens_are_no_matter():
    circuit = starts_at_zero(FA(), Dense()).with_rules({"input->a": GEVB()})
    assert set(Simulator(circuit).feedback) == set()
    last = Circuit(4, OneHot(3))
    last.connect("input", "output", Dense(), rule=FA(), init=Zeros())
    assert Simulator(last).feedback.keys() == set()


def test_it_is_written_saved_and_checked():
    assert rule_from_words("fa(feedback=FixedRandom(init=He()))") == OWN
    circuit = starts_at_zero(OWN, Dense())
    assert Circuit.from_json(circuit.to_json()) == circuit
    with pytest.raises(CircuitError, match=r"FixedRandom.init must be an initializer .* write He\(...\)"):
        FixedRandom(init=He)
    with pytest.raises(CircuitError, match="group 'a->b': OnOff"):
        odd = starts_at_zero(rule_from_words("fa(feedback=FixedRandom(init=OnOff(flattened=True)))"), Dense())
        Simulator(odd)


def test_a_strangers_initializer_that_draws_zeros_is_refused_too():
    class _Silent(Initializer):
        def draw(self, site, generator):
            return torch.zeros(site.shape, dtype=torch.float64, device="cpu")

    with pytest.raises(CircuitError, match="would be drawn by .*_Silent.* and be 0 for ever"):
        Simulator(starts_at_zero(FA(), Dense(), init=_Silent()))
