"""What is drawn are the arrays that were given, on the axes that were given."""

from __future__ import annotations

from itertools import pairwise

import matplotlib
import numpy as np
import pandas
import pytest
from matplotlib.figure import Figure

from neurosim.errors import DataError
from neurosim.figures.alignment import draw_alignment
from neurosim.figures.credit_histogram import draw_credit_histogram
from neurosim.figures.learning_curve import draw_learning_curves
from neurosim.figures.receptive_fields import draw_receptive_fields
from neurosim.figures.scaling import draw_scaling
from neurosim.figures.style import line_styles, panels
from neurosim.figures.update_histogram import draw_update_histogram
from neurosim.figures.weight_histogram import draw_weight_histogram
from neurosim.figures.width_theory import draw_width_theory

RANDOM = np.random.default_rng(0)
TABLE = pandas.DataFrame({"epoch": [1, 2], "test_error": [0.5, 0.25], "train_error": [0.4, 0.1]})
DRAWN = {
    "alignment": lambda ax: draw_alignment(["f1", "f2"], [0, 10], [[9.0, 55.0], [40.0, 50.0]], ax=ax),
    "learning curves": lambda ax: draw_learning_curves({"GEVB+": TABLE}, ax, published={"GEVB+": 9.0}, log=True),
    "weights": lambda ax: draw_weight_histogram([0.0, 1.0], [0.5, 2.0], ax),
    "updates": lambda ax: draw_update_histogram([0.0, -1.0], ax),
    "scaling": lambda ax: draw_scaling([1, 2], {"a": [[1.0, 2.0], [3.0, 5.0]], "b": [1.0, np.nan]}, ax),
    "receptive fields": lambda ax: draw_receptive_fields(RANDOM.normal(size=(2, 3, 1, 4, 5)), ax),
}


@pytest.mark.parametrize("name", DRAWN)
def test_given_axes_or_new_ones_and_nothing_global(name):
    before = dict(matplotlib.rcParams)
    given = Figure().add_subplot()
    assert DRAWN[name](given) is given
    new = DRAWN[name](None)
    new.figure.canvas.draw()
    assert new is not given and new.figure.number is None if hasattr(new.figure, "number") else True
    assert dict(matplotlib.rcParams) == before


def test_alignment_draws_ours_with_error_bars_before_the_published():
    ours, spread = np.array([[9.0, 55.0], [40.0, 50.0]]), np.array([[1.0, 2.0], [3.0, 4.0]])
    theirs, band = np.array([[9.2, 55.7], [41.0, 51.0], [44.0, 45.0]]), np.full((3, 2), 0.5)
    ax = draw_alignment(["f1", "f2"], [0, 8], ours, spread, published=([0, 10, 20], theirs, band))
    curves = [bars.lines[0].get_ydata().tolist() for bars in ax.containers]
    assert curves == ours.T.tolist()
    bars = ax.containers[1].lines[2][0].get_segments()
    assert [segment[:, 1].tolist() for segment in bars] == [[53.0, 57.0], [46.0, 54.0]]
    published = [list(line.get_ydata()) for line in ax.lines if len(line.get_ydata()) == 3]
    assert published == theirs.T.tolist()
    assert len(ax.collections) == 2 + 2  # bands and bars
    assert 10 < ax.get_xlim()[1] < 11, "as far as the published checkpoint after our last"
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["f1", "f2", "paper"]


def test_learning_curves_with_spread_and_published_marks():
    table = TABLE.assign(test_error_std=[0.1, 0.05], train_error_std=0.0)
    ax = draw_learning_curves({"GEVB+": table, "GEVB": TABLE}, published={"GEVB+": 9.0, "GEVB": 9.1})
    assert [list(line.get_ydata()) for line in ax.lines[:2]] == [[50.0, 25.0], [40.0, 10.0]]
    band = ax.collections[0].get_paths()[0].vertices[:, 1]
    assert (round(float(band.min()), 6), round(float(band.max()), 6)) == (20.0, 60.0)
    marks = [(line.get_xdata()[0], line.get_ydata()[0]) for line in ax.lines[4:]]
    assert [error for _, error in marks] == [9.0, 9.1]
    assert marks[0][0] != marks[1][0], "marks that would hide each other stand side by side"
    assert ax.get_legend().get_texts()[-1].get_text() == "paper: test error at the end of its training"


def test_a_label_looks_the_same_in_every_panel_and_differs_from_others():
    labels = ["GEVB+, vectorized", "GEVB, vectorized", "BP+, vectorized", "DFA, conventional"]
    styles = line_styles(labels)
    assert len({(s["color"], s["marker"], s["markerfacecolor"]) for s in styles.values()}) == 4
    ax = draw_learning_curves({labels[3]: TABLE}, styled=labels)
    assert ax.lines[0].get_color() == styles[labels[3]]["color"]


