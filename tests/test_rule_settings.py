"""What the settings of our rules refuse: each names the rule and the setting, what was expected and what came."""

from __future__ import annotations

import math
import re

import pytest
import torch

from neurosim import Circuit, Dense, He, OneHot, SignGate, Simulator
from neurosim.errors import CircuitError
from neurosim.feedback import FixedRandom, ForwardSigns, ForwardWeights
from neurosim.rule_words import rule_from_words
from neurosim.rules import DFA, FA, NodePerturbation, SignSymmetric, ThreeFactorHebbian

PATHWAYS = {
    "bp under a false name": (
        lambda: FA(feedback=ForwardWeights()),
        "FA.feedback must be a FixedRandom(...), got ForwardWeights(); a rule that listens to that is BP()",
    ),
    "signs under a false name": (
        lambda: FA(feedback=ForwardSigns()),
        "a rule that listens to that is SignSymmetric(feedback=...)",
    ),
    "fa under a false name": (
        lambda: SignSymmetric(feedback=FixedRandom()),
        "SignSymmetric.feedback must be a ForwardSigns(...), got FixedRandom(name='fa', init=None); a rule that "
        "listens to that is FA(feedback=...)",
    ),
    "a number": (lambda: FA(feedback=3), "FA.feedback must be a FixedRandom(...), got 3"),
    "a class": (lambda: FA(feedback=FixedRandom), "; write FixedRandom(...), an object of that class"),
}
NAMED = {
    "dfa": lambda name: DFA(name=name),
    "hebbian": lambda name: ThreeFactorHebbian(name=name),
    "fixed random": lambda name: FixedRandom(name=name),
    "signs": lambda name: ForwardSigns(name=name),
}
NUMBERS = {
    "sigma": (lambda value: NodePerturbation(sigma=value), "NodePerturbation.sigma must be a positive number"),
    "rate": (lambda value: ThreeFactorHebbian(rate=value), "ThreeFactorHebbian.rate must be a number above 0 and at"),
    "scale": (lambda value: ForwardSigns(scale=value), "ForwardSigns.scale must be a positive number"),
    "low": (lambda value: DFA(limits=(value, 3.0)), "DFA.limits must be (low, high), two finite numbers with low <"),
    "high": (lambda value: DFA(limits=(-3.0, value)), "DFA.limits must be (low, high), two finite numbers with low <"),
}


@pytest.mark.parametrize("case", PATHWAYS)
def test_another_pathway_would_be_another_rule(case):
    make, text = PATHWAYS[case]
    with pytest.raises(CircuitError, match=re.escape(text)):
        make()


@pytest.mark.parametrize("name", [3, "", "a/b", "..", "line\nbreak", None], ids=repr)
@pytest.mark.parametrize("kind", NAMED)
def test_a_name_is_a_text_that_divides_nothing(kind, name):
    text = f".name must be a printable, non-empty text without '/', other than '.' and '..', got {name!r}"
    with pytest.raises(CircuitError, match=re.escape(text)):
        NAMED[kind](name)


@pytest.mark.parametrize("value", [math.inf, -math.inf, math.nan, "loud", True, 10**400], ids=lambda v: repr(v)[:5])
@pytest.mark.parametrize("setting", NUMBERS)
def test_a_number_is_finite(setting, value):
    make, text = NUMBERS[setting]
    with pytest.raises(CircuitError, match=re.escape(text)):
        make(value)


@pytest.mark.parametrize("sigma", [1e-200, 1e-9, 0.99e-6, 1.01e6, 1e39, 1e300], ids=repr)
def test_noise_that_float32_does_not_resolve_is_refused(sigma):
    text = f"NodePerturbation.sigma must be between 1e-6 and 1e6, got {sigma!r}: float32 resolves"
    with pytest.raises(CircuitError, match=re.escape(text)):
        NodePerturbation(sigma=sigma)


@pytest.mark.parametrize("sigma", [1e-6, 1e6])
def test_noise_at_the_bounds_is_felt_in_float32(sigma):
    circuit = Circuit(5, OneHot(4, loss="squared"))
    circuit.population("h", 6, gate=SignGate())
    circuit.connect("input", "h", Dense(), rule=NodePerturbation(sigma))
    circuit.connect("h", "output", Dense(), rule=NodePerturbation(sigma))
    images = torch.linspace(-1, 1, 40, device="cpu").view(8, 5)
    update = Simulator(circuit).probe(images, torch.arange(8, device="cpu") % 4).updates["input->h"]
    assert bool(update.isfinite().all()) and float(update.abs().max()) > 0.01


@pytest.mark.parametrize("limits", [(-1e308, 1e308), (0, 1e39), (-1e39, 0), (-3e38, 3e38), (0, 1e-39)], ids=repr)
def test_limits_are_numbers_of_float32(limits):
    text = (
        "DFA.limits must be (low, high) that float32 can tell apart: low, high and high - low at most 3.4e+38 in size"
    )
    with pytest.raises(CircuitError, match=re.escape(text) + ".* at least 1.2e-38, got " + re.escape(repr(limits))):
        DFA(limits=limits)


@pytest.mark.parametrize("limits", [5, "ab", (1,), (1, 2, 3), (1, 1), None], ids=repr)
def test_limits_are_a_pair(limits):
    with pytest.raises(CircuitError, match=re.escape("two finite numbers with low < high, got " + repr(limits))):
        DFA(limits=limits)


@pytest.mark.parametrize(("words", "text"), [
    ("fa(feedback=3)", "FA.feedback must be a FixedRandom(...), got 3"),
    ("fa(feedback=ForwardWeights())", "a rule that listens to that is BP()"),
    ("sign-symmetric(feedback=FixedRandom())", "a rule that listens to that is FA(feedback=...)"),
    ("dfa(name='a/b')", "DFA.name must be a printable, non-empty text without '/'"),
    ("dfa(limits=(0, 1e999))", "DFA.limits must be (low, high), two finite numbers"),
    ("node-perturbation(sigma=1e999)", "NodePerturbation.sigma must be a positive number, got inf"),
])  # fmt: skip
def test_on_the_command_line(words, text):
    with pytest.raises(CircuitError, match=re.escape(text)):
        rule_from_words(words)


def test_what_is_right_stays_accepted():
    class _Sparse(FixedRandom):
        pass

    assert FA(_Sparse("own")).feedback.label == "own"
    assert DFA(limits=[0, 1]).limits == (0.0, 1.0) and NodePerturbation(sigma=1).sigma == 1
    assert FixedRandom("fa", He()).init == He() and ThreeFactorHebbian(rate=1).rate == 1
