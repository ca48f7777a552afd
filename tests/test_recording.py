"""The run file: what it holds, what it survives, and that a resumed run is the run."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import torch

from neurosim import BP, Adam, Simulator, __version__, circuits
from neurosim.datasets import load_dataset
from neurosim.errors import DataError, SimulationError, UnknownNameError
from neurosim.observers import Observer
from neurosim.runs.format import Commit, Series, line_bytes, to_array, to_tensor
from neurosim.runs.places import hold
from neurosim.runs.recording import RunRecorder
from neurosim.runs.run import Run
from neurosim.runs.writer import RunWriter
from neurosim.training import Trainer, TrainingResult

sys.path.append(str(Path(__file__).parent))
import training_fakes
from training_fakes import FakeCircuit, FakeSimulator, fake_dataset, fake_training, numbers

ROWS = ["epoch", "train_loss", "train_error", "test_loss", "test_error"]


def recorded(run: Run) -> list[tuple[float, ...]]:
    """The rows of a file, without the seconds."""
    tables = (run.epochs[ROWS], run.checkpoints[ROWS])
    return [row for table in tables for row in table.itertuples(index=False, name=None)]


def same_state(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    return one.keys() == other.keys() and all(
        one[key].dtype == other[key].dtype and torch.equal(one[key], other[key]) for key in one
    )


def uninterrupted(epochs: int) -> tuple[TrainingResult, dict[str, torch.Tensor]]:
    """A run that nobody records."""
    simulator = FakeSimulator()
    return fake_training(None, epochs, simulator).run(), simulator.state_dict()


@pytest.fixture(autouse=True)
def synced(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The files that were to be synced: waiting for the disk is slow, and a kill does not need it."""
    files: list[int] = []
    monkeypatch.setattr(os, "fsync", files.append)
    return files


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "run.h5"


@pytest.fixture
def old(path: Path) -> bytes:
    """A finished run that must not be lost; its bytes."""
    fake_training(path, 2).run()
    return path.read_bytes()


# -- what a file holds -----------------------------------------------------------------------------------------------


def test_a_finished_run_reads_back(path: Path) -> None:
    simulator = FakeSimulator()
    result = fake_training(path, 5, simulator, config={"preset": "tiny"}).run()
    run = Run(path)
    assert recorded(run) == numbers(result)
    assert run.epochs["step_seconds"].tolist() == [row.step_seconds for row in result.epochs]
    assert sorted(run.epochs) == sorted([*ROWS, "step_seconds", "evaluation_seconds"])
    assert list(run.epochs)[:3] == ["epoch", "test_error", "train_error"]  # what is looked for first
    assert (run.status, run.finished, run.reason, run.epoch) == ("finished", True, "all 5 epochs trained", 5)
    assert repr(run) == f"Run('{path}', finished, epoch 5 of 5)"
    assert run.kept_epochs == (0, 2, 4, 5)
    assert same_state(run.state(), simulator.state_dict())
    assert os.listdir(path.parent) == ["run.h5"]


def test_the_file_explains_itself(path: Path) -> None:
    fake_training(path, 1, config={"preset": "tiny"}).run()
    run = Run(path)
    about = run.attributes
    assert (about["format"], about["version"]) == ("neurosim-run", 1)
    assert {"created", "neurosim", "torch", "numpy", "python"} <= about.keys()
    assert about["torch"] == torch.__version__
    assert (about["device"], about["precision"], about["vectorization"], about["seed"]) == (
        "cpu",
        "float32",
        "group",
        0,
    )
    assert (about["dataset"], about["dataset_fingerprint"]) == ("fake", fake_dataset().fingerprint)
    assert (about["dataset_train_size"], about["dataset_test_size"]) == (50, 20)
    assert run.circuit_json == FakeCircuit().to_json()
    assert run.config == {
        "epochs": 1, "batch_size": 16, "checkpoint_every": 2, "eval_batch_size": 1000, "early_stop": True,
        "checkpoints": "all", "optimizer": {"type": "momentum", "lr": 0.05, "betas": [0.9, 0.999]},
        "given": {"preset": "tiny"},
        "notes": {},
    }  # fmt: skip
    with h5py.File(path) as file:
        assert file["epochs/train_error"].attrs["about"].startswith("wrong fraction")


def test_plain_hdf5_shows_exactly_the_rows_of_a_finished_run(path: Path) -> None:
    result = fake_training(path, 3).run()
    with h5py.File(path) as file:
        assert file["epochs/test_loss"][:].tolist() == [row.test_loss for row in result.epochs]
        assert file["checkpoints/epoch"][:].tolist() == [0, 2, 3]
        weights = file["checkpoints/state/weights/input->output"]
        assert weights.shape == (3, 3, 9) and weights.chunks[1:] == (3, 9)


