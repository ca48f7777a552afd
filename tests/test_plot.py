"""`neurosim plot`: from run files to pictures, and what it refuses."""

from __future__ import annotations

import json
import re
from pathlib import Path

import matplotlib
import numpy as np
import pytest
from attrs import evolve

from neurosim import BP, GEVB, Circuit, Dense, OneHot, SignGate, Simulator, circuits
from neurosim.analysis.alignment_recorder import AlignmentRecorder
from neurosim.analysis.run_alignment import run_alignment
from neurosim.cli import app
from neurosim.datasets import load_dataset
from neurosim.errors import DataError, UnknownNameError
from neurosim.experiment import ConfigError
from neurosim.gates import FirstBinGate
from neurosim.plotting.names import NAMES, REPRESENTED
from neurosim.plotting.numbers import FROM_NUMBERS
from neurosim.plotting.paper import PAPER_FIGURES
from neurosim.plotting.runs import (
    FIGURES,
    Options,
    measure,
    plot_alignment,
    plot_learning_curves,
    plot_updates,
    plot_weights,
)
from neurosim.published import Protocol, PublishedAngles, PublishedExperiment
from neurosim.rules.dfa import DFA
from neurosim.runs.recording import RunRecorder
from neurosim.runs.run import Run
from neurosim.runs.series import collect, find_runs
from neurosim.training import Trainer

DIGITS = load_dataset("digits").subset(train=200, test=50)
WIDTHS = (12, 8)


def train(path: Path, rule=None, seed: int = 0, epochs: int = 2, **options) -> Path:
    """A run of seconds; ``options`` of the recorder, or the training's: batch size, sign, checkpoints, observers."""
    path.parent.mkdir(parents=True, exist_ok=True)
    batch_size, sign = options.pop("batch_size", 50), options.pop("sign", "nonnegative")
    every, others = options.pop("checkpoint_every", 10), options.pop("observers", [])
    circuit = options.pop("circuit", None) or circuits.load("digits-fc", widths=WIDTHS, rule=rule or GEVB(), sign=sign)
    about = {"epochs": epochs, "batch_size": batch_size, "checkpoint_every": every}
    Trainer(Simulator(circuit, seed=seed), DIGITS, observers=[RunRecorder(path, **options), *others], **about).run()
    return path


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """Two seeds of GEVB, one of BP."""
    made = tmp_path_factory.mktemp("runs")
    train(made / "gevb0.h5"), train(made / "gevb1.h5", seed=1), train(made / "bp0.h5", BP())
    return made


@pytest.fixture(autouse=True)
def digits_as_recorded(monkeypatch):
    """The datasets of these runs are parts of the digits; and a figure changes nothing global."""
    before = dict(matplotlib.rcParams)
    monkeypatch.setattr("neurosim.runs.rebuilt.load_dataset", lambda name, folder: DIGITS)
    yield
    assert dict(matplotlib.rcParams) == before


def plot(*arguments: object) -> None:
    app(["plot", *map(str, arguments)], standalone_mode=False)


def opened(*paths: Path) -> list[Run]:
    return [Run(path) for path in paths]


def test_the_names_are_those_of_the_figures():
    assert set(FIGURES) | set(FROM_NUMBERS) | set(REPRESENTED) == set(NAMES)


OF_ANY_RUN = [name for name in FIGURES if name not in PAPER_FIGURES]


@pytest.mark.parametrize("name", OF_ANY_RUN)
@pytest.mark.parametrize("suffix", ["png", "svg", "pdf"])
def test_every_figure_is_written_and_never_over_another_unasked(folder, tmp_path, name, suffix, capsys):
    picture = tmp_path / "new" / f"picture.{suffix}"
    plot(name, folder / "gevb0.h5", "--out", picture)
    assert capsys.readouterr().out == f"picture in {picture}\n"
    begins = {"png": b"\x89PNG", "svg": b"<?xml", "pdf": b"%PDF"}[suffix]
    assert picture.read_bytes().startswith(begins)
    assert [path.name for path in picture.parent.iterdir()] == [picture.name], "nothing else is left there"
    picture.write_text("mine")
    with pytest.raises(DataError, match=r"exists already; replace it with --overwrite, or name another with --out"):
        plot(name, folder / "gevb0.h5", "--out", picture)
    assert picture.read_text() == "mine"
    plot(name, folder / "gevb0.h5", "--out", picture, "--overwrite")
    assert picture.read_bytes().startswith(begins)


