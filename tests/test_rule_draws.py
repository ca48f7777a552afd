"""What rules draw, by its statistics: the distributions that their docstrings name, within 5 standard errors."""

from __future__ import annotations

import math
import re

import pytest
import torch
from small_circuits import batch_for

from neurosim import BP, Circuit, Dense, HalfNormal, He, OneHot, OnOff, SignGate, Simulator
from neurosim.analysis import gradient_alignment, sign_agreement
from neurosim.errors import SimulationError
from neurosim.feedback import FixedRandom, ForwardSigns
from neurosim.rules import DFA, FA, SignSymmetric, ThreeFactorHebbian

BELOW, WIDTH = 200, 300


def simulator(rule, init=None, sign="mixed"):
    """A group of 300 to 200 units, ``"a->b"``, through which a rule listens; 60,000 entries."""
    circuit = Circuit(5, OneHot(10), K=1)
    circuit.population("a", WIDTH, gate=SignGate())
    circuit.population("b", BELOW, gate=SignGate())
    circuit.connect("input", "a", Dense(), rule=rule)
    circuit.connect("a", "b", Dense(), rule=BP(), init=init or He(), sign=sign)
    circuit.connect("b", "output", Dense(), rule=BP())
    return Simulator(circuit, precision="float64", seed=6)


def scale_of(entries, std):
    """The root mean square of normal entries over what it should be, and 5 standard errors of it."""
    return float(entries.square().mean().sqrt()) / std, 5 / math.sqrt(2 * entries.numel())


def correlation(one, other):
    return float(torch.corrcoef(torch.stack([one.flatten(), other.flatten()]))[0, 1])


def test_fa_feedback_has_the_scale_of_he_and_nothing_of_the_weights():
    run = simulator(FA())
    feedback = run.feedback["fa/a->b"]
    ratio, error = scale_of(feedback, math.sqrt(2 / WIDTH))
    assert feedback.shape == (BELOW, WIDTH)
    assert abs(ratio - 1) < error < 0.02 and abs(float(feedback.mean())) < 5 * math.sqrt(2 / WIDTH / feedback.numel())
    assert abs(correlation(feedback, run.weights["a->b"])) < 5 / math.sqrt(feedback.numel())


def test_fa_feedback_has_the_pairs_and_signs_of_on_off_weights():
    """``[[W]+, [-W]+; [-W]+, [W]+]`` with a W of its own, std ``2 / sqrt(n_in)``."""
    run = simulator(FA(), OnOff(), "nonnegative")
    feedback = run.feedback["fa/a->b"]
    same, opposite = feedback[0::2, 0::2], feedback[0::2, 1::2]
    assert float(feedback.min()) == 0.0
    assert torch.equal(same, feedback[1::2, 1::2]) and torch.equal(opposite, feedback[1::2, 0::2])
    assert not bool((same * opposite).any())
    ratio, error = scale_of(same - opposite, 2 / math.sqrt(WIDTH))
    assert abs(ratio - 1) < error < 0.03
    forward = run.weights["a->b"]
    own = correlation(same - opposite, forward[0::2, 0::2] - forward[0::2, 1::2])
    assert abs(own) < 5 / math.sqrt(same.numel())


def test_fa_feedback_has_the_mean_of_half_normal_weights():
    feedback = simulator(FA(), HalfNormal(3.0), "nonpositive").feedback["fa/a->b"]
    assert float(feedback.max()) < 0
    mean, std = math.sqrt(2 / math.pi) * 3 / WIDTH, math.sqrt(1 - 2 / math.pi) * 3 / WIDTH
    assert abs(float(feedback.mean()) + mean) < 5 * std / math.sqrt(feedback.numel())


@pytest.mark.parametrize("magnitude", ["fixed", "redrawn"])
@pytest.mark.parametrize("scale", [None, 0.7])
def test_random_magnitudes_of_sign_symmetric_feedback(magnitude, scale):
    """``scale |z|``, by default of He's scale ``sqrt(2 / n_in)``: feedback of the forward weights' size."""
    chosen = ForwardSigns(magnitude, scale)
    run = simulator(SignSymmetric(chosen))
    redrawn = magnitude == "redrawn"
    size = run._redraw(chosen, "a->b") if redrawn else run.feedback["sign-symmetric/a->b"]
    expected = scale or math.sqrt(2 / WIDTH)
    ratio, error = scale_of(size, expected)
    assert float(size.min()) >= 0
    assert abs(ratio - 1) < error < 0.02
    mean, std = math.sqrt(2 / math.pi), math.sqrt(1 - 2 / math.pi)
    assert abs(float(size.mean()) / expected - mean) < 5 * std / math.sqrt(size.numel())


@pytest.mark.parametrize("limits", [None, (0, 1), (-0.3, 2.0), (-5, -4.5)], ids=str)
def test_dfa_is_uniform_between_its_limits(limits):
    """Least, largest, mean and variance of 3,000 entries; the default is (-1, 1)."""
    rule = DFA() if limits is None else DFA(limits=limits)
    low, high = limits or (-1.0, 1.0)
    matrix = simulator(rule).feedback["dfa/a/D"]
    assert matrix.shape == (10, WIDTH)
    width, number = high - low, matrix.numel()
    assert low <= float(matrix.min()) < low + 0.01 * width  # 0.99^3000 is 1e-13
    assert high > float(matrix.max()) > high - 0.01 * width
    assert abs(float(matrix.mean()) - (low + high) / 2) < 5 * width / math.sqrt(12 * number)
    # the variance of a squared deviation is (1/80 - 1/144) width^4
    spread = float((matrix - (low + high) / 2).square().mean()) - width**2 / 12
    assert abs(spread) < 5 * width**2 * math.sqrt((1 / 80 - 1 / 144) / number)


@pytest.mark.parametrize(
    ("learns", "asked"),
    [
        (DFA(), DFA(limits=(0, 1))),
        (FA(), FA(FixedRandom(init=HalfNormal()))),
        (SignSymmetric(), SignSymmetric(ForwardSigns("fixed"))),
        (ThreeFactorHebbian(), ThreeFactorHebbian(rate=0.5)),
    ],
    ids=str,
)
def test_what_another_rule_drew_under_the_same_name_is_not_taken(learns, asked):
    """The credit by limits (0, 1) is not what a matrix of (-1, 1) delivers; the same rule made anew is the same."""
    circuit = Circuit((1, 4, 4), OneHot(3))
    circuit.population("a", 6, gate=SignGate())
    circuit.population("b", 4, gate=SignGate())
    for pre, post in (("input", "a"), ("a", "b"), ("b", "output")):
        circuit.connect(pre, post, Dense(), rule=learns)
    run = Simulator(circuit, seed=1)
    images, labels = batch_for(circuit, 3)
    again = type(learns).from_dict(learns.to_dict())
    assert torch.equal(run.probe(images, labels).credit("a", again), run.probe(images, labels).credit("a"))
    kept_by = asked.pathways[0] if asked.pathways else asked
    pattern = (
        f"{re.escape(str(kept_by))} cannot be asked for .* was drawn by .*, which has the same name and learns here"
    )
    with pytest.raises(SimulationError, match=pattern):
        run.probe(images, labels).credit("a", asked)
    for measure in (gradient_alignment, sign_agreement):
        with pytest.raises(SimulationError, match=pattern):
            measure(run, images, labels, rule=asked)
