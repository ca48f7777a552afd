"""Rules in words: names, hyperparameters, and what is refused."""

from __future__ import annotations

import colorsys
import os
import re
import sys

import pytest

from neurosim.description import _KNOWN
from neurosim.errors import CircuitError, NeurosimError, UnknownNameError
from neurosim.experiment import Experiment
from neurosim.plasticity import available_rules, rule_named
from neurosim.rule_words import rule_from_words, split_words
from neurosim.rules import BP, DFA, GEVB

OWN_RULE = """
from attrs import frozen
from neurosim import GEVB, CreditForm, PlasticityRule
from neurosim.plasticity import Signal

@frozen
class {name}(PlasticityRule):
    sigma: float = 0.5

    def form(self, circuit):
        return CreditForm.BROADCAST

    def credit(self, context):
        return None

class NoRule:
    pass

class HalfInWords(PlasticityRule):
    def credit(self, context):
        return None

class SetInWords({name}):
    uses = {{Signal.ERROR}}
"""


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
        ("dfa(limits=[0, 1])", CircuitError, "True, False, None, a tuple of these, or a feedback"),
        ("dfa(limits=(0, {1}))", CircuitError, "True, False, None, a tuple of these, or a feedback"),
        ("node-perturbation(sigma='loud')", CircuitError, "sigma"),
    ],
)
def test_refusals(words, error, text):
    with pytest.raises(NeurosimError, match=re.escape(text)) as caught:
        rule_from_words(words)
    assert isinstance(caught.value, error)


@pytest.fixture
def folder_of_rules(tmp_path, monkeypatch):
    """The current folder, with two modules of rules; what they import and define is forgotten afterwards."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    (tmp_path / "words_rules.py").write_text(OWN_RULE.format(name="EagerInWords"))
    (tmp_path / "words_broken.py").write_text("import nowhere_at_all")
    (tmp_path / "words_failing.py").write_text("1 / 0")
    yield tmp_path
    for name in ("EagerInWords", "HalfInWords", "SetInWords"):
        _KNOWN["rule"].pop(name, None)
    for name in ("words_rules", "words_broken", "words_failing"):
        sys.modules.pop(name, None)


@pytest.mark.usefixtures("folder_of_rules")
def test_a_rule_of_ones_own_needs_no_package():
    rule = rule_from_words("words_rules:EagerInWords")
    assert type(rule).__name__ == "EagerInWords" and rule.sigma == 0.5
    assert rule_from_words("words_rules:EagerInWords(sigma=2)").sigma == 2
    experiment = Experiment(rule=("bp", "fc1->fc2=words_rules:EagerInWords"))
    assert experiment.build_circuit().groups["fc1->fc2"].rule == rule
    assert experiment.label == "digits-fc-bp-fc1-fc2-words_rules-EagerInWords-seed0"
    assert rule_from_words("neurosim.rules.gevb:GEVB") == GEVB()
    assert sys.path[-1] == os.getcwd(), "no file of this folder stands in for a module of somebody else's"


@pytest.mark.parametrize(
    ("words", "error", "text"),
    [
        (
            "words_rule:EagerInWords",
            CircuitError,
            "no module 'words_rule': expected words_rule.py in the current folder",
        ),
        ("no.such:Rule", CircuitError, "no module 'no.such': expected no/such.py in the current folder"),
        (
            "words_rules:Eager",
            UnknownNameError,
            "unknown rule of module 'words_rules' 'Eager'; known: EagerInWords, GEVB",
        ),
        ("words_rules:NoRule", CircuitError, "expected a subclass of neurosim.plasticity.PlasticityRule, got <class"),
        ("words_rules:HalfInWords", CircuitError, "rule 'words_rules:HalfInWords': HalfInWords must define form, see"),
        ("words_rules:SetInWords", CircuitError, "SetInWords.uses must be a frozenset of Signal"),
        (
            "neurosim.plasticity:PlasticityRule",
            CircuitError,
            "rule 'neurosim.plasticity:PlasticityRule': PlasticityRule must define form and credit, see",
        ),
        (
            "words_rules:EagerInWords(s=1)",
            UnknownNameError,
            "unknown hyperparameter of rule 'words_rules:EagerInWords'",
        ),
        (
            "words_rules.py:EagerInWords",
            CircuitError,
            "no module 'words_rules.py': expected the name alone, words_rules",
        ),
        (
            "words-rules:Eager",
            CircuitError,
            "'words-rules': expected the name of a module, as my_rules for my_rules.py",
        ),
        (":Eager", CircuitError, "rule ':Eager': expected MODULE:CLASS, as my_rules:MyRule"),
        ("words_rules:", CircuitError, "rule 'words_rules:': expected MODULE:CLASS, as my_rules:MyRule"),
        ("words_broken:X", CircuitError, "module 'words_broken': it needs a module that is not there: No module named"),
        ("words_failing:X", CircuitError, "module 'words_failing': it cannot be imported: ZeroDivisionError: division"),
    ],
)
@pytest.mark.usefixtures("folder_of_rules")
def test_refusals_of_rules_of_ones_own(words, error, text):
    with pytest.raises(NeurosimError, match=re.escape(text)) as caught:
        rule_from_words(words)
    assert isinstance(caught.value, error)


def test_a_module_that_another_stands_in_for_is_named(folder_of_rules):
    (folder_of_rules / "colorsys.py").write_text(OWN_RULE.format(name="EagerInWords"))
    (folder_of_rules / "sys.py").write_text("")
    for name, file in (("colorsys", colorsys.__file__), ("sys", "built in")):
        text = f"known: none; the module is {file}, not {name}.py in this folder: give that another name"
        with pytest.raises(UnknownNameError, match=re.escape(text)):
            rule_from_words(f"{name}:EagerInWords")
    own = folder_of_rules / "words_rules.py"
    with pytest.raises(UnknownNameError, match=re.escape(f"; the module is {own}") + "$"):
        rule_from_words("words_rules:Eager")


def test_commas_in_brackets_divide_nothing():
    assert split_words("gevb,dfa(limits=(0, 1), hold=[1, 2]) , bp") == ["gevb", "dfa(limits=(0, 1), hold=[1, 2])", "bp"]
    assert split_words("a,,b") == ["a", "", "b"]