def test_what_fails_leaves_the_old_picture(folder, tmp_path):
    picture = tmp_path / "picture.png"
    picture.write_text("mine")
    with pytest.raises(DataError, match="is a figure of one run, found 2"):
        plot("weights", folder / "gevb0.h5", folder / "gevb1.h5", "--out", picture, "--overwrite")
    assert picture.read_text() == "mine"


def test_unknown_names_and_endings(folder, tmp_path):
    with pytest.raises(UnknownNameError, match="unknown figure 'weihgts'; did you mean 'weights'"):
        plot("weihgts", folder / "gevb0.h5")
    with pytest.raises(ConfigError, match=r"--out a.gif: expected a name that ends in .png, .svg, .pdf"):
        plot("weights", folder / "gevb0.h5", "--out", "a.gif")
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match="the picture cannot be written"):
        plot("circuit", folder / "gevb0.h5", "--out", tmp_path / "file" / "a.png")


def test_alignment_is_the_mean_over_seeds_and_leaves_bp_out(folder):
    paths = [folder / name for name in ("gevb0.h5", "bp0.h5", "gevb1.h5")]
    (ax,) = plot_alignment(opened(*paths), Options()).axes
    assert ax.get_title() == "digits, fully connected\nGEVB+, vectorized, 2 seeds"
    degrees = np.array([[list(each.degrees.values()) for each in run_alignment(run)] for run in opened(*paths[::2])])
    for number, bars in enumerate(ax.containers):
        assert bars.lines[0].get_xdata().tolist() == [0, 2]
        assert np.abs(bars.lines[0].get_ydata() - degrees.mean(axis=0)[:, number]).max() < 1e-9
    with pytest.raises(DataError, match=r"bp0.h5: learned by BP, whose angle to the gradient is 0"):
        plot_alignment(opened(folder / "bp0.h5"), Options())


def test_learning_curves_are_the_mean_over_seeds(folder):
    runs = opened(folder / "gevb0.h5", folder / "gevb1.h5", folder / "bp0.h5")
    figure = plot_learning_curves(runs, Options())
    (ax,) = figure.axes
    test, train_, bp, _ = (line.get_ydata() for line in ax.lines)
    first, second, third = (run.epochs for run in runs)
    assert np.allclose(test, 50 * (first["test_error"] + second["test_error"]), rtol=0, atol=1e-12)
    assert np.allclose(train_, 50 * (first["train_error"] + second["train_error"]), rtol=0, atol=1e-12)
    assert np.array_equal(bp, 100 * third["test_error"])
    shown = [text.get_text() for text in figure.legends[0].get_texts()]
    assert shown == ["GEVB+, vectorized", "BP+, vectorized", "test", "train"], "nothing was published of the digits"
    assert figure.legends[0].get_title().get_text() == "+: nonnegative weights past the first layer"
    assert ax.get_title() == "digits, fully connected, 1 to 2 seeds"


def test_updates_are_those_of_the_last_weights(folder):
    simulator = Simulator(circuits.load("digits-fc", widths=WIDTHS))
    simulator.load_state_dict(Run(folder / "gevb0.h5").state())
    first = DIGITS.train.first(128)
    expected = simulator.probe(first.images, first.labels).updates["fc1->fc2"].numpy()
    figure = plot_updates(opened(folder / "gevb0.h5"), Options())
    assert [ax.get_title() for ax in figure.axes] == ["input → fc1", "fc1 → fc2", "fc2 → output"]
    shares, edges, _ = figure.axes[1].patches[0].get_data()
    assert np.abs(edges).max() == pytest.approx(float(np.abs(expected).max()), abs=1e-9)
    assert np.nan_to_num(shares).tolist() == (np.histogram(expected, edges)[0] / expected.size).tolist()
    assert "after epoch 2, first 128 training images" in figure.get_suptitle()


