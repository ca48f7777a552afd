"""`Run.simulator`: a recorded circuit runs again as it was at a checkpoint."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from neurosim import FA, Run, RunRecorder, Simulator, Temporal, Trainer, circuits
from neurosim.datasets import load_dataset
from neurosim.errors import DataError
from neurosim.observers import CheckpointRow, Observer, Training

DATA = load_dataset("digits").subset(train=64, test=32)


class Watcher(Observer):
    """What a batch meant to the circuit at every checkpoint, while it trained."""

    def __init__(self) -> None:
        self.seen: dict[int, dict[str, torch.Tensor]] = {}

    def on_checkpoint(self, trainer: Training, row: CheckpointRow) -> None:
        assert isinstance(trainer.simulator, Simulator)
        self.seen[row.epoch] = met_by(trainer.simulator)


def met_by(simulator: Simulator) -> dict[str, torch.Tensor]:
    step = simulator.probe(DATA.test.images, DATA.test.labels)
    output = simulator.forward(DATA.test.images).output
    return {"output": output, **{name: update.clone() for name, update in step.updates.items()}}


def train(path: Path, **options) -> tuple[Simulator, Watcher]:
    """A rule with matrices, another seed and precision than the defaults: nothing is right by chance."""
    watcher = Watcher()
    circuit = circuits.load("digits-fc", widths=(12, 8), rule=FA())
    simulator = Simulator(circuit, seed=2, precision="float64", **options)
    Trainer(simulator, DATA, epochs=3, checkpoint_every=2, observers=[RunRecorder(path), watcher]).run()
    return simulator, watcher


def test_at_every_checkpoint_it_computes_what_was_computed_there(tmp_path: Path) -> None:
    trained, watcher = train(tmp_path / "run.h5")
    run = Run(tmp_path / "run.h5")
    assert [*watcher.seen] == [0, 2, 3]
    for epoch, seen in watcher.seen.items():
        again = met_by(run.simulator(epoch))
        assert again.keys() == seen.keys() and all(torch.equal(again[name], seen[name]) for name in seen)
    last = run.simulator()
    assert last.precision == "float64" and last.circuit == trained.circuit
    for kind in ("weights", "biases", "gates", "feedback"):
        mine, theirs = getattr(last, kind), getattr(trained, kind)
        assert [*mine] == [*theirs] and all(torch.equal(mine[name], theirs[name]) for name in theirs), kind


def test_a_run_in_time_is_put_side_by_side(tmp_path: Path) -> None:
    trained, watcher = train(tmp_path / "run.h5", vectorization=Temporal("replay"))
    again = Run(tmp_path / "run.h5").simulator()
    assert again.vectorization == "group"
    for name, found in met_by(again).items():
        assert torch.allclose(found, watcher.seen[3][name], rtol=0, atol=1e-12), name
    assert torch.equal(again.weights["fc1->fc2"], trained.weights["fc1->fc2"])


def test_an_epoch_that_was_not_kept(tmp_path: Path) -> None:
    train(tmp_path / "run.h5")
    with pytest.raises(DataError, match="expected one of the epochs whose weights were kept, 0, 2, 3, found 1"):
        Run(tmp_path / "run.h5").simulator(1)


def test_tables_begin_with_the_errors(tmp_path: Path) -> None:
    train(tmp_path / "run.h5")
    run = Run(tmp_path / "run.h5")
    for table in (run.epochs, run.checkpoints):
        assert list(table)[:3] == ["epoch", "test_error", "train_error"]
        assert {"train_loss", "test_loss"} < {*list(table)[3:]} and len(list(table)) == len({*table})
