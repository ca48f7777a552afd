"""Groups of different rules into the readout: all follow the exact gradient there, and so does its bias."""

from __future__ import annotations

import pytest
import torch

from neurosim import Circuit, Dense, OneHot, SignGate, Simulator
from neurosim.plasticity import PlasticityRule
from neurosim.rules import BP, DFA, FA, GEVB, LocalError, NodePerturbation, ThreeFactorHebbian
from neurosim.testing import batch

PAIRS = [
    (GEVB(), BP()), (BP(), NodePerturbation()), (ThreeFactorHebbian(), GEVB()), (LocalError(), FA()), (None, DFA()),
    (None, GEVB()), (FA(), None),
]  # fmt: skip


def two_into_output(one, other, K=None, loss="squared"):
    circuit = Circuit((2, 6, 6), OneHot(3, loss=loss), K=K)
    for name in ("a", "b"):
        circuit.population(name, 6, gate=SignGate())
        circuit.connect("input", name, Dense(), rule=BP())
    circuit.connect("a", "output", Dense(), rule=one)
    circuit.connect("b", "output", Dense(), rule=other)
    return circuit


@pytest.mark.parametrize("vectorization", ["group", "temporal"])
@pytest.mark.parametrize("loss", ["squared", "cross_entropy"])
@pytest.mark.parametrize(("one", "other"), PAIRS, ids=str)
def test_both_and_the_bias_follow_the_gradient(one, other, loss, vectorization):
    settings = {"precision": "float64", "vectorization": vectorization}
    mixed = Simulator(two_into_output(one, other, loss=loss), **settings)
    exact = Simulator(two_into_output(BP(), BP(), loss=loss), **settings)
    data = batch(mixed)
    for updates in (mixed.probe(*data).updates, mixed.learn(*data).updates):
        wanted = exact.probe(*data).updates
        names = ["bias of output"]
        names += [name for name, rule in (("a->output", one), ("b->output", other)) if rule is not None]
        assert {name for name in updates if "output" in name} == set(names)
        for name in names:
            assert bool(wanted[name].any())
            assert float((updates[name] - wanted[name]).abs().max()) < 1e-13, name


@pytest.mark.parametrize("K", [None, 1])
def test_the_bias_learns_by_the_first_rule(K):
    first = DFA(limits=(0, 1))
    circuit = two_into_output(None, first, K=K)
    circuit.connect("b", "output", Dense(), rule=BP(), name="further")
    assert circuit.check().bias_rule("output") == first, "a frozen group does not count"
    simulator = Simulator(circuit, precision="float64")
    step = simulator.probe(*batch(simulator))
    credit = step.credit("output")  # no rule has to be named: it is the same for all
    assert torch.equal(credit, step.credit("output", BP()))
    assert Circuit.from_json(circuit.to_json()) == circuit


def test_a_rule_there_is_not_asked_about_the_groups_of_others():
    class _Choosy(GEVB):
        def refusal(self, circuit, group):
            return None if group.pre == "a" else "it comes from elsewhere"

    assert isinstance(two_into_output(_Choosy(), BP()).check().bias_rule("output"), PlasticityRule)
