"""Recording a training run into one HDF5 file that explains itself, and resuming from it."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

import attrs
import h5py
import numpy as np
import torch
from torch import Tensor

from neurosim import __version__
from neurosim.errors import DataError
from neurosim.observers import CheckpointRow, EpochRow, Observer, Training
from neurosim.runs.format import ALIGNMENT_EXAMPLES, CHECKPOINT_STATE, RECORDERS, opened, series_of, to_array
from neurosim.runs.places import refuse_target
from neurosim.runs.run import Run
from neurosim.runs.writer import RunWriter

Row = TypeVar("Row", EpochRow, CheckpointRow)

#: what a checkpoint keeps of the state; the rest (optimizer, noise) serves only to continue
KEPT_KINDS = ("weights", "biases", "gates", "feedback", "progress")
#: settings that a resumed run may change without changing what was trained before
MAY_CHANGE = ("epochs", "early_stop", "notes")


class RunRecorder(Observer):
    """Writes a run into one HDF5 file while it trains; a kill at any moment loses the epoch under way, no more.

    Committed after every epoch: its row, the checkpoint where one was due, and the whole state to resume from.

    Args:
        path: the run file.
        config: whatever else defines the run, as plain data for JSON; a resumed run must be given the same.
        notes: whatever else is worth knowing, as plain data for JSON; recorded and not compared.
        checkpoints: `all` keeps the weights, biases and gates of every checkpoint, `last` only those of the last
            epoch, `none` not even those once the run is finished, which then cannot be resumed or extended.
        overwrite: replace an existing file. The old one stays until the new run has something to show.
        resume: continue the run in the file, to the same numbers as if it had not been interrupted.

    Raises:
        DataError: a file that exists (without `overwrite` or `resume`), one that is no run, one of another run or of
            another version of neurosim, or a folder that cannot be written.

    Example:
        >>> import tempfile
        >>> from neurosim import Simulator, circuits
        >>> from neurosim.datasets import load_dataset
        >>> from neurosim.training import Trainer
        >>> data, circuit = load_dataset("digits").subset(train=64, test=32), circuits.load("digits-fc")
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = Path(folder, "run.h5")
        ...     first = Trainer(Simulator(circuit), data, epochs=1, observers=[RunRecorder(path)]).run()
        ...     more = Trainer(Simulator(circuit), data, epochs=2, observers=[RunRecorder(path, resume=True)]).run()
        ...     Run(path).epochs["epoch"].tolist(), Run(path).kept_epochs, more.epochs[0] == first.epochs[0]
        ([1, 2], (0, 1, 2), True)
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        config: Mapping[str, Any] | None = None,
        notes: Mapping[str, Any] | None = None,
        checkpoints: str = "all",
        overwrite: bool = False,
        resume: bool = False,
    ) -> None:
        self.path = Path(path)
        if overwrite and resume:
            raise DataError(f"{self.path}: expected --overwrite or --resume (overwrite= or resume=), found both")
        if checkpoints not in ("all", "last", "none"):
            raise DataError(f"checkpoints: expected 'all', 'last' or 'none', found {checkpoints!r}")
        try:
            self._given = json.loads(json.dumps(dict(config or {})))
            self._notes = json.loads(json.dumps(dict(notes or {})))
        except TypeError as error:
            raise DataError(f"config or notes: expected plain data for JSON, found something else ({error})") from error
        self._keep = checkpoints
        self._overwrite, self._resume = overwrite, resume
        self._writer: RunWriter | None = None
        if resume:
            if not self.path.exists():
                raise DataError(
                    f"{self.path}: expected a run to resume, but there is no such file; check the path, or leave out "
                    "--resume (in Python resume=True) to begin a new run"
                )
            refuse_other_version(Run(self.path))
        else:
            refuse_target(self.path, overwrite=overwrite)

    @property
    def writer(self) -> RunWriter:
        """For other recorders, from `on_start` on: `declare` there, `append` later; this recorder commits."""
        if self._writer is None:
            raise DataError(
                f"{self.path}: expected a run under way, but this file is not being written; "
                "put the recorder before those that use its writer in the trainer's observers"
            )
        return self._writer

    def restore(self, trainer: Training) -> None:
        """Claim a new file, or load the state to resume from."""
        attributes, state = self._attributes(trainer), trainer.simulator.state_dict()
        if self._resume:
            self._writer, state = RunWriter.resume(self.path, attributes)
            self._continue(trainer, attributes, self._writer, state)
        else:
            self._writer = RunWriter.create(self.path, attributes, state, overwrite=self._overwrite)
        self._declare(trainer, self._writer, state)

    def on_checkpoint(self, trainer: Training, row: CheckpointRow) -> None:
        """Append the row and, if they are to be kept, the weights of this moment."""
        self._append("checkpoints", row)
        for group, value in _spread(trainer).items():
            self.writer.append(f"spread/{group}", value)
        if self._keep == "all":
            for key, tensor in _kept(trainer.simulator.state_dict()).items():
                self.writer.append(f"{CHECKPOINT_STATE}/{key}", to_array(tensor))

    def on_epoch(self, trainer: Training, row: EpochRow) -> None:
        """Append the row."""
        self._append("epochs", row)

    def on_commit(self, trainer: Training) -> None:
        """Make the epoch permanent; at checkpoints in an order that survives a power failure too."""
        at_checkpoint = trainer.checkpoint_rows[-1].epoch == trainer.epoch
        self.writer.commit(trainer.simulator.state_dict(), epoch=trainer.epoch, sync=at_checkpoint)

    def where_saved(self) -> str | None:
        """The last committed epoch and the file."""
        last = self._writer.last if self._writer else None
        return f"epoch {last.epoch} in '{self.path}'" if last else None

    def on_end(self, trainer: Training, reason: str, error: BaseException | None) -> None:
        """Note why the run ended; a state that was not committed before is never written now."""
        writer, self._writer = self._writer, None
        if writer is None:
            return
        try:
            if error is None:
                writer.trim()
                state = None if self._keep == "none" else trainer.simulator.state_dict()
                writer.commit(state, epoch=trainer.epoch, status="finished", reason=reason, sync=True)
            else:
                writer.mark("unfinished" if isinstance(error, KeyboardInterrupt) else "failed", reason)
        finally:
            writer.close()

    def _append(self, table: str, row: EpochRow | CheckpointRow) -> None:
        for column, value in attrs.asdict(row).items():
            self.writer.append(f"{table}/{column}", value)

    def _declare(self, trainer: Training, writer: RunWriter, state: Mapping[str, Tensor]) -> None:
        due = len({*range(0, trainer.epochs + 1, trainer.checkpoint_every), trainer.epochs})
        for table, row, capacity in (("epochs", EpochRow, trainer.epochs), ("checkpoints", CheckpointRow, due)):
            for column in attrs.fields(row):
                dtype, about = (np.int64 if column.name == "epoch" else np.float64), column.metadata["about"]
                writer.declare(f"{table}/{column.name}", (), dtype, capacity=capacity, about=about)
        for group in _spread(trainer):
            about = "rms deviation of the K weights of an untied group from their average over the average's rms"
            writer.declare(f"spread/{group}", (), np.float64, capacity=due, about=about)
        if self._keep == "all":
            for key, tensor in _kept(state).items():
                one = series_of(tensor, due)
                name = f"{CHECKPOINT_STATE}/{key}"
                writer.declare(name, one.shape, one.dtype, capacity=due, torch_dtype=one.torch_dtype)

    def _continue(
        self, trainer: Training, attributes: dict[str, str | int], writer: RunWriter, state: dict[str, Tensor]
    ) -> None:
        """Check that the file holds this very run, then put trainer and simulator back to its last commit."""
        with opened(self.path) as file:
            before = {key: file.attrs[key] for key in file.attrs}
            epochs = _read_rows(file, "epochs", EpochRow, writer)
            checkpoints = _read_rows(file, "checkpoints", CheckpointRow, writer)
        refuse_other_run(self.path, before, attributes)
        assert writer.last is not None
        trainer.resume_after(writer.last.epoch, epochs, checkpoints)
        trainer.simulator.load_state_dict(state)
        writer.attributes["created"] = str(before["created"])
        for settings in (RECORDERS, ALIGNMENT_EXAMPLES):
            if settings in before:
                writer.attributes[settings] = str(before[settings])
        earlier = [str(before["resumed"])] if "resumed" in before else []
        writer.attributes["resumed"] = ", ".join([*earlier, str(attributes["created"])])

    def _attributes(self, trainer: Training) -> dict[str, str | int]:
        """What makes the file explain itself; nothing about the computer but the kind of device."""
        simulator, dataset = trainer.simulator, trainer.dataset
        config = {
            "epochs": trainer.epochs,
            "batch_size": trainer.batch_size,
            "checkpoint_every": trainer.checkpoint_every,
            "eval_batch_size": trainer.eval_batch_size,
            "early_stop": trainer.early_stop,
            "checkpoints": self._keep,
            "optimizer": simulator.optimizer.to_dict(),
            "given": self._given,
            "notes": self._notes,
        }
        return {
            "created": datetime.now(UTC).isoformat(timespec="seconds"),
            "neurosim": __version__,
            "torch": str(torch.__version__),
            "numpy": np.__version__,
            "python": platform.python_version(),
            "device": str(simulator.device),
            "precision": simulator.precision,
            "vectorization": simulator.vectorization,
            "seed": simulator.seed,
            "circuit": simulator.circuit.to_json(),
            "config": json.dumps(config, default=str),
            "dataset": dataset.name,
            "dataset_fingerprint": dataset.fingerprint,
            "dataset_train_size": len(dataset.train),
            "dataset_test_size": len(dataset.test),
        }