def test_weights_are_the_first_in_grey_and_the_last_outlined(folder):
    (run,) = opened(folder / "gevb0.h5")
    figure = plot_weights([run], Options())
    assert [ax.get_title() for ax in figure.axes] == ["input → fc1", "fc1 → fc2", "fc2 → output"]
    for ax, name in zip(figure.axes, ("input->fc1", "fc1->fc2", "fc2->output"), strict=True):
        for patch, epoch in zip(ax.patches, (0, 2), strict=True):
            shares, edges, _ = patch.get_data()
            weights = run.weights(name, epoch)
            assert np.nan_to_num(shares).tolist() == (np.histogram(weights, edges)[0] / weights.size).tolist()
        assert [patch.get_fill() for patch in ax.patches] == [True, False]
        shown = [text.get_text() for text in ax.get_legend().get_texts()]
        assert shown == ["before training", "after epoch 2"]
        assert not np.array_equal(run.weights(name, 0), run.weights(name, 2))


@pytest.mark.parametrize("figure", ["alignment", "weights", "credits"])
def test_a_run_that_kept_the_last_weights_only(tmp_path, figure):
    path = train(tmp_path / "run.h5", checkpoints="last")
    with pytest.raises(
        DataError, match=r"run.h5: expected the weights of checkpoints .* of epochs: 2; record with"
    ) as it:
        FIGURES[figure](opened(path), Options())
    assert "checkpoints='all'" in str(it.value) and "--checkpoints all" in str(it.value)
    FIGURES["updates"](opened(path), Options())
    FIGURES["receptive-fields"](opened(path), Options())


@pytest.mark.parametrize("figure", ["alignment", "weights", "credits", "updates", "receptive-fields"])
def test_a_run_without_weights(tmp_path, figure):
    path = train(tmp_path / "run.h5", checkpoints="none")
    with pytest.raises(DataError, match=r"run.h5: expected the weights .* found those of epochs: none; record with"):
        FIGURES[figure](opened(path), Options())
    FIGURES["circuit"](opened(path), Options())
    FIGURES["learning-curves"](opened(path), Options())


def test_a_run_without_an_epoch(tmp_path):
    path = train(tmp_path / "run.h5", epochs=0)
    with pytest.raises(DataError, match="run.h5: holds no epoch yet; train it on with --resume"):
        plot_learning_curves(opened(path), Options())


def test_an_alignment_that_cannot_be_measured_names_the_run(tmp_path):
    circuit = circuits.load("digits-fc", widths=WIDTHS).with_rules({"input->fc1": None})
    path = train(tmp_path / "half.h5", circuit=circuit)
    (angles,) = measure("alignment", opened(path), Options())
    assert angles.populations == ("fc2",)  # nothing learns into fc1
    path = train(tmp_path / "frozen.h5", circuit=circuit.with_rules({"fc1->fc2": None}))
    with pytest.raises(DataError, match=r"frozen.h5: its alignment cannot be measured: no hidden population gets its"):
        plot_alignment(opened(path), Options())