class Photographer(Observer):
    """Keeps the state at every checkpoint."""

    def __init__(self) -> None:
        self.states: dict[int, dict[str, torch.Tensor]] = {}

    def on_checkpoint(self, trainer: Any, row: Any) -> None:
        self.states[row.epoch] = {key: t.clone() for key, t in trainer.simulator.state_dict().items()}


def test_weights_biases_and_gates_of_every_checkpoint(path: Path) -> None:
    photographer, simulator = Photographer(), FakeSimulator()
    training = fake_training(path, 5, simulator)
    training = Trainer(
        simulator, fake_dataset(), epochs=5, checkpoint_every=2, observers=[photographer, *training.observers]
    )
    training.run()
    run = Run(path)
    for epoch, state in photographer.states.items():
        assert np.array_equal(run.weights("input->output", epoch), state["weights/input->output"].numpy())
        assert np.array_equal(run.biases("output", epoch), state["biases/output"].numpy())
        assert np.array_equal(run.gates("output/t", epoch), state["gates/output/t"].numpy())
    assert same_state(run.state(2), {k: t for k, t in photographer.states[2].items() if k[0] in "wbgf"})
    assert run.names("weights") == ("input->output",) and run.names("gates") == ("output/t",)
    assert run.names("optimizer") == ("momentum/input->output", "step/input->output")


def test_bfloat16_is_kept_bit_by_bit(path: Path) -> None:
    simulator = FakeSimulator()
    fake_training(path, 1, simulator).run()
    assert torch.equal(Run(path).state()["feedback/output"], simulator.feedback)
    value = torch.tensor(1.5, dtype=torch.bfloat16)
    assert torch.equal(to_tensor(to_array(value), "bfloat16"), value)


def test_summary(path: Path) -> None:
    result = fake_training(path, 3).run()
    text = Run(path).summary()
    best = min(result.epochs, key=lambda row: row.test_error)
    assert f"{path}: finished (all 3 epochs trained)" in text
    assert "epoch       3 of 3, batch size 16" in text
    assert "dataset     fake, 50 train + 20 test images" in text
    assert f"test error {best.test_error:.2%} at epoch {best.epoch}" in text
    assert f"checkpoint  epoch 3: train error {result.checkpoints[-1].train_error:.2%}" in text
    assert "weights     of epochs 0, 2, 3" in text
    assert "optimizer   momentum(lr=0.05, betas=[0.9, 0.999])" in text


def test_summary_tells_circuit_and_rules(path: Path) -> None:
    circuit = circuits.load("digits-fc", widths=(4, 2)).with_rules({"input->fc1": None, "fc1->fc2": BP()})
    data = load_dataset("digits").subset(train=32, test=16)
    Trainer(Simulator(circuit, optimizer=Adam(0.01)), data, epochs=0, observers=[RunRecorder(path)]).run()
    text = Run(path).summary()
    assert "circuit     K = 10, input (1, 8, 8), fc1 (4), fc2 (2), output; readout OneHot(classes=10, loss=" in text
    assert "rules       frozen: input->fc1; BP(): fc1->fc2; GEVB(): fc2->output" in text
    assert "optimizer   Adam(lr=0.01, betas=" in text


def test_checkpoints_and_the_end_wait_for_the_disk(path: Path, synced: list[int]) -> None:
    fake_training(path, 5).run()
    assert len(synced) == 4 + 1


def test_a_run_of_no_epochs(path: Path) -> None:
    result = fake_training(path, 0).run()
    run = Run(path)
    assert recorded(run) == numbers(result) and len(run.epochs) == 0
    assert "weights     of epochs 0" in run.summary()
    fake_training(path, 2, resume=True).run()
    assert recorded(Run(path)) == numbers(uninterrupted(2)[0])


def test_recording_changes_nothing(path: Path) -> None:
    plain, state = uninterrupted(6)
    simulator = FakeSimulator()
    watched = fake_training(path, 6, simulator).run()
    assert numbers(watched) == numbers(plain)
    assert same_state(simulator.state_dict(), state)


def test_an_early_stopped_file_is_as_short_as_its_run(path: Path) -> None:
    training = Trainer(
        FakeSimulator(), fake_dataset(learnable=True), epochs=1000, checkpoint_every=5, observers=[RunRecorder(path)]
    )
    result = training.run()
    run = Run(path)
    assert run.finished and run.reason == result.reason and run.reason.startswith("train error is zero")
    with h5py.File(path) as file:
        assert len(file["epochs/epoch"]) == run.epoch == len(result.epochs) < 1000
        assert len(file["checkpoints/state/weights/input->output"]) == len(result.checkpoints)


