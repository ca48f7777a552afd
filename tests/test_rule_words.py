"""Rules in words: names, hyperparameters, and what is refused."""

from __future__ import annotations

import re

import pytest

from neurosim.errors import CircuitError, NeurosimError, UnknownNameError
from neurosim.experiment import Experiment
from neurosim.plasticity import available_rules, rule_named
from neurosim.rule_words import rule_from_words, split_words
from neurosim.rules import BP, DFA, GEVB


@pytest.mark.parametrize("name", sorted(available_rules()))
def test_every_rule_and_its_own_words(name):
    rule = rule_named(name)
    assert rule_from_words(name) == rule_from_words(f" {name}() ") == rule
    in_words = f"{name}{repr(rule)[len(type(rule).__name__) :]}"
    assert rule_from_words(in_words) == rule


def test_hyperparameters():
    assert rule_from_words("dfa(limits=(0, 1))") == DFA(limits=(0.0, 1.0)) != rule_named("dfa")
    redrawn = "sign-symmetric(feedback=ForwardSigns(magnitude='redrawn'))"
    assert rule_from_words(redrawn).feedback.magnitude == "redrawn"
    assert rule_from_words("node-perturbation(sigma=0.25)").sigma == 0.25


def test_experiment_takes_them_for_all_groups_and_for_one():
    experiment = Experiment(circuit="digits-fc", rule=("gevb", "input->fc1=bp"))
    rules = {name: group.rule for name, group in experiment.build_circuit().groups.items()}
    assert rules.pop("input->fc1") == BP() and set(rules.values()) == {GEVB()}
    noisy = Experiment(circuit="digits-fc", rule=("bp", "fc1->fc2=node-perturbation(sigma=0.5)"))
    assert noisy.build_circuit().groups["fc1->fc2"].rule.sigma == 0.5
    assert noisy.build_circuit().groups["input->fc1"].rule == BP()
    assert noisy.label == "digits-fc-bp-fc1-fc2-node-perturbation-sigma-0.5-seed0"


@pytest.mark.parametrize(
    ("words", "error", "text"),
    [
        ("gevbb(noise=1)", UnknownNameError, "unknown rule 'gevbb'; did you mean 'gevb'?"),
        ("dfa(limit=(0, 1))", UnknownNameError, "unknown hyperparameter of rule 'dfa' 'limit'; did you mean 'limits'?"),
        ("dfa(0)", CircuitError, "rule 'dfa(0)': expected a name and hyperparameters as in dfa(limits=(0, 1))"),
        ("dfa(limits=(0, 1)", CircuitError, "rule 'dfa(limits=(0, 1)': expected a name and hyperparameters"),
        ("dfa(limits=3 * 2)", CircuitError, "rule 'dfa(limits=3 * 2)': expected a name and hyperparameters"),
        ("fa(feedback=Forwards())", UnknownNameError, "unknown feedback 'Forwards'"),
        ("dfa(limits=3)", CircuitError, "limits"),
        ("node-perturbation(sigma='loud')", CircuitError, "sigma"),
    ],
)
def test_refusals(words, error, text):
    with pytest.raises(NeurosimError, match=re.escape(text)) as caught:
        rule_from_words(words)
    assert isinstance(caught.value, error)


def test_commas_in_brackets_divide_nothing():
    assert split_words("gevb,dfa(limits=(0, 1), hold=[1, 2]) , bp") == ["gevb", "dfa(limits=(0, 1), hold=[1, 2])", "bp"]
    assert split_words("a,,b") == ["a", "", "b"]
