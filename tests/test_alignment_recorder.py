"""Alignment while training is what is measured by hand, and a run does not know that it is measured."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import h5py
import pytest
import torch
from small_circuits import batch_for, readouts_for, small

from neurosim import BP, Simulator
from neurosim.analysis import credit_relative_std, gradient_alignment, sign_agreement
from neurosim.analysis.alignment_recorder import AlignmentRecorder
from neurosim.analysis.credit_quality import credit_quality
from neurosim.analysis.run_alignment import as_text, run_alignment, to_plain
from neurosim.cli import app
from neurosim.datasets import Dataset, Split, load_dataset
from neurosim.errors import DataError, NeurosimError, SimulationError, UnknownNameError
from neurosim.observers import Observer
from neurosim.plasticity import available_rules, rule_named
from neurosim.runs.recorded_summary import recorded_as_plain
from neurosim.runs.recording import RunRecorder
from neurosim.runs.run import Run
from neurosim.training import Trainer


def simulator_of(rule: str, **options: Any) -> Simulator:
    readout, K = readouts_for(rule)[0]
    return Simulator(small("digits-fc", rule=BP(), readout=readout, K=K).with_rules(rule_named(rule)), **options)


def train(simulator: Simulator, *observers: Observer, epochs: int = 2) -> dict[str, torch.Tensor]:
    names = tuple(map(str, range(simulator.circuit.readout.classes)))
    train, test = (Split(*batch_for(simulator.circuit, size, seed)) for size, seed in ((40, 1), (10, 2)))
    data = Dataset("random", names, "random numbers", train, test)
    options: dict[str, Any] = {"batch_size": 16, "checkpoint_every": 1, "early_stop": False}
    Trainer(simulator, data, epochs=epochs, observers=observers, **options).run()
    return simulator.state_dict()


@pytest.mark.parametrize("rule", sorted(available_rules()))
def test_measuring_changes_nothing_and_measures_what_it_says(tmp_path: Path, rule: str) -> None:
    plain, simulator = train(simulator_of(rule)), simulator_of(rule)
    measured = train(simulator, RunRecorder(tmp_path / "run.h5"), AlignmentRecorder(examples=24, sign_examples=5))
    assert plain.keys() == measured.keys() and all(torch.equal(plain[name], measured[name]) for name in plain)
    run = Run(tmp_path / "run.h5")
    with pytest.raises(
        UnknownNameError, match="alignment 'signs'; .*signs_per_example; signs are told per example and"
    ):
        run.alignment("signs")
    batch = tuple(part[:24] for part in batch_for(simulator.circuit, 40, 1))
    for epoch, now in ((0, simulator_of(rule)), (2, simulator)):
        row = {m: run.alignment(m).set_index("epoch").loc[epoch] for m in ("degrees", "relative_std")}
        assert run.alignment()["epoch"].tolist() == [0, 1, 2]
        for word, name in (("angle", "degrees"), ("r", "relative_std")):
            assert run.alignment(word).equals(run.alignment(name)), "one measure by either word"
        for name, angle in gradient_alignment(now, *batch).items():
            assert row["degrees"][name] == angle or math.isnan(angle)
        for name, r in credit_relative_std(now, *batch).items():
            assert row["relative_std"][name] == float(r.abs().nanmedian())
        few = tuple(part[:5] for part in batch)
        for per, part in (("example", few), ("batch", batch)):
            shares = run.alignment(f"signs_per_{per}").set_index("epoch").loc[epoch]
            for name, signs in sign_agreement(now, *part, per=per).items():
                assert shares[name] == signs.share or math.isnan(signs.share)


def test_frozen_and_mixed_populations_are_nan(tmp_path: Path) -> None:
    circuit = small("digits-fc").with_rules({"input->fc1": None})
    train(Simulator(circuit), RunRecorder(tmp_path / "run.h5"), AlignmentRecorder(sign_examples=2), epochs=1)
    run = Run(tmp_path / "run.h5")
    assert run.alignment()["fc1"].isna().all() and run.alignment()["fc2"].notna().all()
    assert list(run.alignment("signs_per_batch")) == ["epoch", "fc1->fc2", "fc2->output"]
    shown = run.summary().splitlines()
    (line,) = [line for line in shown if line.startswith("  alignment ")]
    assert line.startswith("  alignment   degrees to the exact credit at epoch 1: fc1 nan, fc2 ")
    assert any(line.startswith("              signs agreeing per example (the first 2): fc1->fc2 ") for line in shown)


def test_resuming_continues_and_after_the_fact_agrees(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, data = tmp_path / "run.h5", load_dataset("digits").subset(train=40, test=10)
    for epochs, resume in ((1, False), (2, True)):
        observers = [RunRecorder(path, resume=resume), AlignmentRecorder(sign_examples=4)]
        Trainer(Simulator(small("digits-fc")), data, epochs=epochs, checkpoint_every=1, observers=observers).run()
    found = run_alignment(Run(path), measures=("angle", "r", "signs"), sign_examples=4)
    for measure in ("degrees", "relative_std", "signs_per_example", "signs_per_batch"):
        table = Run(path).alignment(measure)
        assert table["epoch"].tolist() == [each.epoch for each in found] == [0, 1, 2]
        for name in table.columns.drop("epoch"):
            assert table[name].tolist() == pytest.approx([getattr(each, measure)[name] for each in found], abs=1e-9)
    assert [line.split()[0] for line in as_text(found).splitlines()].count("epoch") == 4
    assert set(to_plain(found)[0]) == {
        "epoch",
        "examples",
        "sign_examples",
        "degrees",
        "relative_std",
        "signs_per_example",
        "signs_per_batch",
        "kept",
    }
    assert as_text(found).splitlines()[-1] == "examples that angles are means of, of 40: fc1 40, fc2 40"


def test_a_recorder_that_joins_is_asked_to_and_its_gap_is_named(tmp_path: Path) -> None:
    path, data = tmp_path / "run.h5", load_dataset("digits").subset(train=40, test=10)

    def run(epochs: int, *observers: AlignmentRecorder) -> None:
        recorder = RunRecorder(path, resume=path.exists())
        watching = [recorder, *observers]
        Trainer(Simulator(small("digits-fc")), data, epochs=epochs, checkpoint_every=1, observers=watching).run()

    run(1)
    with pytest.raises(DataError, match="checkpoints up to epoch 1, of which none was measured, .* allow_gaps=True"):
        run(2, AlignmentRecorder(sign_examples=2))
    run(2, AlignmentRecorder(sign_examples=2, allow_gaps=True))
    run(3)
    assert recorded_as_plain(Run(path))["alignment_examples"] == {"examples": 40, "sign_examples": 2}
    with pytest.raises(DataError, match="measured on other examples: sign_examples= was 2, is 3. Use the same numbers"):
        run(4, AlignmentRecorder(sign_examples=3, allow_gaps=True))
    with pytest.raises(DataError, match="up to epoch 3, of which the last that was measured is of epoch 2, so rows"):
        run(4, AlignmentRecorder(sign_examples=2))
    run(4, AlignmentRecorder(sign_examples=2, allow_gaps=True))
    assert Run(path).alignment()["epoch"].tolist() == [2, 4]
    assert "degrees to the exact credit at epoch 4 (not measured at epoch 0, 1, 3): fc1 " in Run(path).summary()
    assert recorded_as_plain(Run(path))["alignment_missing"] == [0, 1, 3]
    with h5py.File(path, "r+") as file:
        del file.attrs["alignment_examples"]  # as in files of versions that did not note it
    run(5, AlignmentRecorder(sign_examples=3))
    assert Run(path).alignment()["epoch"].tolist() == [2, 4, 5]
    assert recorded_as_plain(Run(path))["alignment_examples"] is None, "of the rows before it is not known"


def test_refusals(tmp_path: Path) -> None:
    with pytest.raises(SimulationError, match="AlignmentRecorder: it writes into a run file, but nothing records"):
        train(simulator_of("gevb"), AlignmentRecorder())
    with pytest.raises(SimulationError, match="two of them write into one run file"):
        train(simulator_of("gevb"), RunRecorder(tmp_path / "a.h5"), AlignmentRecorder(), AlignmentRecorder())
    with pytest.raises(SimulationError, match="sign_examples= must be an integer of at least 1, got 0"):
        AlignmentRecorder(sign_examples=0)
    simulator = simulator_of("gevb")
    with pytest.raises(UnknownNameError, match="unknown measure 'sign'; did you mean 'signs'.* Known: angle, r, signs"):
        credit_quality(simulator, *batch_for(simulator.circuit, 2), measures=("sign",))
    with pytest.raises(DataError, match="number of examples from 1 to 40, the training images, got 41"):
        train(simulator, RunRecorder(tmp_path / "b.h5"), AlignmentRecorder(41))
    train(simulator, RunRecorder(tmp_path / "plain.h5"), epochs=1)
    with pytest.raises(UnknownNameError, match="known: none; train with --alignment"):
        Run(tmp_path / "plain.h5").alignment()


def test_the_commands(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path, toml = tmp_path / "run.h5", tmp_path / "run.toml"
    toml.write_text('record = ["fc1:activity,credit", "fc1:gates", "bias of fc1:updates"]\nrecord-every = 2\n')
    (tmp_path / "small.json").write_text(small("digits-fc").to_json())
    options = [
        "--circuit",
        str(tmp_path / "small.json"),
        "--dataset",
        "digits",
        "--train-examples",
        "64",
        "--test-examples",
        "32",
        "--epochs",
        "1",
        "--batch-size",
        "16",
    ]
    options += ["--config", str(toml), "--alignment", "--vectorization", "temporal:replay", "--no-picture"]
    app(["train", *options, "--out", str(path)], standalone_mode=False)
    run = Run(path)
    assert run.config["notes"]["vectorization"] == "temporal:replay" and run.attributes["vectorization"] == "temporal"
    assert run.recorded("fc1").variables == ("activity", "credit", "gates")
    assert run.recorded("bias of fc1").steps.tolist() == [0, 2]
    capsys.readouterr()
    app(["show", str(path)], standalone_mode=False)
    shown = capsys.readouterr().out
    for text in ("float32, temporal:replay, cpu", "recorded    fc1: activity, credit, gates", "alignment   degrees"):
        assert text in shown
    app(["show", str(path), "--json"], standalone_mode=False)
    plain = json.loads(capsys.readouterr().out)
    assert plain["recorded"]["fc1"]["rows"] == 2 and plain["alignment"]["degrees"][1]["epoch"] == 1
    app(["align", str(path), "--measure", "signs", "--examples", "8", "--json"], standalone_mode=False)
    (rows,) = json.loads(capsys.readouterr().out).values()
    assert set(rows[0]) == {"epoch", "examples", "sign_examples", "signs_per_example", "signs_per_batch"}


@pytest.mark.parametrize(
    ("options", "text"),
    [
        (
            ["--vectorization", "temporal:causal"],
            "the gate of population 'fc1', SignGate(), is known only after the last",
        ),
        (["--vectorization", "time"], "unknown vectorization 'time'; known: group, temporal"),
        (["--record", "fc1"], "--record: expected TARGET:VARIABLE,VARIABLE as in fc1:activity,credit; got 'fc1'"),
        (["--record", "fc9:activity"], "unknown population or synapse group to record 'fc9'"),
        (["--record", "fc1:weights"], "unknown variable of 'fc1' 'weights'; known: activity, credit, gates, pre_activ"),
        (["--record", "fc1:gates", "--record-reduce", "max"], "unknown reduction 'max'"),
    ],
)
def test_mistakes_leave_nothing(tmp_path: Path, options: list[str], text: str) -> None:
    with pytest.raises(NeurosimError) as error:
        app(["train", *options, "--out", str(tmp_path / "new" / "run.h5")], standalone_mode=False)
    assert text in str(error.value) and list(tmp_path.iterdir()) == []
