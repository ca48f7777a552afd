"""Reading a run file back: a finished one, one that is being written, one whose process was killed."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import h5py
import numpy as np
import torch
from torch import Tensor

from neurosim.errors import DataError, UnknownNameError
from neurosim.runs.format import (
    ALIGNMENT,
    CHECKPOINT_STATE,
    Array,
    Commit,
    damaged,
    opened,
    read_commits,
    read_series,
    read_state,
    to_tensor,
    torch_type,
)
from neurosim.runs.recorded import Recording, read_recordings
from neurosim.runs.summary import summary_lines

if TYPE_CHECKING:
    from pandas import DataFrame

    from neurosim.simulator import Simulator
else:  # importing pandas takes half a second that training need not pay
    DataFrame = Any

#: a run being written may commit twice while a state is read; then it is read again
READ_ATTEMPTS = 20
#: what tables of errors begin with, because a wide table hides its middle
_FIRST = ("epoch", "test_error", "train_error")
#: another word for a table of alignment, as the measure is called where it is taken
_ALSO = {"angle": "degrees", "r": "relative_std"}


class Run:
    """A run read from its file; the file is opened for each answer only, so every answer is up to date.

    Args:
        path: the run file.

    Raises:
        DataError: not a run file, truncated, or nothing committed.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        with opened(self.path) as file:
            read_commits(self.path, file)

    def __repr__(self) -> str:
        return f"Run('{self.path}', {self.status}, epoch {self.epoch} of {self.config['epochs']})"

    @property
    def attributes(self) -> dict[str, Any]:
        """The attributes at the file's root: versions, device, seed, dataset, circuit and config as JSON text."""
        with opened(self.path) as file:
            return {key: value.item() if isinstance(value, np.generic) else value for key, value in file.attrs.items()}

    @property
    def config(self) -> dict[str, Any]:
        """Everything that was given to train: epochs, batch size and so on, and `given` by the caller."""
        config: dict[str, Any] = json.loads(self.attributes["config"])
        return config

    @property
    def circuit_json(self) -> str:
        """The circuit, as JSON text."""
        return str(self.attributes["circuit"])

    @property
    def status(self) -> str:
        """`finished`, `failed`, or `unfinished`: still being written, interrupted or killed."""
        return self._commit.status

    @property
    def finished(self) -> bool:
        """Whether the run came to its end, by its last epoch or by an early stop."""
        return self.status == "finished"

    @property
    def reason(self) -> str:
        """Why the run ended, empty while it is unfinished."""
        return self._commit.reason

    @property
    def epoch(self) -> int:
        """Epochs trained, as of the last commit."""
        return self._commit.epoch

    @property
    def epochs(self) -> DataFrame:
        """One row for each epoch: its number, the errors, then losses and times."""
        return _errors_first(self._table("epochs"))

    @property
    def checkpoints(self) -> DataFrame:
        """One row for each checkpoint: full passes over both splits; columns as in `epochs`."""
        return _errors_first(self._table("checkpoints"))

    @property
    def spread(self) -> DataFrame:
        """One row for each checkpoint, one column for each untied group: how far its K weights are from their average.

        See :func:`neurosim.relaxation.spread`; empty where no group is untied.
        """
        return self._table("spread")

    @property
    def recordings(self) -> dict[str, Recording]:
        """What recorders wrote, by their names: populations and synapse groups, unless they were given others."""
        return read_recordings(self.path)

    def recorded(self, name: str) -> Recording:
        """What one recorder wrote: ``run.recorded("f1")["activity"]`` is ``(rows, *shape)``, ``.steps`` are its steps.

        ``.gaps`` tells which steps have no row, because the recorder joined a resumed run or was left out of one.

        Raises:
            UnknownNameError: nothing of that name was recorded.
        """
        found = self.recordings
        if name not in found:
            hint = "" if found else "; train with --record (in Python, a Recorder among the observers)"
            raise UnknownNameError("recording", name, found, hint)
        return found[name]

    def alignment(self, measure: str = "degrees") -> DataFrame:
        """One row for each checkpoint that an AlignmentRecorder measured: its epoch, then every population or group.

        Args:
            measure: ``degrees``, ``relative_std`` (by population), ``signs_per_example`` or ``signs_per_batch`` (by
                synapse group); see :class:`~neurosim.analysis.credit_quality.CreditQuality`. ``angle`` and ``r`` are
                understood too. Signs per example are those of the first 16 examples, unless the recorder was told
                otherwise; everything else is of the first 128.

        Raises:
            UnknownNameError: another measure, or nothing was measured.
        """
        known = {name.split("/")[1] for name in self.series_names if name.startswith(f"{ALIGNMENT}/")} - {"epoch"}
        measure = _ALSO.get(measure, measure)
        if measure not in known:
            hint = "; signs are told per example and per batch" if measure == "signs" else ""
            hint = hint if known else "; train with --alignment, or measure a run afterwards with `neurosim align`"
            raise UnknownNameError("measure of alignment", measure, sorted(known), hint)
        table = self._table(f"{ALIGNMENT}/{measure}")
        table.insert(0, "epoch", self.series(f"{ALIGNMENT}/epoch")[: len(table)])
        return table

    @property
    def kept_epochs(self) -> tuple[int, ...]:
        """The epochs whose weights can be read: the checkpoints that were kept, and the last one committed."""
        with opened(self.path) as file:
            commit = read_commits(self.path, file)[0]
            last = set() if commit.slot is None else {commit.epoch}
            return tuple(sorted(last | _kept_rows(file, commit).keys()))

    @property
    def series_names(self) -> tuple[str, ...]:
        """Everything that was appended: columns of tables, states of checkpoints, streams of other recorders."""
        with opened(self.path) as file:
            return tuple(sorted(read_series(file)))

    def series(self, name: str) -> Array:
        """The committed rows of one series, `(rows, *shape)`.

        Raises:
            UnknownNameError: there is no such series.
        """
        with opened(self.path) as file:
            known = read_series(file)
            if name not in known:
                raise UnknownNameError("series", name, known)
            return np.asarray(file[name][: read_commits(self.path, file)[0].rows.get(name, 0)])

    def names(self, kind: str) -> tuple[str, ...]:
        """Names of the `weights`, `biases`, `gates` or other parts of the state, as of the last commit."""
        keys = self._commit.checksums
        return tuple(sorted(key.partition("/")[2] for key in keys if key.startswith(f"{kind}/")))

    def weights(self, name: str, epoch: int = -1) -> Array:
        """Weights of a synapse group; bfloat16 comes as float32.

        Args:
            name: the group, such as `input->f1`.
            epoch: -1: as of the last commit; otherwise one of `kept_epochs`.

        Raises:
            UnknownNameError: no such group.
            DataError: the epoch was not kept.
        """
        return self._array("weights", name, epoch)

    def biases(self, name: str, epoch: int = -1) -> Array:
        """Biases of a population; see `weights`."""
        return self._array("biases", name, epoch)

    def gates(self, name: str, epoch: int = -1) -> Array:
        """What a gate draws, such as `f1/t`; see `weights`."""
        return self._array("gates", name, epoch)

    def state(self, epoch: int = -1) -> dict[str, Tensor]:
        """The simulator's state, for `load_state_dict`.

        Args:
            epoch: -1 or the last one committed: everything, the optimizer's state included; a kept checkpoint before
                it: weights, biases, gates, feedback and ``progress/steps``.

        Raises:
            DataError: the epoch was not kept, or the run kept no state.
        """
        return self._state(epoch)

    def simulator(self, epoch: int = -1, *, device: str = "cpu") -> Simulator:
        """The circuit as it was at a checkpoint, running: to probe, score or perturb what was learned.

        Weights, biases, gates and feedback are those of the checkpoint, side by side in the K components however the
        run computed them. The optimizer begins anew, and noise is that of a first step: to train on as if the run had
        not ended, resume it instead.

        Args:
            epoch: -1: as of the last commit; otherwise one of `kept_epochs`.
            device: where it computes, in the run's precision.

        Raises:
            DataError: the epoch was not kept, or the run kept no state.
            UnknownNameError: a rule or another part of the circuit that is not installed; import the module that
                defines it first.

        Example:
            >>> import tempfile
            >>> from neurosim import RunRecorder, Simulator, Trainer, circuits
            >>> from neurosim.datasets import load_dataset
            >>> data = load_dataset("digits").subset(train=256, test=100)
            >>> with tempfile.TemporaryDirectory() as folder:
            ...     path = Path(folder, "run.h5")
            ...     circuit = circuits.load("digits-fc")
            ...     _ = Trainer(Simulator(circuit), data, epochs=2, observers=[RunRecorder(path)]).run()
            ...     run = Run(path)
            ...     before, after, checkpoints = run.simulator(epoch=0), run.simulator(), run.checkpoints
            >>> images, labels = data.test.images, data.test.labels
            >>> mistakes = [int(simulator.score(images, labels)[1]) for simulator in (before, after)]
            >>> [number / 100 for number in mistakes] == checkpoints["test_error"].tolist()
            True
            >>> after.probe(images, labels).credit("fc1").shape
            torch.Size([100, 256])
        """
        from neurosim.runs.rebuilt import put_back, simulator_of

        made = simulator_of(self, device)
        put_back(made, self, epoch)
        return made

    def summary(self) -> str:
        """A few lines of text about the run, for people."""
        return "\n".join(summary_lines(self))

    @property
    def _commit(self) -> Commit:
        with opened(self.path) as file:
            return read_commits(self.path, file)[0]

    def _table(self, group: str) -> DataFrame:
        import pandas

        with opened(self.path) as file:
            rows = read_commits(self.path, file)[0].rows
            names = [name for name in rows if name.rpartition("/")[0] == group]
            return pandas.DataFrame({name.rpartition("/")[2]: file[name][: rows[name]] for name in names})

    def _array(self, kind: str, name: str, epoch: int) -> Array:
        known = self.names(kind)
        if known and name not in known:
            raise UnknownNameError(f"name of {kind}", name, known)
        tensor = self._state(epoch, f"{kind}/{name}")[f"{kind}/{name}"]
        array: Array = (tensor.float() if tensor.dtype == torch.bfloat16 else tensor).numpy()
        return array

    def _state(self, epoch: int, key: str | None = None) -> dict[str, Tensor]:
        for _ in range(READ_ATTEMPTS):
            with opened(self.path) as file:
                commit = read_commits(self.path, file)[0]
                if epoch not in (-1, commit.epoch):
                    return self._kept_state(file, commit, epoch, key)
                found = read_state(self.path, file, None if key is None else [key])
            if found is not None and epoch in (-1, found[0].epoch):
                return found[1]
            time.sleep(0.01)
        raise damaged(self.path, DataError("no state passes its checksums"))

    def _kept_state(self, file: h5py.File, commit: Commit, epoch: int, key: str | None) -> dict[str, Tensor]:
        kept = _kept_rows(file, commit)
        if epoch not in kept:
            last = [] if commit.slot is None else [commit.epoch]
            all_kept = CHECKPOINT_STATE in file
            raise DataError(
                f"{self.path}: expected one of the epochs whose weights were kept, "
                f"{', '.join(map(str, sorted({*kept, *last}))) or 'none'}, found {epoch}"
                + ("" if all_kept else "; record with checkpoints='all' to keep every checkpoint's")
            )
        prefix = f"{CHECKPOINT_STATE}/"
        keys = [name.removeprefix(prefix) for name in commit.rows if name.startswith(prefix)] if key is None else [key]
        datasets = {name: file[prefix + name] for name in keys}
        return {name: to_tensor(np.asarray(item[kept[epoch]]), torch_type(item)) for name, item in datasets.items()}


def _errors_first(table: DataFrame) -> DataFrame:
    first = [name for name in _FIRST if name in table]
    return table[[*first, *(name for name in table if name not in first)]]


def _kept_rows(file: h5py.File, commit: Commit) -> dict[int, int]:
    """Epoch -> row of the checkpoints whose weights were kept."""
    if CHECKPOINT_STATE not in file:
        return {}
    count = commit.rows["checkpoints/epoch"]
    return {int(epoch): row for row, epoch in enumerate(file["checkpoints/epoch"][:count])}