def test_credits_of_populations_without_one_rule_are_left_out(tmp_path):
    circuit = circuits.load("digits-fc", widths=WIDTHS).with_rules({"input->fc1": None})
    figure = FIGURES["credits"](opened(train(tmp_path / "half.h5", circuit=circuit)), Options())
    assert [ax.get_title().partition("\n")[0] for ax in figure.axes] == [
        "fc2, before training",
        "fc2, after epoch 2",
    ]
    assert "not drawn, because no rule or several learn into it: fc1" in figure.get_suptitle()
    path = train(tmp_path / "frozen.h5", circuit=circuit.with_rules({"fc1->fc2": None}))
    with pytest.raises(DataError, match=r"frozen.h5: its credit cannot be measured: no hidden population gets its"):
        FIGURES["credits"](opened(path), Options())
    two = Circuit((1, 8, 8), OneHot(10))
    two.population("fc1", 12, gate=SignGate())
    two.population("fc2", 8, gate=SignGate(), bias=None)
    for pre, post in (("input", "fc1"), ("fc1", "fc2"), ("fc2", "output")):
        two.connect(pre, post, Dense(), rule=GEVB())
    two.connect("input", "fc2", Dense(), name="skip", rule=DFA())
    figure = FIGURES["credits"](opened(train(tmp_path / "two.h5", circuit=two)), Options())
    assert len(figure.axes) == 2 and "learn into it: fc2" in figure.get_suptitle()


def test_runs_trained_in_different_ways_are_not_averaged(folder, tmp_path):
    other = train(tmp_path / "other.h5", seed=3, batch_size=25)
    with pytest.raises(DataError, match=r"gevb0.h5 and .*other.h5: .*must not mix them: batch_size 50 and 25"):
        collect(opened(folder / "gevb0.h5", other))
    again = train(tmp_path / "again.h5")
    with pytest.raises(DataError, match=r"both are seed 0, which must not count twice"):
        collect(opened(folder / "gevb0.h5", again))
    with pytest.raises(DataError, match=r"gevb0.h5: named more than once"):
        find_runs([folder / "gevb0.h5", folder / ".." / folder.name / "gevb0.h5"])


def test_errors_on_different_datasets_are_not_drawn_together(folder, tmp_path, monkeypatch):
    run = Run(train(tmp_path / "other.h5", BP(), sign="mixed"))
    attributes = run.attributes | {"dataset": "letters"}
    monkeypatch.setattr(
        Run, "attributes", property(lambda self: attributes if self is run else original(self)), raising=True
    )
    with pytest.raises(DataError, match="runs on digits and letters, whose errors do not compare; a figure for each"):
        plot_learning_curves([Run(folder / "gevb0.h5"), run], Options())


original = Run.attributes.fget


def test_labels_tell_circuits_apart(folder, tmp_path):
    wider = train(tmp_path / "wider.h5", circuit=circuits.load("digits-fc", widths=(16, 8)))
    mixed = train(tmp_path / "mixed.h5", sign="mixed")
    labels = [each.label for each in collect(opened(folder / "gevb0.h5", wider, mixed))]
    assert labels == ["GEVB+, vectorized, 12-8", "GEVB+, vectorized, 16-8", "GEVB, vectorized"]


def test_no_run_is_left_out_where_files_have_one_name(tmp_path):
    paths = []
    for gate in (SignGate(), FirstBinGate()):
        circuit = circuits.load("digits-fc", widths=WIDTHS, gate=gate)
        paths += [train(tmp_path / type(gate).__name__ / f"seed{n}.h5", circuit=circuit, seed=n) for n in (0, 1)]
    (ax,) = plot_learning_curves(opened(*paths), Options()).axes
    assert len(ax.lines) == 4 and ax.get_title() == "digits, fully connected, 2 seeds"
    drawn = plot_alignment(opened(*paths), Options()).axes
    labels = ["SignGate, 2 seeds", "FirstBinGate, 2 seeds"]
    assert [ax.get_title().partition("vectorized, ")[2] for ax in drawn] == labels


