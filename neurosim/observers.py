"""What watches a training run: the observers' hooks, a progress bar and early stopping.

The trainer calls every observer at the same moments and knows none of them by name. An observer that defines neither
`watch` nor `on_step` costs nothing per step. The order of the moments:

    restore, on_start, [on_checkpoint, on_commit]                            once; the bracket before any training
    watch                                                                    before every step
    on_step                                                                  after every step
    on_epoch, [on_checkpoint where one is due], on_commit, wants_to_stop     after every epoch
    on_end                                                                   once, whatever happened
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol, runtime_checkable

import torch
from attrs import field, frozen
from torch import Tensor
from tqdm import tqdm

from neurosim.datasets import Dataset
from neurosim.step import Watch


@frozen
class EpochRow:
    """One epoch: what the steps met, and the test split afterwards. Losses are means per example."""

    epoch: int = field(metadata={"about": "number of epochs trained, from 1"})
    train_loss: float = field(metadata={"about": "mean loss of the epoch's batches, each before its own step"})
    train_error: float = field(metadata={"about": "wrong fraction of the epoch's batches, each before its own step"})
    test_loss: float = field(metadata={"about": "mean loss of the whole test split after the epoch"})
    test_error: float = field(metadata={"about": "wrong fraction of the whole test split after the epoch"})
    step_seconds: float = field(metadata={"about": "wall time of the epoch's steps, in seconds"})
    evaluation_seconds: float = field(metadata={"about": "wall time of the test pass, in seconds"})


@frozen
class CheckpointRow:
    """Full passes over both splits with the weights of one moment; epoch 0 is before any training."""

    epoch: int = field(metadata={"about": "number of epochs trained; 0: before any training"})
    train_loss: float = field(metadata={"about": "mean loss of the whole training split"})
    train_error: float = field(metadata={"about": "wrong fraction of the whole training split"})
    test_loss: float = field(metadata={"about": "mean loss of the whole test split"})
    test_error: float = field(metadata={"about": "wrong fraction of the whole test split"})
    seconds: float = field(metadata={"about": "wall time of the full passes, in seconds"})


@runtime_checkable
class Step(Protocol):
    """What one learning step reports: 0-d tensors that stay on the device."""

    @property
    def loss(self) -> Tensor:
        """Mean loss of the batch, before the step."""

    @property
    def mistakes(self) -> Tensor:
        """Number of wrongly decoded examples of the batch, before the step."""


@runtime_checkable
class Learner(Protocol):
    """What training needs of a simulator."""

    @property
    def circuit(self) -> Any:
        """The description: `inputs`, `readout.classes` and `to_json()` are used."""

    @property
    def seed(self) -> int:
        """The one seed of the run."""

    @property
    def device(self) -> torch.device:
        """Where the tensors live."""

    @property
    def precision(self) -> str:
        """Name of the floating-point format."""

    @property
    def vectorization(self) -> str:
        """`group` or `temporal`."""

    @property
    def optimizer(self) -> Any:
        """The description of the optimizer: `to_dict()` is recorded."""

    def learn(self, images: Tensor, labels: Tensor, watch: Watch | None = None) -> Step:
        """Learn from one batch, uint8 `(B, C, H, W)` and int64 `(B,)`; `watch` is given only where there is one."""

    def score(self, images: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """Summed loss and number of mistakes of one batch, forward only."""

    def state_dict(self) -> dict[str, Tensor]:
        """Everything that changes or was drawn, flat, by name."""

    def load_state_dict(self, state: Mapping[str, Tensor]) -> object:
        """Check a state, then copy it in place."""


@runtime_checkable
class Training(Protocol):
    """What an observer may read of the trainer, and the one thing that it may do: put it back where a run stopped."""

    simulator: Learner
    dataset: Dataset
    epochs: int
    batch_size: int
    checkpoint_every: int
    eval_batch_size: int
    early_stop: bool
    observers: Sequence[Observer]
    epoch: int
    epoch_rows: list[EpochRow]
    checkpoint_rows: list[CheckpointRow]

    @property
    def steps_per_epoch(self) -> int:
        """Batches of the training split, the short last one included."""

    def resume_after(self, epoch: int, epoch_rows: Sequence[EpochRow], checkpoints: Sequence[CheckpointRow]) -> None:
        """Continue after `epoch` epochs; only in `restore`, and the simulator's state is the caller's business."""


class Observer:
    """Base of everything that watches training: every hook does nothing until it is overridden.

    Hooks must not change the simulator and must draw no random numbers of the run. `on_step` gets tensors that are
    still being computed on the device; reading one there waits for it, every step.

    Example:
        >>> class Printer(Observer):
        ...     def on_epoch(self, trainer, row):
        ...         print(f"epoch {row.epoch}: {row.test_error:.1%}")
        >>> Printer().on_epoch(None, EpochRow(1, 0.5, 0.2, 0.4, 0.1, 1.0, 0.1))
        epoch 1: 10.0%
    """

    def restore(self, trainer: Training) -> None:
        """Before everything else: may load an earlier state and call `trainer.resume_after`."""

    def on_start(self, trainer: Training) -> None:
        """Training is about to begin, or to continue after `trainer.epoch` epochs."""

    def watch(self, trainer: Training) -> Watch | None:
        """A batch is about to be learned: what to look at while its weights are what it meets. None: nothing.

        Called only where a class overrides it. What it keeps and sees is that step's alone.
        """
        return None

    def on_step(self, trainer: Training, step: Step) -> None:
        """A batch was learned. Called only where a class overrides it."""

    def on_epoch(self, trainer: Training, row: EpochRow) -> None:
        """An epoch and its test pass are over, and all losses are finite."""

    def on_checkpoint(self, trainer: Training, row: CheckpointRow) -> None:
        """Both splits were measured; after `on_epoch` of the same epoch, and once before any training."""

    def on_commit(self, trainer: Training) -> None:
        """Every observer has seen the epoch, its checkpoint included: the moment to make it permanent."""

    def wants_to_stop(self, trainer: Training) -> str | None:
        """A reason to stop now, or None. Must follow from the trainer's rows, so that a resumed run agrees."""

    def where_saved(self) -> str | None:
        """Where the last good state can be found, for the message of a run that failed; None: this saves nothing."""

    def on_end(self, trainer: Training, reason: str, error: BaseException | None) -> None:
        """The run is over, by itself or by an exception; close what is open. Called even if `on_start` was not."""


