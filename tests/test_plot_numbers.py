"""Figures of several runs: their numbers written and drawn again, and the paper's figures panel by panel."""

from __future__ import annotations

import json
import shutil
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest

from neurosim.analysis.code_errors import CodeErrors
from neurosim.cli import app
from neurosim.cli.plot import from_numbers, from_runs
from neurosim.comparison.table import Row, as_data, rows_from
from neurosim.errors import DataError
from neurosim.experiment import ConfigError
from neurosim.plotting.costs import plot_comparison, plot_scaling
from neurosim.plotting.names import DESCRIPTIONS
from neurosim.plotting.numbers import FROM_NUMBERS, plot_width_theory
from neurosim.plotting.paper import PAPER_FIGURES
from neurosim.plotting.runs import lay_out
from neurosim.plotting.series import Options
from neurosim.plotting.series_numbers import ANGLES, CURVES, Angles, Curves, as_plain, read_series
from neurosim.published import published_experiments
from neurosim.step_costs import StepCost

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "results"
RUNS = [RESULTS / "digits-gevb.h5", RESULTS / "digits-dfa.h5"]
KNOWN = published_experiments()


def plot(*arguments: object) -> None:
    app(["plot", *map(str, arguments)], standalone_mode=False)


def angles(name: str = "table2/fc/vectorized/nonnegative/gevb", label: str = "GEVB+, vectorized") -> Angles:
    degrees = np.array([[[4.0, 9.0, 56.0], [20.0, 39.0, 69.0]]])
    return Angles("CIFAR-10, fully connected", label, KNOWN[name], (0,), ("fc1", "fc2", "fc3"), (0, 5), degrees)


def curves(name: str = "table1/fc/vectorized/nonnegative/gevb") -> Curves:
    at, error = np.array([1.0, 2.0]), np.array([8.0, 4.0])
    return Curves(
        "MNIST, fully connected", "GEVB+, vectorized", KNOWN[name], (0, 1), (at,) * 2, (error,) * 2, (error,) * 2
    )


def drawn_lines(figure) -> list[list[float]]:
    return [list(line.get_ydata()) for ax in figure.axes for line in ax.lines]


@pytest.mark.parametrize("figure", ["alignment", "learning-curves"])
def test_numbers_that_were_written_draw_the_same_figure(tmp_path, figure, capsys):
    numbers = tmp_path / "new" / "numbers.json"
    plot(figure, *RUNS, "--out", tmp_path / "a.png", "--numbers", numbers)
    assert capsys.readouterr().out == f"numbers in {numbers}\npicture in {tmp_path / 'a.png'}\n"
    for one, two in zip(from_runs(figure, RUNS, Options()).axes, from_numbers(figure, [numbers]).axes, strict=True):
        assert one.get_title() == two.get_title()
        for line, other in zip(one.lines, two.lines, strict=True):
            assert np.abs(line.get_xydata() - other.get_xydata()).max() < 1e-3
    assert json.loads(numbers.read_text())["figure"] == figure
    numbers.write_text("mine")
    with pytest.raises(DataError, match="numbers.json: this file exists already; .* or name another with --numbers"):
        plot(figure, *RUNS, "--out", tmp_path / "other.png", "--numbers", numbers)
    assert numbers.read_text() == "mine" and not (tmp_path / "other.png").exists()


def test_what_was_published_is_found_again_by_name(tmp_path):
    path = tmp_path / "numbers.json"
    path.write_text(json.dumps(as_plain([angles()])))
    (read,) = read_series([path], ANGLES)
    assert read.published is angles().published or read.published == angles().published
    assert np.array_equal(read.degrees, angles().degrees) and read.epochs == (0, 5)
    path.write_text(json.dumps(as_plain([curves()])))
    (read,) = read_series([path], CURVES)
    assert read.published == curves().published and [list(e) for e in read.test_error] == [[8.0, 4.0]] * 2


@pytest.mark.parametrize("name", PAPER_FIGURES)
def test_experiments_of_the_papers_figures_exist_and_are_described(name):
    figure = PAPER_FIGURES[name]
    assert set(figure.experiments) <= set(KNOWN)
    assert DESCRIPTIONS[name].startswith(figure.title.partition(":")[0] + ":")