def test_angles_that_were_recorded_are_drawn_without_images(tmp_path, monkeypatch):
    """Where they are of all checkpoints; else they are measured."""

    def no_images(name, folder):
        raise DataError("no images here")

    whole = train(tmp_path / "whole.h5", observers=[AlignmentRecorder(32)])
    gaps = train(tmp_path / "gaps.h5", seed=1, checkpoint_every=1)
    watch = [AlignmentRecorder(32, allow_gaps=True)]
    train(gaps, seed=1, epochs=4, observers=watch, resume=True, checkpoint_every=1)
    monkeypatch.setattr("neurosim.runs.rebuilt.load_dataset", no_images)
    (angles,) = measure("alignment", opened(whole), Options())
    recorded = Run(whole).alignment()
    assert angles.epochs == (0, 2) and angles.degrees.tolist() == [recorded[["fc1", "fc2"]].to_numpy().tolist()]
    assert Run(gaps).alignment()["epoch"].tolist() == [3, 4] and Run(gaps).kept_epochs == (0, 1, 2, 3, 4)
    with pytest.raises(DataError, match="no images here"):
        measure("alignment", opened(gaps), Options())


def test_recorded_angles_of_other_numbers_of_images_are_measured_again(tmp_path):
    """Seeds are averaged where all are of as many images; and --dataset is never without effect."""
    few = train(tmp_path / "few.h5", observers=[AlignmentRecorder(2)])
    measured = train(tmp_path / "measured.h5", seed=1)
    (angles,) = measure("alignment", opened(few, measured), Options())
    whole = [run_alignment(run) for run in opened(few, measured)]
    assert angles.degrees.tolist() == [[list(each.degrees.values()) for each in found] for found in whole]
    (alone,) = measure("alignment", opened(few), Options())
    assert (
        alone.degrees[0, 0].tolist()
        == Run(few).alignment().loc[0, ["fc1", "fc2"]].tolist()
        != angles.degrees[0, 0].tolist()
    )
    (asked,) = measure("alignment", opened(few), Options(dataset="digits"))
    assert asked.degrees[0].tolist() == angles.degrees[0].tolist()


def test_seeds_without_a_common_checkpoint(tmp_path):
    late = train(tmp_path / "late.h5", epochs=1, checkpoints="last", checkpoint_every=1)
    watch = [AlignmentRecorder(allow_gaps=True)]
    train(late, epochs=3, observers=watch, resume=True, checkpoints="last", checkpoint_every=1)
    early = train(tmp_path / "early.h5", seed=1, epochs=1, checkpoint_every=1)
    with pytest.raises(
        DataError, match="no checkpoint in common, found those of epochs: .*late.h5 2, 3; .*early.h5 0, 1"
    ):
        measure("alignment", opened(late, early), Options())


def test_recorded_angles_need_no_weights(tmp_path):
    path = train(tmp_path / "run.h5", checkpoints="last", observers=[AlignmentRecorder(32)])
    (angles,) = measure("alignment", opened(path), Options())
    assert angles.epochs == (0, 2)


def test_a_setting_of_compare_is_to_be_trained_by_itself(tmp_path):
    path = train(tmp_path / "run.h5", checkpoints="last", notes={"setting": {"name": "as it is"}})
    with pytest.raises(DataError, match="`neurosim compare` keeps no more, so train this setting by itself: record"):
        plot_alignment(opened(path), Options())
    with pytest.raises(DataError, match="found those of epochs: 2; record with"):
        plot_alignment(opened(train(tmp_path / "other.h5", checkpoints="last")), Options())


def test_receptive_fields_need_images(tmp_path):
    circuit = Circuit((2, 8, 8), OneHot(10))
    circuit.population("h", 6, gate=SignGate())
    circuit.connect("input", "h", Dense(), rule=GEVB())
    circuit.connect("h", "output", Dense(), rule=GEVB())
    train_, test = (evolve(half, images=half.images.expand(-1, 2, -1, -1)) for half in (DIGITS.train, DIGITS.test))
    double = evolve(DIGITS, train=train_, test=test)
    Trainer(Simulator(circuit), double, epochs=1, observers=[RunRecorder(tmp_path / "run.h5")]).run()
    with pytest.raises(DataError, match=r"need images of 1 or 3 channels as input, found shape \(2, 8, 8\)"):
        FIGURES["receptive-fields"](opened(tmp_path / "run.h5"), Options())