class EarlyStop(Observer):
    """Stop at a checkpoint where every training example is decoded correctly (full pass), as in the paper.

    Only a checkpoint of the schedule counts: the one after the last epoch asked for would end a run that is extended
    where the same run in one go continues.
    """

    def wants_to_stop(self, trainer: Training) -> str | None:
        """The reason, where a checkpoint of the schedule belongs to this epoch and found no mistake."""
        last = trainer.checkpoint_rows[-1] if trainer.checkpoint_rows else None
        if last is None or last.epoch != trainer.epoch or last.train_error > 0:
            return None
        if last.epoch % trainer.checkpoint_every:
            return None
        return f"train error is zero at the checkpoint of epoch {last.epoch}"


@runtime_checkable
class Screen(Protocol):
    """Anything that text can be written to."""

    def write(self, text: str, /) -> object:
        """Take text."""

    def flush(self) -> object:
        """Show it."""


class ProgressBar(Observer):
    """One tqdm bar over all steps of all epochs; shows the epoch and the last test error. Never reads the device.

    Args:
        file: where to draw, by default standard error.
        enabled: None draws only on a terminal, True and False decide.
    """

    def __init__(self, file: Screen | None = None, enabled: bool | None = None) -> None:
        self._file = file
        self._disable = None if enabled is None else not enabled
        self._bar: tqdm[Any] | None = None

    def on_start(self, trainer: Training) -> None:
        """Draw the bar, a resumed run's finished steps included."""
        self._bar = tqdm(
            total=trainer.epochs * trainer.steps_per_epoch,
            initial=trainer.epoch * trainer.steps_per_epoch,
            desc=f"{trainer.dataset.name} {trainer.epoch}/{trainer.epochs}",
            unit="step",
            file=self._file,
            disable=self._disable,
            dynamic_ncols=True,
        )

    def on_step(self, trainer: Training, step: Step) -> None:
        """Count; tqdm redraws a few times a second at most."""
        if self._bar is not None:
            self._bar.update(1)

    def on_epoch(self, trainer: Training, row: EpochRow) -> None:
        """Show the numbers that the trainer has read anyway."""
        if self._bar is not None:
            self._bar.set_description_str(f"{trainer.dataset.name} {row.epoch}/{trainer.epochs}", refresh=False)
            self._bar.set_postfix_str(f"test error {row.test_error:.2%}")

    def on_end(self, trainer: Training, reason: str, error: BaseException | None) -> None:
        """Leave the last line standing."""
        if self._bar is not None:
            self._bar.close()
            self._bar = None


class EpochLines(Observer):
    """A line per epoch, where there is no terminal to draw a progress bar on.

    Printed when the epoch is committed: after a recorder, what was printed is on disk and is not repeated by a resume.
    """

    def __init__(self) -> None:
        self._lines: list[str] = []

    def on_epoch(self, trainer: Training, row: EpochRow) -> None:
        seconds = row.step_seconds + row.evaluation_seconds
        self._lines.append(
            f"epoch {row.epoch}/{trainer.epochs}: train loss {row.train_loss:.4f}, test error {row.test_error:.2%}, "
            f"{seconds:.1f} s"
        )

    def on_checkpoint(self, trainer: Training, row: CheckpointRow) -> None:
        self._lines.append(
            f"checkpoint at epoch {row.epoch}: train error {row.train_error:.2%}, test {row.test_error:.2%}"
        )

    def on_commit(self, trainer: Training) -> None:
        for line in self._lines:
            print(line, flush=True)
        self._lines.clear()