def test_figures_4_and_5_show_every_cell_of_the_tables():
    shown = {*PAPER_FIGURES["figure-4"].experiments, *PAPER_FIGURES["figure-5"].experiments}
    assert shown == set(KNOWN)


def test_figures_2_and_6_show_every_experiment_with_published_angles():
    shown = {*PAPER_FIGURES["figure-2"].experiments, *PAPER_FIGURES["figure-6"].experiments}
    assert {name for name, each in KNOWN.items() if each.angles} <= shown


def test_a_papers_figure_has_ours_and_the_papers_and_says_what_is_missing():
    figure = lay_out("figure-2", [angles()])
    assert [ax.get_title() for ax in figure.axes] == [
        "CIFAR-10, fully connected\nGEVB+, vectorized, 1 seed",
        "CIFAR-10, fully connected\nDFA+, conventional, the paper's alone",
    ]
    assert [4.0, 20.0] in drawn_lines(figure)
    published = KNOWN["table2/fc/conventional/nonnegative/dfa"].angles
    assert [each.degrees[0] for each in published] in drawn_lines(figure)
    assert figure.get_supxlabel().startswith("not drawn: convolutional and locally connected")
    figure.canvas.draw()


def test_panels_of_curves_without_runs_have_the_papers_marks():
    figure = lay_out("figure-4", [curves()])
    assert len(figure.axes) == 6
    assert figure.axes[0].get_title() == "fully connected, vectorized, 2 seeds"
    for name in ("table1/lc/conventional/mixed/dfa", "table1/conv/vectorized/mixed/bp"):
        assert [KNOWN[name].test_error] in drawn_lines(figure)
    assert "no run here" in [text.get_text() for text in figure.axes[1].texts]
    labels = [text.get_text() for text in figure.legends[0].get_texts()]
    assert labels[:6] == ["GEVB+", "GEVB", "BP+", "BP", "DFA+", "DFA"]


def test_more_than_four_curves_are_split_by_units():
    many = [
        Curves("x, dense", f"rule{n}, {units}", None, (0,), *[(np.array([1.0, 2.0]),)] * 3)
        for units in ("vectorized", "conventional")
        for n in range(3)
    ]
    assert [ax.get_title() for ax in lay_out("learning-curves", many).axes] == [
        "x, dense, vectorized, 1 seed",
        "x, dense, conventional, 1 seed",
    ]


def many_curves(*labels: str) -> list[Curves]:
    return [Curves("x, dense", label, None, (0,), *[(np.array([1.0, 2.0]),)] * 3) for label in labels]


def test_curves_of_one_kind_of_units_share_a_panel():
    """Whatever follows the kind of units: widths, rules, files."""
    widths = [f"GEVB+, vectorized, {n}-8" for n in range(6)]
    figure = lay_out("learning-curves", many_curves(*widths))
    assert [ax.get_title() for ax in figure.axes] == ["x, dense, 1 seed"]
    assert [text.get_text() for text in figure.legends[0].get_texts()][:6] == widths
    figure = lay_out("learning-curves", many_curves(*widths, "BP, conventional, 12-8"))
    assert [ax.get_title() for ax in figure.axes] == ["x, dense, vectorized, 1 seed", "x, dense, conventional, 1 seed"]
    shown = [text.get_text() for text in figure.legends[0].get_texts()]
    assert shown[:7] == [*(f"GEVB+, {n}-8" for n in range(6)), "BP, 12-8"]


LONG = "LocalError+, {}, DFA(limits=(0.0, {}.0), name='dfa'), a-run-with-a-long-name-too"