@pytest.mark.parametrize("keep", ["last", "none"])
def test_fewer_weights_can_be_kept(path: Path, keep: Any) -> None:
    simulator = FakeSimulator()
    result = fake_training(path, 4, simulator, checkpoints=keep).run()
    run = Run(path)
    assert recorded(run) == numbers(result)
    assert not any(name.startswith("checkpoints/state") for name in run.series_names)
    if keep == "last":
        assert run.kept_epochs == (4,) and same_state(run.state(), simulator.state_dict())
        assert np.array_equal(run.weights("input->output", 4), simulator.weight.numpy())
        with pytest.raises(DataError, match="weights were kept, 4, found 2; record with checkpoints='all'"):
            run.weights("input->output", 2)
    else:
        assert run.kept_epochs == ()
        assert "weights     of epochs none" in run.summary()
        for ask in (run.state, lambda: run.weights("input->output")):
            with pytest.raises(DataError, match="recorded with checkpoints='none', which leaves it out at the end"):
                ask()
        with pytest.raises(DataError, match="recorded with checkpoints='none'"):
            fake_training(path, 6, checkpoints=keep, resume=True).run()


def test_a_run_without_weights_can_be_resumed_until_it_is_finished(path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        interrupted_training(path, 6, at=3, checkpoints="none").run()
    result = fake_training(path, 6, checkpoints="none", resume=True).run()
    assert numbers(result) == numbers(uninterrupted(6)[0])
    assert Run(path).kept_epochs == ()


def test_wrong_names_list_the_right_ones(path: Path) -> None:
    fake_training(path, 2).run()
    run = Run(path)
    with pytest.raises(UnknownNameError, match=r"unknown name of weights 'input->f9'.*input->output"):
        run.weights("input->f9")
    with pytest.raises(UnknownNameError, match=r"unknown name of gates 'output'; did you mean.*output/t"):
        run.gates("output")
    with pytest.raises(UnknownNameError, match=r"unknown series 'epochs/los'.*epochs/test_loss"):
        run.series("epochs/los")
    with pytest.raises(DataError, match="one of the epochs whose weights were kept, 0, 2, found 1$"):
        run.state(1)


# -- a file that is being written ------------------------------------------------------------------------------------


class Reader(Observer):
    """Reads the file in the middle of the run, as another process would."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.seen: list[tuple[int, int, bool]] = []

    def on_step(self, trainer: Any, step: Any) -> None:
        run = Run(self.path)
        state = {key: tensor.clone() for key, tensor in run.state().items()}
        assert recorded(run)[: run.epoch] == [
            (r.epoch, r.train_loss, r.train_error, r.test_loss, r.test_error) for r in trainer.epoch_rows
        ]
        assert int(state["optimizer/step/input->output"]) == 4 * run.epoch
        with h5py.File(self.path) as file:  # no flag, no lock and no special mode is in the way
            valid = file["epochs/epoch"][:]
            assert valid.tolist() == [*range(1, run.epoch + 1), *[-1] * (len(valid) - run.epoch)]
            assert np.isnan(file["epochs/test_loss"][run.epoch :]).all()
        self.seen.append((run.epoch, len(run.epochs), run.finished))


def test_a_live_file_shows_the_last_epoch(path: Path) -> None:
    reader = Reader(path)
    training = fake_training(path, 3)
    Trainer(FakeSimulator(), fake_dataset(), epochs=3, batch_size=16, observers=[*training.observers, reader]).run()
    assert reader.seen == [(epoch, epoch, False) for epoch in (0, 1, 2) for _ in range(4)]


def test_a_state_is_never_read_half_written(path: Path) -> None:
    """The writer overwrites the older state slot; readers verify what they read and fall back or read again."""
    writer = RunWriter.create(path, {}, {"weights/w": torch.zeros(1000)})
    for number in range(4):
        writer.commit({"weights/w": torch.full((1000,), float(number))}, epoch=number)
    places = writer._places
    assert places is not None and writer.last is not None
    places.write(
        "resume/weights/w", 1 - writer.last.slot, np.full(1000, 9.0, dtype="f4")
    )  # the next epoch's, uncommitted
    assert Run(path).weights("w").tolist() == [3.0] * 1000
    places.write("resume/weights/w", writer.last.slot, np.full(1000, 9.0, dtype="f4"))
    with pytest.raises(DataError, match="truncated or damaged .no state passes its checksums."):
        Run(path).weights("w")
    writer.close()


def test_a_second_writer_is_kept_off(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("neurosim.runs.places.PATIENCE", 0.0)  # the first one will not let go

    class Intruder(Observer):
        def on_epoch(self, trainer: Any, row: Any) -> None:
            for mode in ("resume", "overwrite"):
                with pytest.raises(DataError, match="another process is writing or reading it; wait for it"):
                    fake_training(path, 4, **{mode: True}).run()

    training = fake_training(path, 2)
    Trainer(FakeSimulator(), fake_dataset(), epochs=2, observers=[*training.observers, Intruder()]).run()
    assert Run(path).finished


# -- streams of other recorders --------------------------------------------------------------------------------------


class Streamer(Observer):
    """Records the bias of every step: what later recorders will do."""

    def __init__(self, recorder: RunRecorder, capacity: int) -> None:
        self.recorder, self.capacity = recorder, capacity

    def on_start(self, trainer: Any) -> None:
        self.recorder.writer.declare("activity/bias", (3,), "f4", capacity=self.capacity, about="bias of every step")

    def on_step(self, trainer: Any, step: Any) -> None:
        self.recorder.writer.append("activity/bias", trainer.simulator.bias.numpy())


def streamed_training(path: Path, epochs: int, capacity: int, interrupt: int = 0, **options: Any) -> Trainer:
    recorder = RunRecorder(path, **options)
    observers = [recorder, Streamer(recorder, capacity), *([Interrupt(interrupt)] if interrupt else [])]
    return Trainer(FakeSimulator(), fake_dataset(), epochs=epochs, batch_size=16, observers=observers)


class Interrupt(Observer):
    """Ctrl-C in the middle of an epoch."""

    def __init__(self, at: int) -> None:
        self.at = at

    def on_step(self, trainer: Any, step: Any) -> None:
        if trainer.epoch + 1 == self.at and int(trainer.simulator.steps) % 4 == 2:
            raise KeyboardInterrupt


def interrupted_training(path: Path, epochs: int, at: int, **options: Any) -> Trainer:
    training = fake_training(path, epochs, **options)
    return Trainer(
        training.simulator,
        fake_dataset(),
        epochs=epochs,
        batch_size=16,
        checkpoint_every=2,
        observers=[*training.observers, Interrupt(at)],
    )


@pytest.mark.parametrize("capacity", [1, 7, 40, 1000])
def test_streams_grow_beside_the_tables(path: Path, capacity: int) -> None:
    streamed_training(path, 10, capacity).run()
    run = Run(path)
    bias = run.series("activity/bias")
    assert bias.shape == (40, 3)
    assert np.array_equal(bias[-1], run.biases("output"))
    assert recorded(run)[:10] == numbers(fake_training(None, 10).run())[:10]
    with h5py.File(path) as file:
        assert len(file["activity/bias"]) == 40 and file["activity/bias"].attrs["about"] == "bias of every step"


@pytest.mark.parametrize("capacity", [1, 1000])
def test_streams_resume_without_the_steps_of_a_lost_epoch(path: Path, capacity: int) -> None:
    with pytest.raises(KeyboardInterrupt):
        streamed_training(path, 10, capacity, interrupt=6).run()
    assert Run(path).series("activity/bias").shape == (20, 3)
    streamed_training(path, 10, capacity, resume=True).run()
    whole = path.with_name("whole.h5")
    streamed_training(whole, 10, capacity).run()
    assert np.array_equal(Run(path).series("activity/bias"), Run(whole).series("activity/bias"))


def test_streams_of_a_missing_recorder_are_kept(path: Path) -> None:
    streamed_training(path, 2, 8).run()
    before = Run(path).series("activity/bias")
    recorder = RunRecorder(path, resume=True)
    Trainer(FakeSimulator(), fake_dataset(), epochs=4, batch_size=16, observers=[recorder]).run()
    assert np.array_equal(Run(path).series("activity/bias"), before)


def test_what_streams_refuse(path: Path) -> None:
    writer = RunWriter.create(path, {}, {})
    writer.declare("a/b", (2,), "f4")
    writer.declare("a/b", (2,), "f4", capacity=100)
    with pytest.raises(DataError, match=r"expected rows of \(2,\) float32 for 'a/b', as declared before, found \(3,\)"):
        writer.declare("a/b", (3,), "f4")
    for name in ("a", "a/b/c", "resume/x", "commits", "", "/a", "a//b", "a/./c"):
        with pytest.raises(DataError, match="expected a path such as 'alignment/f1' that meets no other, found"):
            writer.declare(name, (), "f4")
    with pytest.raises(DataError, match=r"expected a row of shape \(2,\) for 'a/b', found \(3,\)"):
        writer.append("a/b", [1, 2, 3])
    with pytest.raises(UnknownNameError, match="unknown series 'a/c'; did you mean 'a/b'"):
        writer.append("a/c", 1)
    with pytest.raises(UnknownNameError, match="unknown series"):
        writer.rows("a/c")
    writer.close()
    with pytest.raises(DataError, match="this file is not being written; put the recorder before those that use"):
        _ = RunRecorder(path).writer


def test_rows_without_numbers_and_rows_larger_than_a_chunk(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("neurosim.runs.format.LARGEST_CHUNK", 100)
    writer = RunWriter.create(path, {}, {})
    writer.declare("empty", (0, 2), "f4", capacity=3)
    writer.declare("large", (50,), "f8", capacity=3)
    for number in range(5):
        writer.append("empty", np.zeros((0, 2)))
        writer.append("large", np.full(50, number))
    writer.commit({}, epoch=0)
    writer.close()
    assert Run(path).series("empty").shape == (5, 0, 2)
    assert Run(path).series("large")[:, 7].tolist() == [0, 1, 2, 3, 4]


def test_commits_are_recognized_only_whole() -> None:
    commit = Commit(3, 2, "failed", "ü" * 5000, 1, {"weights/ü": 7}, {"epochs/epoch": 2})
    line = commit.encode()
    assert len(line) <= line_bytes({"weights/ü": Series((), np.dtype("f4"), 1), "epochs/epoch": None})  # type: ignore[dict-item]
    decoded = Commit.decode(line)
    assert decoded is not None and decoded.rows == commit.rows and decoded.reason == "ü" * 1000
    for cut in (0, 5, 9, len(line) // 2, len(line) - 1):
        assert Commit.decode(line[:cut]) is None
    assert Commit.decode(line.replace(b"2", b"3")) is None


# -- resuming --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("at", [1, 2, 3, 5, 6])
def test_an_interrupted_run_resumes_to_the_same_numbers(path: Path, at: int) -> None:
    expected, state = uninterrupted(6)
    with pytest.raises(KeyboardInterrupt):
        interrupted_training(path, 6, at=at).run()
    run = Run(path)
    assert (run.status, run.reason, run.epoch) == ("unfinished", "KeyboardInterrupt", at - 1)
    created = run.attributes["created"]

    simulator = FakeSimulator()
    result = fake_training(path, 6, simulator, resume=True).run()
    assert numbers(result) == numbers(expected) == recorded(run)
    assert same_state(simulator.state_dict(), state) and same_state(run.state(), state)
    assert run.finished and run.attributes["created"] == created and "resumed" in run.attributes
    assert os.listdir(path.parent) == ["run.h5"]


def test_epochs_may_be_raised(path: Path) -> None:
    fake_training(path, 4).run()
    fake_training(path, 8, resume=True).run()
    run = Run(path)
    assert recorded(run) == numbers(uninterrupted(8)[0])
    assert run.config["epochs"] == 8 and run.kept_epochs == (0, 2, 4, 6, 8)


def test_raising_epochs_keeps_the_checkpoint_that_was_the_last(path: Path) -> None:
    fake_training(path, 3).run()
    fake_training(path, 4, resume=True).run()
    assert Run(path).checkpoints["epoch"].tolist() == [0, 2, 3, 4]


def test_a_checkpoint_that_became_the_last_is_measured_on_resuming(path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        interrupted_training(path, 6, at=4).run()
    fake_training(path, 3, resume=True).run()
    assert recorded(Run(path)) == numbers(uninterrupted(3)[0])


def of_version(path: Path, version: str) -> None:
    with h5py.File(path, "r+") as file:
        file.attrs["neurosim"] = version


@pytest.mark.parametrize("version", ["0.0.9", "0.1.1", "1.0.0"])
def test_a_run_of_another_version_is_read_but_not_resumed(path: Path, version: str) -> None:
    fake_training(path, 2).run()
    fake_training(path, 3, resume=True).run()
    of_version(path, version)
    before = path.read_bytes()
    with pytest.raises(DataError) as caught:
        fake_training(path, 4, resume=True)
    for words in (f"{path}: ", f"by neurosim {version}, this is neurosim {__version__}", f"with version {version}, or"):
        assert words in str(caught.value)
    assert path.read_bytes() == before and Run(path).epoch == 3


def test_resuming_a_finished_run_trains_nothing(path: Path) -> None:
    expected, state = uninterrupted(4)
    fake_training(path, 4).run()
    simulator = FakeSimulator()
    result = fake_training(path, 4, simulator, resume=True).run()
    assert numbers(result) == numbers(expected) and same_state(simulator.state_dict(), state)
    assert Run(path).finished


@pytest.mark.skipif(sys.platform == "win32", reason="no locks there")
def test_a_writer_waits_for_who_reads_just_now(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A report may read a run in the very moment in which another process opens it to go on."""
    fake_training(path, 2, FakeSimulator()).run()
    reader, asked = h5py.File(path, "r"), []

    def wait_a_moment(seconds: float) -> None:  # the reader is done when the writer has found it there twice
        asked.append(seconds)
        if len(asked) == 2:
            reader.close()

    monkeypatch.setattr("neurosim.runs.places.time.sleep", wait_a_moment)
    hold(path).close()
    assert len(asked) == 2
    monkeypatch.setattr("neurosim.runs.places.PATIENCE", 0.0)
    with h5py.File(path, "r"), pytest.raises(DataError, match="another process is writing or reading it; wait for it"):
        hold(path)


def test_an_early_stop_holds_after_resuming(path: Path) -> None:
    def run(**options: Any) -> TrainingResult:
        stop = options.pop("early_stop", True)
        return Trainer(
            FakeSimulator(),
            fake_dataset(learnable=True),
            epochs=40,
            checkpoint_every=5,
            early_stop=stop,
            observers=[RunRecorder(path, **options)],
        ).run()

    first = run()
    assert len(first.epochs) < 40
    assert run(resume=True) == first
    assert len(run(resume=True, early_stop=False).epochs) == 40


def changed(**what: Any) -> Trainer:
    simulator = FakeSimulator(what.get("seed", 0), FakeCircuit(what.get("note", "")))
    simulator.precision = what.get("precision", "float32")
    return Trainer(
        simulator,
        fake_dataset(seed=what.get("data", 0)),
        epochs=4,
        batch_size=what.get("batch_size", 16),
        checkpoint_every=2,
        observers=[RunRecorder(what["path"], resume=True, config=what.get("config"))],
    )


@pytest.mark.parametrize(
    ("what", "text"),
    [
        ({"seed": 7}, "seed was 0, is 7"),
        ({"note": "new"}, "circuit.populations[0].note was '', is 'new'"),
        ({"precision": "float64"}, "precision was 'float32', is 'float64'"),
        ({"batch_size": 8}, "config.batch_size was 16, is 8"),
        ({"config": {"preset": "x"}}, "config.given.preset was None, is 'x'"),
        ({"data": 1}, "dataset fingerprint was"),
        ({"seed": 7, "batch_size": 8}, "seed was 0, is 7; config.batch_size was 16, is 8"),
    ],
)
def test_another_run_is_not_resumed(path: Path, old: bytes, what: dict[str, Any], text: str) -> None:
    training = changed(path=path, **what)
    before = {key: tensor.clone() for key, tensor in training.simulator.state_dict().items()}
    with pytest.raises(DataError) as caught:
        training.run()
    assert str(caught.value).startswith(f"{path}: expected the run that is in this file, found other settings: ")
    assert text in str(caught.value) and "(epochs may be raised)" in str(caught.value)
    assert path.read_bytes() == old
    assert same_state(training.simulator.state_dict(), before)


def test_fewer_epochs_than_were_trained_are_refused(path: Path, old: bytes) -> None:
    with pytest.raises(SimulationError, match="the run to resume has trained 2 epochs, expected at least that many"):
        fake_training(path, 1, resume=True).run()
    assert path.read_bytes() == old


# -- failure ---------------------------------------------------------------------------------------------------------


def test_a_diverged_state_is_never_written_over_the_last_good_one(path: Path) -> None:
    expected, state = uninterrupted(3)
    simulator = FakeSimulator(explode_at=4 * 3 + 2)  # in the fourth epoch
    with pytest.raises(SimulationError) as caught:
        fake_training(path, 9, simulator).run()
    assert (
        "epoch 4: expected a finite train loss, found nan; training was stopped there, and the last good state is "
        f"epoch 3 in '{path}'. Lower the learning rate"
    ) in str(caught.value)
    run = Run(path)
    assert (run.status, run.finished, run.epoch) == ("failed", False, 3)
    assert run.reason.startswith("SimulationError: epoch 4")
    assert same_state(run.state(), state)
    assert recorded(run)[:3] == numbers(expected)[:3]
    assert f"{path}: failed (SimulationError: epoch 4" in run.summary()


def test_divergence_before_the_first_commit_leaves_no_file_and_keeps_an_old_one(path: Path) -> None:
    def diverge(**options: Any) -> None:
        simulator = FakeSimulator()
        simulator.weight.fill_(float("nan"))
        with pytest.raises(SimulationError, match="epoch 0: expected a finite train loss, found nan.*no good state"):
            fake_training(path, 2, simulator, **options).run()

    diverge()
    assert os.listdir(path.parent) == []
    path.write_text("precious")
    diverge(overwrite=True)
    assert path.read_text() == "precious" and os.listdir(path.parent) == ["run.h5"]


def test_a_failure_after_growing_in_the_middle_of_an_epoch(path: Path) -> None:
    """The file being prepared is dropped; the failure is noted in the one of the last commit."""
    with pytest.raises(KeyboardInterrupt):
        streamed_training(path, 40, 70, interrupt=18).run()  # row 71, in epoch 18, does not fit any more
    run = Run(path)
    assert (run.reason, run.epoch, len(run.series("activity/bias"))) == ("KeyboardInterrupt", 17, 68)
    assert os.listdir(path.parent) == ["run.h5"]


@pytest.mark.parametrize("what", ["neurosim.runs.places.write_all", "neurosim.runs.writer.copy_rows"])
def test_a_full_disk_stops_the_run_and_loses_no_epoch(path: Path, monkeypatch: pytest.MonkeyPatch, what: str) -> None:
    class Fill(Observer):
        def on_step(self, trainer: Any, step: Any) -> None:
            if trainer.epoch == 3:
                recorder.writer.declare("activity/late", (), "f4")  # the structure must grow
                monkeypatch.setattr(what, full)

    def full(*arguments: Any) -> None:
        raise OSError(28, "No space left on device")

    recorder = RunRecorder(path)
    training = Trainer(FakeSimulator(), fake_dataset(), epochs=6, batch_size=16, observers=[recorder, Fill()])
    with pytest.raises(OSError, match="No space left on device"):
        training.run()
    monkeypatch.undo()
    assert Run(path).epoch == 3 and os.listdir(path.parent) == ["run.h5"]
    Trainer(FakeSimulator(), fake_dataset(), epochs=6, batch_size=16, observers=[RunRecorder(path, resume=True)]).run()
    assert recorded(Run(path))[:6] == numbers(uninterrupted(6)[0])[:6]


# -- files that are there already ------------------------------------------------------------------------------------


def test_an_existing_file_is_refused(path: Path, old: bytes) -> None:
    with pytest.raises(DataError) as caught:
        fake_training(path, 2)
    assert str(caught.value) == (
        f"{path}: this file exists already; continue it with --resume (in Python resume=True), replace it with "
        "--overwrite (overwrite=True), or choose another name"
    )
    assert path.read_bytes() == old


def test_overwriting_keeps_the_old_file_until_the_first_commit(path: Path, old: bytes) -> None:
    moments: list[bool] = []

    class Watch(Observer):
        def on_checkpoint(self, trainer: Any, row: Any) -> None:
            moments.append(path.read_bytes() == old)

    training = fake_training(path, 3, overwrite=True)
    assert path.read_bytes() == old
    Trainer(FakeSimulator(), fake_dataset(), epochs=3, observers=[*training.observers, Watch()]).run()
    assert moments == [True, False]
    assert Run(path).epoch == 3


def test_a_file_that_appears_meanwhile_is_not_replaced(path: Path) -> None:
    training = fake_training(path, 3)
    writer = RunWriter.create(path, {}, {})
    path.write_text("precious")
    with pytest.raises(DataError, match="this file exists already"):
        writer.commit({}, epoch=0)
    with pytest.raises(DataError, match="this file exists already"):
        training.run()
    writer.close()
    assert path.read_text() == "precious"


def test_both_flags_are_refused(path: Path) -> None:
    with pytest.raises(DataError, match="expected --overwrite or --resume .overwrite= or resume=., found both"):
        RunRecorder(path, overwrite=True, resume=True)


def test_other_bad_arguments(path: Path) -> None:
    with pytest.raises(DataError, match="checkpoints: expected 'all', 'last' or 'none', found 'some'"):
        RunRecorder(path, checkpoints="some")
    with pytest.raises(DataError, match="config or notes: expected plain data for JSON, found something else"):
        RunRecorder(path, config={"device": torch.device("cpu")})
    with pytest.raises(DataError, match="expected an existing folder, found none at .*missing; create it first"):
        RunRecorder(path.parent / "missing" / "run.h5")
    with pytest.raises(DataError, match="expected a file name, found a folder; add a name such as run.h5"):
        RunRecorder(path.parent)
    with pytest.raises(
        DataError, match="expected a run to resume, but there is no such file; check the path, or leave"
    ):
        RunRecorder(path, resume=True)
    with pytest.raises(DataError, match="expected a run file, but there is no such file; check the path"):
        Run(path)


def spoil(path: Path, how: str) -> None:
    content = path.read_bytes()
    if how == "empty":
        path.write_bytes(b"")
    elif how == "text":
        path.write_text("epoch,loss\n1,0.5\n")
    elif how == "truncated":
        path.write_bytes(content[: len(content) // 2])
    elif how == "one byte short":
        path.write_bytes(content[:-1])
    elif how == "foreign":
        with h5py.File(path, "w") as file:
            file.attrs["format"] = "neurosim-dataset"
    elif how == "plain":
        with h5py.File(path, "w") as file:
            file["x"] = 1
    elif how == "newer":
        with h5py.File(path, "r+") as file:
            file.attrs["version"] = 2
    elif how == "no commits":
        with h5py.File(path, "r+") as file:
            file["commits"][:] = b""
    elif how == "commits gone":
        with h5py.File(path, "r+") as file:
            del file["commits"]


@pytest.mark.parametrize(
    ("how", "text"),
    [
        ("empty", "found a file of another format"),
        ("text", "found a file of another format"),
        ("truncated", "truncated or damaged"),
        ("one byte short", "truncated or damaged"),
        ("foreign", "expected attribute format = 'neurosim-run', found 'neurosim-dataset'"),
        ("plain", "expected attribute format = 'neurosim-run', found None"),
        ("newer", "expected version 1 of the run format, found 2"),
        ("no commits", "truncated or damaged .no valid commit."),
        ("commits gone", "truncated or damaged"),
    ],
)
def test_bad_files_are_refused_and_left_alone(path: Path, old: bytes, how: str, text: str) -> None:
    spoil(path, how)
    content = path.read_bytes()
    with pytest.raises(DataError, match=text):
        Run(path)
    with pytest.raises(DataError, match=text):
        fake_training(path, 4, resume=True).run()
    assert path.read_bytes() == content
    fake_training(path, 1, overwrite=True).run()
    assert Run(path).epoch == 1


def test_a_damaged_state_falls_back_to_the_epoch_before(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As after a power failure that lost the newest state but kept its commit."""
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(RunWriter, "mark", lambda *arguments: None)
        interrupted_training(path, 6, at=5).run()
    with h5py.File(path, "r+") as file:
        commits = [commit for line in file["commits"] if (commit := Commit.decode(bytes(line)))]
        newest = max(commits, key=lambda commit: commit.sequence)
        file["resume/weights/input->output"][newest.slot] += 1
    assert newest.epoch == 4
    assert int(Run(path).state()["optimizer/step/input->output"]) == 4 * 3
    result = fake_training(path, 6, resume=True).run()
    assert numbers(result) == numbers(uninterrupted(6)[0]) == recorded(Run(path))


# -- kills -----------------------------------------------------------------------------------------------------------


class Server:
    """Starts training processes that can be killed, see `training_fakes`."""

    def __init__(self) -> None:
        self.process = subprocess.Popen(
            [sys.executable, training_fakes.__file__], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def train(self, path: Path, epochs: int, fatal: int = 0, lifetime: float | None = None, **options: Any) -> int:
        """The exit code of a training process."""
        assert self.process.stdin is not None and self.process.stdout is not None
        order = {"path": str(path), "epochs": epochs, "fatal": fatal, "lifetime": lifetime, "options": options}
        self.process.stdin.write(json.dumps(order) + "\n")
        self.process.stdin.flush()
        return int(self.process.stdout.readline())

    def close(self) -> None:
        self.process.communicate(timeout=60)


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    started = Server()
    yield started
    started.close()


def assert_prefix(path: Path, expected: TrainingResult) -> None:
    """A killed file opens anywhere, and its rows are the first ones of the uninterrupted run."""
    with h5py.File(path, "r") as file:
        assert file.attrs["format"] == "neurosim-run"
    run = Run(path)
    epochs, checkpoints = run.epoch, run.checkpoints["epoch"].tolist()
    assert run.epochs["epoch"].tolist() == list(range(1, epochs + 1))
    assert checkpoints == [row.epoch for row in expected.checkpoints if row.epoch <= epochs]
    assert set(recorded(run)) <= set(numbers(expected))
    assert int(run.state()["optimizer/step/input->output"]) == 4 * epochs


def test_kills_at_random_moments(path: Path, server: Server) -> None:
    epochs, kills, moments = 60, 0, random.Random(0)
    expected, state = uninterrupted(epochs)
    for _ in range(200):
        code = server.train(path, epochs, lifetime=moments.uniform(0, 0.12), resume=path.exists())
        kills += code != 0
        if path.exists():
            assert_prefix(path, expected)
        if code == 0:
            assert recorded(Run(path)) == numbers(expected)
            path.unlink()
        if kills >= 10:
            break
    assert kills >= 10

    simulator = FakeSimulator()
    result = fake_training(path, epochs, simulator, resume=path.exists()).run()
    assert numbers(result) == numbers(expected) == recorded(Run(path))
    assert same_state(simulator.state_dict(), state) and same_state(Run(path).state(), state)
    assert os.listdir(path.parent) == ["run.h5"]


@pytest.mark.parametrize("stride", [11, pytest.param(1, marks=pytest.mark.slow)])
@pytest.mark.parametrize("begin", ["new", "resumed", "overwriting"])
def test_a_kill_at_any_change_of_the_disk(path: Path, server: Server, begin: str, stride: int) -> None:
    """Writes and structures cut in half, the moments before and after a rename: from the first change to the last."""
    expected, state = uninterrupted(3)
    before = path.with_name("before.h5")
    if begin != "new":
        with pytest.raises(KeyboardInterrupt):
            interrupted_training(before, 3, at=2).run()
    options = {"new": {}, "resumed": {"resume": True}, "overwriting": {"overwrite": True}}[begin]
    code, fatal = -signal.SIGKILL, 1
    while code == -signal.SIGKILL:
        if begin != "new":
            shutil.copy(before, path)
        code = server.train(path, 3, fatal, **options)
        if path.exists():
            assert_prefix(path, expected)
        else:
            assert begin == "new"
        simulator = FakeSimulator()
        result = fake_training(path, 3, simulator, resume=path.exists()).run()
        assert numbers(result) == numbers(expected) == recorded(Run(path))
        assert same_state(simulator.state_dict(), state) and same_state(Run(path).state(), state)
        assert sorted(os.listdir(path.parent)) == (["run.h5"] if begin == "new" else ["before.h5", "run.h5"])
        path.unlink()
        fatal += stride
    assert code == 0 and fatal > 50