def refuse_other_version(run: Run) -> None:
    """Raise where a run cannot be continued because another version of neurosim made it; reading it stays possible.

    Any other version counts, a patch release too: what it mends may be the numbers, and a resumed run must come to
    those of a run in one go.
    """
    made = run.attributes.get("neurosim")
    if made != __version__:
        raise DataError(
            f"{run.path}: this run was made by neurosim {made}, this is neurosim {__version__}, and one run must not "
            f"mix versions; finish it with version {made}, or begin a new one in another file or folder"
        )


def refuse_other_run(path: Path, before: Mapping[str, Any], now: Mapping[str, Any]) -> None:
    """Raise where the attributes of a run and of its continuation say that they are not one run."""
    different = list(_differences(_identity(before), _identity(now)))
    if different:
        raise DataError(
            f"{path}: expected the run that is in this file, found other settings: {'; '.join(different)}. "
            "Resume with the same settings (epochs may be raised), or record to another file"
        )


def _spread(trainer: Training) -> dict[str, float]:
    """Of every untied group at this moment; other simulators than ours may know nothing of it."""
    measure = getattr(trainer.simulator, "spread", None)
    return {} if measure is None else measure()


def _kept(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {key: tensor for key, tensor in state.items() if key.partition("/")[0] in KEPT_KINDS}


def _read_rows(file: h5py.File, table: str, row: type[Row], writer: RunWriter) -> list[Row]:
    names = [column.name for column in attrs.fields(row)]
    columns = [file[f"{table}/{name}"][: writer.rows(f"{table}/{name}")].tolist() for name in names]
    return [row(*values) for values in zip(*columns, strict=True)]


def _identity(attributes: Mapping[str, Any]) -> dict[str, Any]:
    """What must agree between a run and its continuation."""
    config = json.loads(attributes["config"])
    return {
        "circuit": json.loads(attributes["circuit"]),
        "seed": int(attributes["seed"]),
        "precision": attributes["precision"],
        "vectorization": attributes["vectorization"],
        "dataset fingerprint": attributes["dataset_fingerprint"],
        "config": {key: value for key, value in config.items() if key not in MAY_CHANGE},
    }


def _differences(before: Any, now: Any, where: str = "") -> Iterator[str]:
    """Every leaf of two plain data structures that differs, in words."""
    if isinstance(before, dict) and isinstance(now, dict):
        for key in [*before, *(key for key in now if key not in before)]:
            yield from _differences(before.get(key), now.get(key), f"{where}.{key}" if where else key)
    elif isinstance(before, list) and isinstance(now, list) and len(before) == len(now):
        for index, (one, other) in enumerate(zip(before, now, strict=True)):
            yield from _differences(one, other, f"{where}[{index}]")
    elif before != now:
        yield f"{where} was {before!r}, is {now!r}"