@pytest.mark.parametrize("labels", [["GEVB+, vectorized"], ["a, vectorized", LONG.format("vectorized", 1)]])
@pytest.mark.parametrize("panels", [1, 2])
def test_no_words_leave_the_picture_or_meet(labels, panels):
    labels += [label.replace("vectorized", "conventional") for label in labels] if panels == 2 else []
    figure = lay_out("learning-curves", many_curves(*labels, *(f"{n}, vectorized" for n in range(4))))
    assert len(figure.axes) == panels
    for drawn in (figure, lay_out("alignment", [angles(label=label) for label in labels])):
        drawn.draw_without_rendering()
        renderer = drawn.canvas.get_renderer()
        texts = [ax.title for ax in drawn.axes] + [t for legend in drawn.legends for t in legend.get_texts()]
        boxes = [text.get_window_extent(renderer) for text in texts]
        for box in boxes:
            assert 0 <= box.x0 and box.x1 <= drawn.bbox.width and 0 <= box.y0 and box.y1 <= drawn.bbox.height
        assert not any(one.overlaps(other) for one, other in combinations(boxes, 2))


def test_runs_of_other_experiments_are_refused_with_how_to_record(tmp_path):
    with pytest.raises(
        DataError, match=r"Figure 2: .* none of the 2 runs is one of those; record them with .* --table 2"
    ):
        plot("figure-2", *RUNS, "--out", tmp_path / "a.png")
    both = r"such as table1/fc/vectorized/nonnegative/gevb and table2/fc/vectorized/mixed/gevb, and .* --table 1,2 "
    with pytest.raises(DataError, match=rf"Figure 6: .* {both}"):
        plot("figure-6", *RUNS, "--out", tmp_path / "a.png")
    with pytest.raises(DataError, match=r"Figure 2: .* none of the 1 series is one of those"):
        lay_out("figure-2", [angles("table2/fc/vectorized/mixed/gevb")])
    assert not list(tmp_path.iterdir())


def test_two_circuits_do_not_share_the_place_of_an_experiment():
    match = "noted as one experiment, table2/fc/vectorized/nonnegative/gevb, which has one place; name the runs of one"
    with pytest.raises(DataError, match=match):
        lay_out("figure-2", [angles(), angles(label="GEVB+, vectorized, 12-8")])


@pytest.mark.parametrize(("figure", "other"), [("figure-4", "learning-curves"), ("figure-2", "alignment")])
def test_shortened_runs_are_no_published_ones(tmp_path, figure, other):
    (tmp_path / "reproduction.json").write_text(json.dumps({"settings": {"train_examples": 64}}))
    shutil.copytree(RESULTS, tmp_path / "runs", ignore=lambda folder, names: set(names) - {each.name for each in RUNS})
    match = rf"2 of the 2 runs were made with shortened data .* do not count .* draw them with `neurosim plot {other}`"
    with pytest.raises(DataError, match=match):
        plot(figure, tmp_path, "--out", tmp_path / "a.png")


def test_files_that_do_not_fit(tmp_path):
    def refused(match: str, *arguments: object) -> None:
        with pytest.raises(DataError, match=match):
            plot(*arguments, "--out", tmp_path / "a.png")
        assert not (tmp_path / "a.png").exists()

    numbers = RESULTS / "figure-4.json"
    refused("'weights' is drawn from run files", "weights", numbers)
    refused("h5: .json files of numbers and runs do not go into one figure", "learning-curves", numbers, RUNS[0])
    refused(
        "'width-theory' is drawn from a .json file of numbers, found .*h5; .*width_theory.py", "width-theory", RUNS[0]
    )
    refused("expected the numbers of 'alignment', found learning-curves", "alignment", numbers)
    refused("expected the numbers of 'alignment', found none of a figure", "alignment", RESULTS / "speed.json")
    refused("named more than once|found more than once", "learning-curves", numbers, numbers)
    refused("the numbers are in a file already", "figure-4", numbers, "--numbers", tmp_path / "b.json")
    refused("numbers are written of .*; 'weights' needs its run", "weights", RUNS[0], "--numbers", tmp_path / "b.json")
    refused(
        "speed.json: expected the numbers of `python examples/width_theory.py", "width-theory", RESULTS / "speed.json"
    )
    refused("speed.json: expected the numbers of `python benchmarks/scaling.py", "scaling", RESULTS / "speed.json")
    refused("'scaling' is drawn from a .json file of numbers, found .*h5; .*benchmarks/scaling.py", "scaling", RUNS[0])
    refused("a figure of one file, found 2", "width-theory", RESULTS / "width_theory.json", RESULTS / "speed.json")
    refused("missing.json: expected a JSON file of numbers", "alignment", tmp_path / "missing.json")
    refused("on MNIST and CIFAR-10, whose errors do not compare", "learning-curves", numbers, RESULTS / "figure-5.json")
    with pytest.raises(ConfigError, match=r"--numbers b.txt: expected a name that ends in .json"):
        plot("alignment", RUNS[0], "--numbers", "b.txt")