def test_weight_histogram_counts_every_weight():
    before, after = RANDOM.normal(size=(30, 20)), RANDOM.normal(size=(30, 20)) * 2
    ax = draw_weight_histogram(before, after, labels=("a", "b"), bins=20)
    for patch, values in zip(ax.patches, (before, after), strict=True):
        shares, edges, _ = patch.get_data()
        expected = np.histogram(values, edges)[0] / values.size
        assert np.array_equal(np.nan_to_num(shares), expected)
        assert abs(np.nansum(shares) - 1) < 1e-12
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["a", "b"]


def test_update_histogram_has_a_bin_centred_on_zero_and_says_how_many_are_zero():
    values = np.array([0.0, 0.0, 0.5, -1.0])
    ax = draw_update_histogram(values, bins=10)
    shares, edges, _ = ax.patches[0].get_data()
    centre = len(shares) // 2
    assert abs(edges[centre] + edges[centre + 1]) < 1e-12 and shares[centre] == 0.5
    assert [text.get_text() for text in ax.texts] == ["50.0% exactly 0"]
    assert not draw_update_histogram([1.0, 2.0]).texts
    draw_update_histogram(np.zeros(3)).figure.canvas.draw()


def test_scaling_draws_medians_and_the_range_of_the_rounds():
    measured = {"group": [[1.0, 3.0, 2.0], [8.0, 4.0, 5.0]], "time": [7.0, np.nan]}
    ax = draw_scaling([10, 1000], measured, xlabel="classes", ylabel="MiB")
    group, time = ax.containers
    assert group.lines[0].get_xydata().tolist() == [[10, 2], [1000, 5]]
    assert [segment[:, 1].tolist() for segment in group.lines[2][0].get_segments()] == [[1, 3], [4, 8]]
    assert time.lines[0].get_xydata().tolist() == [[10, 7]], "what was not measured is not drawn"
    assert [label.get_text() for label in ax.get_xticklabels()] == ["10", "1,000"]
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("classes", "MiB")
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["group", "time"]
    assert draw_scaling([1, 2], measured, legend=False).get_legend() is None


def test_receptive_fields_lie_in_a_grid_of_units_and_components():
    fields = RANDOM.normal(size=(2, 3, 1, 4, 5))
    ax = draw_receptive_fields(fields)
    image = np.ma.filled(ax.images[0].get_array(), np.nan)
    assert image.shape == (2 * 5 - 1, 3 * 6 - 1)
    assert np.array_equal(image[5:9, 12:17], fields[1, 2, 0])
    assert np.isnan(image[4]).all() and np.isnan(image[:, 5]).all()
    low, high = ax.images[0].get_clim()
    assert high == -low == np.abs(fields).max()


def test_receptive_fields_of_scalar_units_are_wrapped():
    fields = RANDOM.normal(size=(5, 1, 1, 4, 4))
    image = np.ma.filled(draw_receptive_fields(fields, columns=3).images[0].get_array(), np.nan)
    assert np.array_equal(image[5:9, 5:9], fields[4, 0, 0])
    assert np.isnan(image[5:, 10:]).all()


def test_receptive_fields_of_colours():
    fields = RANDOM.normal(size=(1, 2, 3, 4, 4))
    image = draw_receptive_fields(fields).images[0].get_array()
    expected = 0.5 + 0.5 * fields[0, 1].transpose(1, 2, 0) / np.abs(fields).max()
    assert np.abs(image[:4, 5:9, :3] - expected).max() < 1e-12
    assert (image[:, 4, 3] == 0).all() and (image[:4, 5:9, 3] == 1).all()


def test_receptive_fields_count_from_0_and_say_what_a_row_is():
    ax = draw_receptive_fields(RANDOM.normal(size=(2, 3, 1, 4, 5)), each="channel")
    assert [text.get_text() for text in ax.get_xticklabels()] == ["0", "1", "2"]
    assert [text.get_text() for text in ax.get_yticklabels()] == ["0", "1"] and ax.get_ylabel() == "channel"
    assert draw_receptive_fields(np.ones((2, 1, 1, 3, 3)), each="channel").get_ylabel() == "channels"


def test_fourteen_lines_differ():
    """Seven colours; the second round of them has other markers."""
    styles = line_styles(f"rule {n}" for n in range(14)).values()
    assert len({(style["color"], style["marker"]) for style in styles}) == 14


def test_one_epoch_tells_test_from_train():
    """By what the legend says: solid and dashed; and its axis knows no parts of epochs."""
    one = pandas.DataFrame({"epoch": [3], "test_error": [0.2], "train_error": [0.3]})
    ax = draw_learning_curves({"GEVB": one})
    drawn = {(line.get_linestyle(), *line.get_ydata()) for line in ax.lines if len(line.get_xdata()) == 2}
    assert drawn == {("-", 20.0, 20.0), ("--", 30.0, 30.0)}
    low, high = ax.get_xlim()
    assert [tick for tick in ax.get_xticks() if low <= tick <= high] == [3]
    more = pandas.DataFrame({"epoch": [1, 2, 3], "test_error": [0.2] * 3, "train_error": [0.3] * 3})
    assert {len(line.get_xdata()) for line in draw_learning_curves({"GEVB": more}).lines} == {3}


