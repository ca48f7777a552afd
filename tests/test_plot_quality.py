"""The figure of a rule beside the gradient: what it draws is what was recorded, or is measured from kept weights."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure

from neurosim import DFA, GEVB, Simulator, circuits
from neurosim.analysis.alignment_recorder import AlignmentRecorder
from neurosim.analysis.run_alignment import run_alignment
from neurosim.datasets import load_dataset
from neurosim.errors import DataError
from neurosim.figures.quality import draw_relative_std, draw_sign_agreement
from neurosim.plotting.runs import Options, plot_quality
from neurosim.runs.recording import RunRecorder
from neurosim.runs.run import Run
from neurosim.training import Trainer

DIGITS = load_dataset("digits").subset(train=200, test=50)


def train(path: Path, rule: object = None, *, record: bool = False, frozen: bool = False, **options: object) -> Run:
    circuit = circuits.load("digits-fc", widths=(12, 8), rule=rule or GEVB())
    if frozen:
        circuit = circuit.with_rules({"input->fc1": None, "fc1->fc2": None})
    recorder = RunRecorder(path, **options)  # type: ignore[arg-type]
    observers = [recorder, AlignmentRecorder(32)] if record else [recorder]
    Trainer(Simulator(circuit, seed=3), DIGITS, epochs=2, batch_size=50, checkpoint_every=1, observers=observers).run()
    return Run(path)


def drawn(run: Run) -> list[dict[str, tuple[list[float], list[float]]]]:
    """Of each panel its lines: label (dashed ones in brackets) -> epochs and values."""
    panels = []
    for ax in plot_quality([run], Options()).axes:
        lines = [line for line in ax.lines if len(line.get_xdata()) > 2]
        named = [*ax.get_legend_handles_labels()[1]]
        labels = [*named, *(f"({name})" for name in named)][: len(lines)]
        values = [(list(map(float, line.get_xdata())), list(map(float, line.get_ydata()))) for line in lines]
        panels.append(dict(zip(labels, values, strict=True)))
    return panels


@pytest.fixture(autouse=True)
def digits_as_recorded(monkeypatch):
    monkeypatch.setattr("neurosim.runs.rebuilt.load_dataset", lambda name, folder: DIGITS)


@pytest.mark.parametrize("rule", [GEVB(), DFA()])
def test_what_is_drawn_was_measured(tmp_path, rule):
    run = train(tmp_path / "run.h5", rule)
    found = run_alignment(run, measures=("angle", "r", "signs"))
    angles, spread, signs = drawn(run)
    for name in ("fc1", "fc2"):
        assert angles[name] == ([0, 1, 2], [each.degrees[name] for each in found])
        assert spread[name] == ([0, 1, 2], [each.relative_std[name] for each in found])
    for name in ("input->fc1", "fc1->fc2", "fc2->output"):
        shown = name.replace("->", " → ")
        assert signs[shown] == ([0, 1, 2], [each.signs_per_example[name] for each in found])
        assert signs[f"({shown})"] == ([0, 1, 2], [each.signs_per_batch[name] for each in found])


def test_what_was_recorded_needs_neither_images_nor_weights(tmp_path, monkeypatch):
    run = train(tmp_path / "run.h5", record=True, checkpoints="last")
    monkeypatch.setattr("neurosim.runs.rebuilt.load_dataset", None)
    angles, spread, signs = drawn(run)
    for panel, measure in ((angles, "degrees"), (spread, "relative_std")):
        table = run.alignment(measure)
        assert panel == {name: (table["epoch"].tolist(), table[name].tolist()) for name in ("fc1", "fc2")}
    assert signs["fc1 → fc2"][1] == run.alignment("signs_per_example")["fc1->fc2"].tolist()


def test_runs_that_do_not_hold_it(tmp_path):
    run = train(tmp_path / "run.h5", frozen=True)
    with pytest.raises(DataError, match=r"run.h5: its .* cannot be measured"):
        plot_quality([run], Options())
    with pytest.raises(DataError, match="'quality' is a figure of one run, found 2"):
        plot_quality([run, run], Options())
    with pytest.raises(DataError, match="no weights were kept"):
        plot_quality([train(tmp_path / "none.h5", checkpoints="none")], Options())


def test_functions_take_axes_and_refuse_other_shapes():
    given = Figure().subplots(2)
    assert draw_relative_std([0, 1], {"a": [0.5, np.nan]}, given[0]) is given[0]
    assert draw_sign_agreement([0, 1], {"a->b": [1, 0.5]}, {"a->b": [1, 0.4]}, given[1]) is given[1]
    solid, dashed = given[1].lines[1:]
    assert (solid.get_linestyle(), dashed.get_linestyle()) == ("-", "--") and solid.get_color() == dashed.get_color()
    with pytest.raises(DataError, match=r"'a': expected values of 2 checkpoints, got \(1,\)"):
        draw_relative_std([0, 1], {"a": [0.5]})
    with pytest.raises(DataError, match="expected values of one population or synapse group at least, got none"):
        draw_relative_std([0, 1], {})
    with pytest.raises(DataError, match=r"expected the groups \['a'\] in both, got \['b'\]"):
        draw_sign_agreement([0], {"a": [1]}, {"b": [1]})
