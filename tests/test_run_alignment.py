"""Alignment from a run file equals what was there while training."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest

from neurosim import BP, GEVB, Circuit, Dense, OneHot, OnOff, SignGate, Simulator, circuits
from neurosim.analysis import gradient_alignment, sign_agreement
from neurosim.analysis.run_alignment import CheckpointAlignment, as_text, run_alignment, to_plain
from neurosim.cli import app
from neurosim.datasets import load_dataset
from neurosim.errors import ConfigError, DataError, SimulationError, UnknownNameError
from neurosim.observers import CheckpointRow, Observer, Training
from neurosim.rules import DFA, FA, ThreeFactorHebbian
from neurosim.runs.recording import RunRecorder
from neurosim.runs.run import Run
from neurosim.training import Trainer

DATA = load_dataset("digits").subset(train=200, test=50)


class Watcher(Observer):
    """Measures at every checkpoint, while training."""

    def __init__(self) -> None:
        self.seen: dict[int, dict[str, float]] = {}

    def on_checkpoint(self, trainer: Training, row: CheckpointRow) -> None:
        first = DATA.train.first(128)
        assert isinstance(trainer.simulator, Simulator)
        self.seen[row.epoch] = gradient_alignment(trainer.simulator, first.images, first.labels)


def trained(path: Path, rule, checkpoints: str = "all") -> Watcher:
    watcher = Watcher()
    simulator = Simulator(circuits.load("digits-fc", widths=(12, 8), rule=rule), seed=2)
    recorder = RunRecorder(path, checkpoints=checkpoints)
    Trainer(simulator, DATA, epochs=3, checkpoint_every=2, observers=[recorder, watcher]).run()
    return watcher


@pytest.mark.parametrize("rule", [GEVB(), DFA()], ids=str)
def test_after_the_fact_equals_while_training(tmp_path: Path, rule) -> None:
    watcher = trained(tmp_path / "run.h5", rule)
    found = run_alignment(Run(tmp_path / "run.h5"))
    assert [each.epoch for each in found] == [0, 2, 3]
    for each in found:
        assert each.degrees.keys() == watcher.seen[each.epoch].keys() == {"fc1", "fc2"}
        assert all(abs(each.degrees[name] - watcher.seen[each.epoch][name]) < 1e-9 for name in each.degrees)
    assert found[0].degrees != found[-1].degrees


def test_bp_is_aligned_with_itself(tmp_path: Path) -> None:
    trained(tmp_path / "run.h5", GEVB(), "last")
    (only,) = run_alignment(Run(tmp_path / "run.h5"), rule=BP())
    assert only.epoch == 3 and all(degrees < 0.01 for degrees in only.degrees.values())
    assert as_text([only]).splitlines()[0].split() == ["epoch", "fc1", "fc2"]


@pytest.mark.parametrize("rule", [DFA(), FA()], ids=str)
def test_a_rule_whose_matrices_the_run_does_not_hold(tmp_path: Path, rule) -> None:
    trained(tmp_path / "run.h5", GEVB(), "last")
    with pytest.raises(DataError, match="no feedback matrices of the rule .* that draws nothing .*--rule gevb, bp"):
        run_alignment(Run(tmp_path / "run.h5"), rule=rule)


def test_a_run_without_weights(tmp_path: Path) -> None:
    trained(tmp_path / "run.h5", GEVB(), "none")
    with pytest.raises(DataError, match="no weights were kept; record with checkpoints='all'"):
        run_alignment(Run(tmp_path / "run.h5"))


def test_other_images(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    trained(tmp_path / "run.h5", GEVB())
    other = load_dataset("digits").subset(train=100)
    monkeypatch.setattr("neurosim.runs.rebuilt.load_dataset", lambda name, folder: other)
    with pytest.raises(DataError, match="it was trained on other images than those of dataset 'digits'"):
        run_alignment(Run(tmp_path / "run.h5"))


def test_flattened_images(tmp_path: Path) -> None:
    """Of a circuit whose inputs have no space; pixels in one axis are the same network."""
    found = []
    for inputs, data in ((64, DATA.flattened()), ((1, 8, 8), DATA)):
        c = Circuit(inputs, OneHot(10))
        c.population("f1", 8, gate=SignGate())
        c.connect("input", "f1", Dense(), rule=GEVB(), init=OnOff())
        c.connect("f1", "output", Dense(), rule=GEVB(), init=OnOff(), sign="nonnegative")
        path = tmp_path / f"{len(found)}.h5"
        Trainer(Simulator(c, precision="float64"), data, epochs=1, observers=[RunRecorder(path)]).run()
        found.append(run_alignment(Run(path))[-1].degrees["f1"])
    assert abs(found[0] - found[1]) < 1e-6 < found[0]


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "run.h5"
    watcher = trained(path, GEVB())
    app(["align", str(path), "--json"], standalone_mode=False)
    (rows,) = json.loads(capsys.readouterr().out).values()
    assert [row["epoch"] for row in rows] == [0, 2, 3]
    assert rows[-1]["degrees"] == pytest.approx(watcher.seen[3], abs=1e-9)
    app(["align", str(path), "--rule", "bp"], standalone_mode=False)
    assert "degrees between the credit of BP() and of BP, 128 examples" in capsys.readouterr().out


@pytest.mark.parametrize(("words", "tables"), [(["degrees", "relative_std"], ["angle", "r"]), (["signs"], ["signs"])])
def test_measures_go_by_the_names_of_their_tables(tmp_path: Path, capsys, words: list[str], tables: list[str]) -> None:
    path, printed = tmp_path / "run.h5", []
    trained(path, GEVB(), "last")
    for asked in (words, tables):
        options = [part for word in asked for part in ("--measure", word)]
        app(["align", str(path), *options, "--json"], standalone_mode=False)
        printed.append(capsys.readouterr().out)
    assert printed[0] == printed[1]
    ((row,),) = json.loads(printed[0]).values()
    about = {"epoch", "examples", "sign_examples", "kept"}
    assert set(row) - about == {name for name in row if name.split("_per_")[0] in words}
    with pytest.raises(UnknownNameError, match="unknown measure 'angles'; .*nown: degrees, relative_std, signs"):
        app(["align", str(path), "--measure", "angles"], standalone_mode=False)


def test_examples_that_there_are(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "run.h5"
    trained(path, GEVB())
    for asked, measured in (([], 128), (["--examples", "200"], 200)):
        app(["align", str(path), *asked], standalone_mode=False)
        assert f"of BP, {measured} examples" in capsys.readouterr().out
        app(["align", str(path), *asked, "--json"], standalone_mode=False)
        (rows,) = json.loads(capsys.readouterr().out).values()
        assert [row["examples"] for row in rows] == [measured] * 3
    wanted = "expected a number of examples from 1 to 200, the training images of the run, found 201"
    with pytest.raises(DataError, match=wanted):
        app(["align", str(path), "--examples", "201"], standalone_mode=False)


def test_the_examples_that_signs_are_of(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The share over 3 examples is that of those 3, whatever the number of all; how many it was is told."""
    path = tmp_path / "run.h5"
    trained(path, DFA(), "last")
    first = DATA.train.first(3)
    by_hand = {n: s.share for n, s in sign_agreement(Run(path).simulator(), first.images, first.labels).items()}
    (three,) = run_alignment(Run(path), measures="signs", sign_examples=3)
    assert three.signs_per_example == by_hand and (three.examples, three.sign_examples) == (128, 3)
    (usual,) = run_alignment(Run(path), measures="signs_per_example")
    assert usual.sign_examples == 16 and usual.signs_per_example != by_hand
    for asked, number in (([], 16), (["--sign-examples", "3"], 3), (["--examples", "5"], 5)):
        app(["align", str(path), "--measure", "signs", *asked], standalone_mode=False)
        assert f"sign, each of the first {number} examples by itself\n" in capsys.readouterr().out
        app(["align", str(path), "--measure", "signs", *asked, "--json"], standalone_mode=False)
        ((row,),) = json.loads(capsys.readouterr().out).values()
        assert row["sign_examples"] == number
    assert "sign_examples" not in to_plain(run_alignment(Run(path)))[0]
    with pytest.raises(ConfigError, match="--sign-examples 4: no signs are measured; add --measure signs"):
        app(["align", str(path), "--sign-examples", "4"], standalone_mode=False)