@pytest.mark.parametrize(("highest", "ticks"), [(60.0, [0, 30, 60, 90]), (165.0, [0, 30, 60, 90, 120, 150])])
def test_angles_past_chance_have_ticks_beside_them(highest, ticks):
    assert draw_alignment(["a"], [0, 1], [[10.0], [highest]]).get_yticks().tolist() == ticks


@pytest.mark.parametrize("limit", [0.13, 0.99, 7.4, 123.0])
@pytest.mark.parametrize("draw", [lambda w, ax: draw_weight_histogram(w, w, ax), draw_update_histogram])
def test_numbers_along_a_histogram_do_not_meet(limit, draw):
    figure, drawn = panels(3, 3)
    for ax in drawn:
        draw(np.linspace(-limit, 0.1 * limit, 50), ax)
        assert "gradient" not in ax.get_xlabel(), "a rule's updates need not be one"
    figure.draw_without_rendering()
    for ax in drawn:
        low, high = ax.get_xlim()
        shown = [
            label for tick, label in zip(ax.get_xticks(), ax.get_xticklabels(), strict=True) if low <= tick <= high
        ]
        boxes = [label.get_window_extent() for label in shown]
        assert len(boxes) > 1 and all(one.x1 + 3 < two.x0 for one, two in pairwise(boxes))


def test_errors_of_0_are_gaps_of_a_logarithmic_axis_and_said_to_be():
    table = pandas.DataFrame({"epoch": [1, 2, 3, 4, 5], "test_error": 0.1, "train_error": [0.2, 0.0, 0.1, 0.0, 0.1]})
    ax = draw_learning_curves({"GEVB": table}, log=True)
    assert [text.get_text() for text in ax.texts] == ["gaps: error 0"]
    assert ax.lines[2].get_xydata().tolist() == [[1.0, 20.0], [3.0, 10.0], [5.0, 10.0]], "what stands alone"
    ax.figure.canvas.draw()
    assert ax.get_ylim()[0] > 5 and ax.yaxis.get_transform()._clip is False
    assert not draw_learning_curves({"GEVB": TABLE}, log=True).texts
    assert not draw_learning_curves({"GEVB": table}).texts


@pytest.mark.parametrize(
    ("draw", "text"),
    [
        (lambda: draw_update_histogram([np.nan, 1]), "histogram of updates: expected finite numbers, got 1 of 2 that"),
        (lambda: draw_update_histogram([]), "histogram of updates: expected at least one number, got none"),
        (lambda: draw_credit_histogram([np.nan, 1], [1, 2]), "histogram of credit: expected finite numbers, got 1 of"),
        (lambda: draw_credit_histogram([1, 2], [1, np.inf]), "histogram of exact credit: expected finite numbers"),
        (lambda: draw_weight_histogram([1, 2], [np.nan]), "histogram of weights after: expected finite numbers"),
        (
            lambda: draw_alignment(["a", "b"], [0, 1], [[1.0], [2.0]]),
            r"alignment: expected angles of 2 checkpoints and 2 populations, \(2, 2\), got \(2, 1\)",
        ),
        (lambda: draw_alignment(["a"], [0, 1], [[1.0], [2.0]], [[1.0]]), r"\(2, 1\), got \(1, 1\)"),
        (
            lambda: draw_alignment(["a"], [0], [[1.0]], published=([0, 1], [[1.0]], [[1.0]])),
            r"\(2, 1\), got \(1, 1\)",
        ),
        (
            lambda: draw_width_theory([32], {"a": [[0.1]]}, {"b": [0.1]}),
            "width theory: expected the same labels measured and predicted, at least one, got a and b",
        ),
        (
            lambda: draw_width_theory([32, 64], {"a": [[0.1]]}, {"a": [0.1]}),
            r"of 2 widths for 'a', got \(1, 1\), \(1,\)",
        ),
    ],
)
def test_arrays_that_do_not_fit_are_refused(draw, text):
    with pytest.raises(DataError, match=text):
        draw()


def test_no_line_of_a_credit_histogram_meets_its_legend():
    ax = draw_credit_histogram(np.ones(50), np.linspace(0.2, 1.8, 50))
    ax.figure.canvas.draw()
    legend = ax.get_legend().get_window_extent()
    lines = [line.get_window_extent() for line in ax.lines]
    assert len(lines) == 2 and all(line.y1 < legend.y0 for line in lines)
    assert ax.transData.transform((0, 1.0))[1] < legend.y0, "nor does a share of 1"


@pytest.mark.parametrize("shape", [(2, 3, 4, 5), (2, 3, 2, 4, 5), (0, 1, 1, 4, 4)])
def test_receptive_fields_of_another_shape(shape):
    with pytest.raises(DataError, match=r"expected \(units, K, channels, height, width\) with 1 or 3 channels, got"):
        draw_receptive_fields(np.zeros(shape))


def test_panels_in_rows():
    figure, drawn = panels(5, 3)
    assert len(drawn) == len(figure.axes) == 5
