"""Figures draw on the axes that they are given and change nothing global."""

from __future__ import annotations

import matplotlib
import pandas
import pytest
from matplotlib.figure import Figure

from neurosim import BP, Circuit, Dense, HalfNormal, OneHot, SignGate, Simulator, circuits
from neurosim.datasets import load_dataset
from neurosim.figures.circuit import draw_circuit
from neurosim.figures.learning_curve import draw_learning_curves
from neurosim.figures.run_overview import draw_run
from neurosim.runs.recording import RunRecorder
from neurosim.training import Trainer


@pytest.fixture(autouse=True)
def nothing_global_changes():
    before = dict(matplotlib.rcParams)
    yield
    assert dict(matplotlib.rcParams) == before


def texts(ax):
    return [text.get_text() for text in ax.texts]


@pytest.mark.parametrize("name", circuits.available_circuits())
def test_every_ready_made_circuit_can_be_drawn(name):
    circuit = circuits.load(name)
    axes = circuit.draw()
    shown = texts(axes)
    assert set(circuit.populations) <= set(shown)
    for population in circuit.populations.values():
        assert " x ".join(map(str, population.shape)) in shown
    axes.figure.canvas.draw()


def test_signs_rules_and_parallel_groups_are_told_apart():
    circuit = Circuit(4, OneHot(3))
    circuit.population("h", 6, gate=SignGate())
    circuit.connect("input", "h", Dense())
    circuit.connect("h", "output", Dense(), rule=BP(), sign="nonnegative", init=HalfNormal())
    circuit.connect("h", "output", Dense(), rule=BP(), sign="nonpositive", init=HalfNormal(), name="inhibition")
    circuit.connect("input", "output", Dense(), rule=BP(), name="skip")
    given = Figure().add_subplot()
    assert draw_circuit(circuit, ax=given) is given
    shown = texts(given)
    assert {"Dense +", "Dense \N{MINUS SIGN}", "Dense \N{PLUS-MINUS SIGN}"} <= set(shown)
    assert [text.get_text() for text in given.get_legend().get_texts()][:2] == ["frozen", "BP"]
    places = {text.get_text(): text.get_position() for text in given.texts}
    assert places["Dense +"] != places["Dense \N{MINUS SIGN}"]


def test_learning_curves_are_in_percent():
    table = pandas.DataFrame({"epoch": [1, 2], "test_error": [0.5, 0.25], "train_error": [0.4, 0.1]})
    given = Figure().add_subplot()
    assert draw_learning_curves({"GEVB": table, "BP": table}, ax=given) is given
    assert [list(line.get_ydata()) for line in given.lines] == [[50.0, 25.0], [40.0, 10.0]] * 2
    assert [text.get_text() for text in given.get_legend().get_texts()] == ["GEVB", "BP", "test", "train"]
    assert [line.get_linestyle() for line in given.lines] == ["-", "--"] * 2


def test_overview_of_a_run(tmp_path):
    data = load_dataset("digits").subset(train=128, test=50)
    path = tmp_path / "run.h5"
    simulator = Simulator(circuits.load("digits-fc", widths=(8, 6)))
    Trainer(simulator, data, epochs=2, observers=[RunRecorder(path)]).run()
    above, below = draw_run(path).axes
    assert "fc1" in texts(above) and len(below.lines) == 2
    assert [entry.name for entry in tmp_path.iterdir()] == ["run.h5"]