def published(name: str = "digits/fc/gevb") -> dict[str, PublishedExperiment]:
    """What someone might have published of these runs."""
    angles = (PublishedAngles(0, (10.0, 50.0), (1.0, 2.0)), PublishedAngles(2, (20.0, 40.0), (1.0, 2.0)))
    return {
        name: PublishedExperiment(
            name=name,
            dataset="digits",
            build=lambda: circuits.load("digits-fc", widths=WIDTHS),
            test_error=7.5,
            train_error=None,
            protocol=Protocol(batch_size=50),
            angles=angles,
        )
    }


@pytest.mark.parametrize("noted", [True, False])
def test_published_numbers_are_drawn_where_they_belong(folder, tmp_path, monkeypatch, noted):
    """By the name in the notes, or else by circuit, dataset and protocol; not for another circuit or batch size."""
    monkeypatch.setattr("neurosim.runs.series.published_experiments", lambda: published())
    notes = {"experiment": "digits/fc/gevb"} if noted else {}
    run = Run(train(tmp_path / "run.h5", notes=notes))
    (ax,) = plot_learning_curves([run, Run(folder / "bp0.h5")], Options()).axes
    assert [list(line.get_ydata()) for line in ax.lines[4:]] == [[7.5]]
    (ax,) = plot_alignment([run], Options()).axes
    lines = [list(line.get_ydata()) for line in ax.lines]
    assert [10.0, 20.0] in lines and [50.0, 40.0] in lines
    if not noted:
        other = Run(train(tmp_path / "other.h5", batch_size=25))
        assert [each.published for each in collect([other])] == [None]
    shortened = Run(train(tmp_path / "short.h5", notes=notes | {"train_examples": 200}))
    assert [each.published for each in collect([shortened])] == [None]


def test_a_folder_of_reproduce(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("neurosim.runs.series.published_experiments", lambda: published("b/gevb") | published("a/gevb"))
    with pytest.raises(DataError, match="found a folder without reproduction.json; name its run files one by one"):
        find_runs([tmp_path])
    record = tmp_path / "reproduction.json"
    record.write_text(json.dumps({"settings": {"train_examples": None}}))
    train(tmp_path / "runs/a/gevb/seed0.h5", epochs=0)
    with pytest.raises(DataError, match="no run has trained an epoch yet"):
        find_runs([tmp_path])
    train(tmp_path / "runs/a/gevb/seed1.h5", BP(), seed=1, notes={"experiment": "a/gevb"})
    train(tmp_path / "runs/b/gevb/seed0.h5", notes={"experiment": "b/gevb"})
    runs = find_runs([tmp_path])
    names = [run.path.relative_to(tmp_path).as_posix() for run in runs]
    assert names == ["runs/b/gevb/seed0.h5", "runs/a/gevb/seed1.h5"], "in the order of the tables"
    assert all(each.published is not None for each in collect(runs))
    record.write_text(json.dumps({"settings": {"train_examples": 200}}))
    assert all(each.published is None for each in collect(runs)), "shortened data are not what was published"
    plot("learning-curves", tmp_path, "--out", tmp_path / "curves.svg")
    assert re.search(r"picture in .*curves.svg", capsys.readouterr().out)


def test_the_papers_angles_come_with_the_package():
    from neurosim.published import published_experiments

    known = published_experiments()
    assert sum(bool(each.angles) for each in known.values()) == 16
    for each in known.values():
        hidden = [p for p in each.build().populations.values() if not p.scalar and not p.relay_of]
        for angles in each.angles:
            assert len(angles.degrees) == len(angles.std) == len(hidden) - 1
    first = known["table1/fc/vectorized/nonnegative/gevb"].angles[0]
    assert (first.epoch, first.degrees, first.std) == (0, (9.2, 55.7), (0.07, 0.33))
