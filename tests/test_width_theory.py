"""Eq. 15 and its pair-aware form against random networks, and against numbers by hand."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.figure import Figure

from neurosim.analysis.weight_distributions import DISTRIBUTIONS, distribution_named
from neurosim.analysis.width_networks import sign_gated_relative_std
from neurosim.analysis.width_theory import (
    log_log_slope,
    measured_relative_std,
    predicted_angle,
    predicted_onoff_relative_std,
    predicted_relative_std,
)
from neurosim.errors import SimulationError, UnknownNameError
from neurosim.figures.width_theory import draw_width_theory
from neurosim.streams import stream

RESULTS = Path(__file__).parents[1] / "results"

# -- predictions -----------------------------------------------------------------------------------------------------


def test_recurrence_by_hand() -> None:
    found = predicted_relative_std((100, 50, 8), (3.0, 2.0, 1.0))  # weights out of layers 1, 2, 3
    third, second = 1.0, math.sqrt(2 / 8) * 2.0 * math.sqrt(2.0)
    assert found == pytest.approx((math.sqrt(2 / 50) * 3.0 * math.sqrt(1 + second**2), second, third), abs=1e-12)


def test_recurrence_refuses_other_numbers_of_ratios() -> None:
    with pytest.raises(SimulationError, match="got 2 ratios and 3 layers"):
        predicted_relative_std((4, 4, 4), (1.0, 1.0))
    with pytest.raises(SimulationError, match="got 0 ratios|got 0 layers|and 0 layers"):
        predicted_relative_std((), 1.0)
    with pytest.raises(SimulationError, match=r"expected ratio numbers of at least 0, got \[-1.0, -1.0\]"):
        predicted_relative_std((32, 32), -1.0)
    with pytest.raises(SimulationError, match=r"expected widths of at least 1 unit, got \[0, 32\]"):
        predicted_relative_std((0, 32), 1.0)


@given(st.floats(0, 1e3))
def test_angle_is_that_of_equation_21(r: float) -> None:
    assert abs(math.cos(math.radians(predicted_angle(r))) - 1 / math.sqrt(1 + r * r)) <= 1e-9


def test_last_hidden_layer_of_the_papers_networks() -> None:
    """The paper measured 55.6 to 55.7 degrees."""
    assert abs(predicted_angle(predicted_onoff_relative_std((1024, 512))[-1]) - 55.65) <= 0.01


def test_pairs_matter_only_before_the_last_two_layers() -> None:
    widths, ratio = (4096,) * 5, DISTRIBUTIONS["on-off"].ratio
    onoff, independent = predicted_onoff_relative_std(widths), predicted_relative_std(widths, ratio)
    assert onoff[-2:] == pytest.approx(independent[-2:], abs=1e-12)
    limit = math.sqrt((math.pi - 2) / (math.pi - 1))
    assert [a / b for a, b in zip(onoff[:3], independent[:3], strict=True)] == pytest.approx([limit] * 3, abs=2e-3)


# -- weights ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", DISTRIBUTIONS)
def test_distributions_have_their_ratio(name: str) -> None:
    weights = distribution_named(name).draw(600, 600, stream(0, "test", name)).double()
    assert float(weights.min()) >= 0
    assert abs(float(weights.std() / weights.mean()) - DISTRIBUTIONS[name].ratio) <= 0.03


def test_on_off_weights_are_not_independent() -> None:
    """Of the weights from a pair onto one unit exactly one is 0; their correlation is ``-1 / (pi - 1)``."""
    weights = distribution_named("on-off").draw(200, 400, stream(0, "test")).double().unflatten(1, (200, 2))
    assert torch.equal((weights == 0).sum(2), torch.ones(200, 200, dtype=torch.int64))
    correlation = torch.corrcoef(weights.flatten(0, 1).t())[0, 1]
    assert abs(float(correlation) + 1 / (math.pi - 1)) <= 0.02
    assert torch.equal(weights[0::2].flip(2), weights[1::2]), "the partner has the same two, swapped"


def test_unknown_distribution() -> None:
    with pytest.raises(UnknownNameError, match="half-normal"):
        measured_relative_std([4], "half_normal")


# -- measurements ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", [name for name, drawn in DISTRIBUTIONS.items() if drawn.independent])
def test_equation_15_within_ten_percent_from_256(name: str) -> None:
    """The mean over networks: one network has a last layer of 256 weights, too few of a heavy-tailed distribution."""
    widths = [256, 512, 1024]
    r = measured_relative_std(widths, name, hidden=3, seeds=range(32))
    assert r.shape == (3, 32, 8, 3)
    for number, width in enumerate(widths):
        predicted = predicted_relative_std((width,) * 3, DISTRIBUTIONS[name].ratio)
        assert np.abs(r[number].mean((0, 1)) / predicted - 1).max() <= 0.1


@pytest.mark.parametrize("name", ["half-normal", "exponential"])
def test_slope_is_minus_one_half(name: str) -> None:
    widths = [64, 128, 256, 512, 1024]
    r = measured_relative_std(widths, name, hidden=3, seeds=range(3)).mean((1, 2))
    assert abs(log_log_slope(widths, r[:, 0]) + 0.5) <= 0.05
    assert abs(log_log_slope(widths, r[:, 1]) + 0.5) <= 0.05
    assert abs(log_log_slope(widths, r[:, 2])) <= 0.1, "the last hidden layer does not depend on the width"


def test_equation_15_holds_with_gates_of_a_forward_pass() -> None:
    r = sign_gated_relative_std([256], "half-normal", hidden=3, seeds=range(3)).mean((0, 1, 2))
    predicted = predicted_relative_std((256,) * 3, DISTRIBUTIONS["half-normal"].ratio)
    assert np.abs(r / predicted - 1).max() <= 0.1


@pytest.mark.parametrize("gates", ["paired", "independent"])
def test_on_off_follows_its_own_recurrence(gates: str) -> None:
    r = measured_relative_std([512], "on-off", hidden=4, gates=gates, seeds=range(3)).mean((0, 1, 2))
    predicted = predicted_onoff_relative_std((512,) * 4, shared_gates=gates == "paired")
    assert np.abs(r / predicted - 1).max() <= 0.08
    marginal = predicted_relative_std((512,) * 4, DISTRIBUTIONS["on-off"].ratio)
    assert (r / marginal)[:2].max() <= (0.8 if gates == "paired" else 0.93), "Eq. 15 does not hold"


def test_on_off_with_gates_of_a_forward_pass() -> None:
    r = sign_gated_relative_std([256], "on-off", hidden=4, seeds=range(3)).mean((0, 1, 2))
    assert np.abs(r / predicted_onoff_relative_std((256,) * 4) - 1).max() <= 0.1


def test_same_seed_same_numbers() -> None:
    first, second = (measured_relative_std([32], hidden=2, seeds=[3]) for _ in range(2))
    assert np.array_equal(first, second)


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"gates": "sign"}, "must be one of independent, paired"),
        ({"widths": [33]}, "even"),
        ({"hidden": 0}, "hidden= must be at least 1, got 0"),
        ({"examples": 0}, "examples= must be at least 1, got 0"),
    ],
)
def test_refusals(change: dict[str, object], text: str) -> None:
    with pytest.raises(SimulationError, match=text):
        measured_relative_std(**({"widths": [32]} | change))  # type: ignore[arg-type]


def test_figure() -> None:
    ax = Figure().add_subplot()
    samples = np.array([[[0.2, 0.4]], [[0.1, 0.3]]])
    assert draw_width_theory([32, 64], {"a": samples}, {"a": [0.3, 0.2]}, ax=ax) is ax
    assert [list(line.get_ydata()) for line in ax.lines][1] == [0.3, 0.2]
    guide = next(line for line in ax.lines if line.get_label() == "slope -1/2")
    assert abs(log_log_slope([32, 64], np.asarray(guide.get_ydata())) + 0.5) <= 1e-9


def test_published_measurement_is_within_ten_percent_from_256() -> None:
    settings = json.loads((RESULTS / "width_theory.json").read_text(encoding="utf-8"))["settings"]
    assert {name.split(", ")[0] for name in settings} == set(DISTRIBUTIONS)
    for name, numbers in settings.items():
        wide = np.array(numbers["widths"]) >= 256
        r = np.array(numbers["measured_by_width_seed_layer"]).mean(1)[wide]
        error = np.abs(r / np.array(numbers["predicted_by_width_layer"])[wide] - 1).max()
        assert abs(error - numbers["largest_relative_error_from_256"]) <= 1e-3, name
        assert error <= 0.1, name
