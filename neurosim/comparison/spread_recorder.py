"""How far the K weights of untied groups are apart, before training and after every epoch."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from attrs import frozen

from neurosim.observers import EpochRow, Observer, Training
from neurosim.runs.recording import RunRecorder
from neurosim.runs.run import Run
from neurosim.simulator import Simulator

_TABLE = "spread_by_epoch"
_ABOUT = "rms deviation of the K weights of an untied group from their average over the average's rms"


@frozen
class SpreadRecorder(Observer):
    """Appends :meth:`~neurosim.simulator.Simulator.spread` of every epoch to a run file; the checkpoints are rarer.

    Args:
        recorder: of the same run; it comes first among the observers.
    """

    recorder: RunRecorder

    def on_start(self, trainer: Training) -> None:
        """Make room; of a new run, what was before training is the first row."""
        groups = self._spread(trainer)
        if not groups:
            return
        writer = self.recorder.writer
        writer.declare(f"{_TABLE}/epoch", (), np.int64, capacity=trainer.epochs + 1, about="epochs trained")
        for group in groups:
            writer.declare(f"{_TABLE}/{group}", (), np.float64, capacity=trainer.epochs + 1, about=_ABOUT)
        if trainer.epoch == 0 and writer.rows(f"{_TABLE}/epoch") == 0:
            self._append(0, groups)

    def on_epoch(self, trainer: Training, row: EpochRow) -> None:
        """Append the row."""
        if groups := self._spread(trainer):
            self._append(row.epoch, groups)

    def _append(self, epoch: int, groups: Mapping[str, float]) -> None:
        self.recorder.writer.append(f"{_TABLE}/epoch", epoch)
        for group, value in groups.items():
            self.recorder.writer.append(f"{_TABLE}/{group}", value)

    def _spread(self, trainer: Training) -> dict[str, float]:
        return trainer.simulator.spread() if isinstance(trainer.simulator, Simulator) else {}


def spread_by_epoch(path: Path) -> dict[str, tuple[float | None, ...]]:
    """Of every untied group, from before training to the last epoch; None for epochs at which nothing was recorded.

    Args:
        path: of a run. Where no :class:`SpreadRecorder` was there, its checkpoints have the spread of their epochs.
    """
    run = Run(path)
    table, prefix = run.spread, f"{_TABLE}/"
    epochs = run.checkpoints["epoch"].tolist()
    found = {str(group): dict(zip(epochs, table[group].tolist(), strict=False)) for group in table}
    if f"{prefix}epoch" in run.series_names:
        epochs = run.series(f"{prefix}epoch").tolist()
        for group, values in found.items():
            values |= dict(zip(epochs, run.series(f"{prefix}{group}").tolist(), strict=True))
    return {group: tuple(map(values.get, range(run.epoch + 1))) for group, values in found.items()}
