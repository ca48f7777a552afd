"""No tensor is made on an implicit device: with another default device everything still happens where it was asked."""

from __future__ import annotations

import math

import pytest
import torch
from small_circuits import batch_for, small

from neurosim import BP, GEVB, Simulator
from neurosim.analysis.credit_quality import credit_quality
from neurosim.circuits import available_circuits
from neurosim.rules import DFA, FA, LocalError, NodePerturbation, SignSymmetric, ThreeFactorHebbian

RULES = [BP(), GEVB(), FA(), DFA(), SignSymmetric(), NodePerturbation(), LocalError(), ThreeFactorHebbian()]


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: type(rule).__name__)
@pytest.mark.parametrize("name", available_circuits())
def test_another_default_device_changes_nothing(name, rule):
    circuit = small(name, rule=rule)
    images, labels = batch_for(circuit, 4)
    usual = Simulator(circuit, device="cpu")
    with torch.device("meta"):
        elsewhere = Simulator(circuit, device="cpu")
        step = elsewhere.learn(images, labels)
        elsewhere.score(images, labels)
        elsewhere.load_state_dict(elsewhere.state_dict())
    assert float(step.loss) == float(usual.learn(images, labels).loss)
    for key, tensor in usual.state_dict().items():
        assert torch.equal(tensor, elsewhere.state_dict()[key]), key


def test_angles_of_what_does_not_learn_are_where_the_others_are():
    circuit = small("digits-fc").with_rules({"input->fc1": None})
    with torch.device("meta"):
        found = credit_quality(Simulator(circuit, device="cpu"), *batch_for(circuit, 4), measures=("angle",))
    assert math.isnan(found.degrees["fc1"]) and found.kept["fc1"] == 0 and found.degrees["fc2"] > 0