@pytest.mark.parametrize("kind", [CURVES, ANGLES])
@pytest.mark.parametrize("change", [{"seeds": [0, 1, 2]}, {"epochs": [[1]]}, {"label": None, "epochs": 3}])
def test_damaged_numbers(tmp_path, kind, change):
    data = as_plain([curves() if kind == CURVES else angles()])
    data["series"][0] |= change
    (tmp_path / "a.json").write_text(json.dumps(data))
    with pytest.raises(DataError, match="a.json: not the numbers that `neurosim plot --numbers` writes"):
        read_series([tmp_path / "a.json"], kind)


def test_a_comparison_is_read_back_and_drawn(tmp_path):
    cost, errors = StepCost(0.01, 0.02, 2**20), (CodeErrors((0.1, 0.2), 0.25, None),)
    rows = [
        Row("tied", 10, 1, (0, 1), ((9.0, 8.0), (7.5, 7.0)), cost, (0.0, 0.0)),
        Row("untied", 10, 1, (0,), ((6.0, 5.0),), cost, (0.3,), "fc1->fc2", "", errors, True, {"a->b": ((0.0, None),)}),
        Row("4 bits", 4, 1, (), (), cost, incomparable="K = 4", failures=("seed 0: no",)),
    ]
    path = tmp_path / "comparison.json"
    path.write_text(json.dumps(as_data(rows, {"dataset": "digits", "epochs": 2, "seeds": [0, 1]})))
    assert rows_from(json.loads(path.read_text())) == rows
    (ax,) = plot_comparison([path]).axes
    assert ax.get_title("left") == "digits, 2 epochs, seeds 0, 1"
    assert [each.get_text() for each in ax.get_yticklabels()] == ["tied", "untied", "4 bits"]
    assert list(ax.child_axes[0].lines[0].get_xdata()) == [8.0, 7.0]  # last epochs of both seeds
    path.write_text('{"rows": [{}]}')
    with pytest.raises(DataError, match="comparison.json: expected the comparison.json of a folder of `neurosim compa"):
        plot_comparison([path])


def test_scaling_draws_the_medians_of_the_file():
    path = RESULTS / "scaling.json"
    sizes = json.loads(path.read_text())["sweeps"]["components"]
    time, memory, *_ = plot_scaling([path]).axes
    seconds = [np.median(found["side by side"]["seconds"]) for found in sizes.values()]
    assert np.allclose(time.containers[0].lines[0].get_ydata(), 1e3 * np.array(seconds), rtol=1e-12, atol=0)
    mebibytes = [found["side by side"]["memory"] / 2**20 for found in sizes.values()]
    assert np.allclose(memory.containers[0].lines[0].get_ydata(), mebibytes, rtol=1e-12, atol=0)
    assert time.get_legend().get_texts()[0].get_text() == "side by side" and time.get_xlabel() == "components K"


def test_width_theory_is_the_first_layer_of_the_file():
    path = RESULTS / "width_theory.json"
    data = json.loads(path.read_text())["settings"]["uniform, random gates"]
    figure = plot_width_theory([path])
    (ax,) = figure.axes
    predicted = [each[0] for each in data["predicted_by_width_layer"]]
    measured = np.array(data["measured_by_width_seed_layer"])[..., 0].mean(1)
    assert predicted in drawn_lines(figure)
    assert np.array_equal(ax.containers[0].lines[0].get_ydata(), measured)
    assert ax.get_legend().get_texts()[-1].get_text() == "on-off, paired gates"


def test_figures_from_numbers_are_drawn_from_the_committed_files():
    for name in PAPER_FIGURES:
        figure = FROM_NUMBERS[name]([RESULTS / f"{name}.json"])
        assert figure.get_suptitle() == PAPER_FIGURES[name].title