@pytest.mark.usefixtures("wrong_types_allowed")
def test_what_cannot_be_measured_is_refused(tmp_path: Path) -> None:
    trained(tmp_path / "run.h5", DFA(), "last")
    run = Run(tmp_path / "run.h5")
    for measures, name in (("angles", "'angles'"), (["degrees", "sign"], "'sign'"), (5, "5, which is no text")):
        with pytest.raises(UnknownNameError, match=f"unknown measure {name}; .*nown: angle, r, signs"):
            run_alignment(run, measures=measures)
    assert run_alignment(run, measures="degrees") == run_alignment(run, measures=["angle"])
    for number in (0, -1, "5", True):
        with pytest.raises(SimulationError, match=f"sign_examples= must be an integer of at least 1, got {number!r}"):
            run_alignment(run, measures="signs", sign_examples=number)
        with pytest.raises(DataError, match=f"expected a number of examples from 1 to 200, .* found {number!r}"):
            run_alignment(run, examples=number)
    with pytest.raises(DataError, match=r"run_alignment: expected a Run, such as Run\('runs/gevb.h5'\), got 'run.h5'"):
        run_alignment("run.h5")
    with pytest.raises(SimulationError, match="run_alignment: expected a rule such as GEVB.* got 'gevb'"):
        run_alignment(run, rule="gevb")
    with pytest.raises(DataError, match=r"no feedback matrices of the rule DFA\(limits=\(0.0, 1.0\)"):
        run_alignment(run, rule=DFA(limits=(0, 1)))
    with pytest.raises(DataError, match="no constants or running means of the rule ThreeFactorHebbian"):
        run_alignment(run, rule=ThreeFactorHebbian())


def test_a_population_of_two_rules_is_nan_and_the_reason_is_told(tmp_path: Path) -> None:
    c, path = Circuit((1, 8, 8), OneHot(10)), tmp_path / "run.h5"
    c.population("f1", 8, gate=SignGate(), bias_rule=GEVB())
    for name, rule in (("one", GEVB()), ("other", DFA())):
        c.connect("input", "f1", Dense(), rule=rule, init=OnOff(), name=name)
    c.connect("f1", "output", Dense(), rule=GEVB(), init=OnOff(), sign="nonnegative")
    Trainer(Simulator(c), DATA, epochs=1, observers=[RunRecorder(path, checkpoints="last")]).run()
    (found,) = run_alignment(Run(path))
    assert found.kept["f1"] == 0 and math.isnan(found.degrees["f1"])
    assert as_text([found]).endswith(": f1 0; the others have almost no credit, or no single rule: name one")
    some = CheckpointAlignment(degrees={"f1": 30.0}, kept={"f1": 5}, examples=6)
    assert as_text([some]).endswith(": f1 5; the others have almost no credit"), "and a rule it has"
