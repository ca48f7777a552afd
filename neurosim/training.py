"""Epochs, evaluation, checkpoints and the end of a run; everything else is an observer's business.

The order of the training examples is one permutation an epoch, from the stream `("data order", epoch)`: a resumed run
needs no saved order. The device is read after the steps of an epoch and after each pass over a split, never in between.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import attrs
import torch
from attrs import Attribute, define, field, frozen
from torch import Tensor

from neurosim.datasets import Dataset, Split, batches
from neurosim.description import slip
from neurosim.errors import DataError, SimulationError
from neurosim.observers import CheckpointRow, EarlyStop, EpochRow, Learner, Observer
from neurosim.step import Watch
from neurosim.streams import stream

if TYPE_CHECKING:
    from pandas import DataFrame


@frozen(repr=False)
class TrainingResult:
    """What a run came to: its rows, a resumed run's earlier ones included, and why it ended."""

    epochs: tuple[EpochRow, ...]
    checkpoints: tuple[CheckpointRow, ...]
    reason: str

    def __repr__(self) -> str:
        last = f", the last of them: {self.epochs[-1]}" if self.epochs else ""
        rows = f"{len(self.epochs)} epochs, {len(self.checkpoints)} checkpoints"
        return f"<TrainingResult: {self.reason}; {rows}{last}>"

    @property
    def table(self) -> DataFrame:
        """The epochs as a pandas table, one column a field of :class:`~neurosim.observers.EpochRow`."""
        import pandas  # loaded only where a table is asked for

        return pandas.DataFrame([attrs.asdict(row) for row in self.epochs])


def _at_least(least: int) -> Callable[[Any, Attribute[Any], Any], None]:
    def check(instance: Any, attribute: Attribute[Any], value: Any) -> None:
        if isinstance(value, bool) or not isinstance(value, int) or value < least:
            raise SimulationError(f"{attribute.name}: expected an integer of at least {least}, found {value!r}")

    return check


def _observers(given: Any) -> tuple[Observer, ...]:
    """What is given as observers, each of which is told of the end whatever fails, so that all must be able to hear."""
    if isinstance(given, Observer) or not isinstance(given, Iterable):
        raise SimulationError(f"observers: expected several, such as [RunRecorder('run.h5')], or (), found {given!r}")
    found = tuple(given)
    for each in found:
        if not isinstance(each, Observer):
            raise SimulationError(f"observers: expected objects of subclasses of Observer, found {each!r}{slip(each)}")
    return found


@define(eq=False)
class Trainer:
    """Trains a simulator on a dataset, epoch by epoch.

    Args:
        simulator: is trained in place.
        dataset: is moved to the simulator's device.
        epochs: how many to train in all, those of a resumed run included; 0 only measures.
        batch_size: examples a step; the short last batch of an epoch is used too.
        checkpoint_every: a checkpoint (full passes over both splits) comes before any training, then every so many
            epochs, and after the last one.
        observers: are called in this order, see `neurosim.observers`.
        eval_batch_size: examples at once where nothing is learned.
        early_stop: stop at a checkpoint whose train error is zero.

    Raises:
        SimulationError: a number out of range; observers that are none.
        DataError: images or labels that the circuit cannot take.

    Example:
        >>> from neurosim import Simulator, circuits
        >>> from neurosim.datasets import load_dataset
        >>> data = load_dataset("digits").subset(train=64, test=32)
        >>> result = Trainer(Simulator(circuits.load("digits-fc")), data, epochs=2).run()
        >>> [row.epoch for row in result.checkpoints], result.reason
        ([0, 2], 'all 2 epochs trained')
    """

    simulator: Learner
    dataset: Dataset
    epochs: int = field(kw_only=True, validator=_at_least(0))
    batch_size: int = field(default=128, kw_only=True, validator=_at_least(1))
    checkpoint_every: int = field(default=10, kw_only=True, validator=_at_least(1))
    observers: Sequence[Observer] = field(default=(), kw_only=True)
    eval_batch_size: int = field(default=1000, kw_only=True, validator=_at_least(1))
    early_stop: bool = field(default=True, kw_only=True)

    #: epochs trained so far
    epoch: int = field(default=0, init=False)
    epoch_rows: list[EpochRow] = field(factory=list, init=False)
    checkpoint_rows: list[CheckpointRow] = field(factory=list, init=False)
    _watching: tuple[Observer, ...] = field(init=False)

    def __attrs_post_init__(self) -> None:
        if not isinstance(self.dataset, Dataset) or not hasattr(self.simulator, "learn"):
            raise SimulationError(
                f"Trainer(simulator, dataset): expected a Simulator and a Dataset such as load_dataset('digits'), got "
                f"{type(self.simulator).__name__} and {type(self.dataset).__name__}"
            )
        self.observers = _observers(self.observers)
        refuse_misfit(self.simulator.circuit, self.dataset)
        self.dataset = self.dataset.to(self.simulator.device)
        self._watching = (*self.observers, EarlyStop()) if self.early_stop else self.observers

    @property
    def steps_per_epoch(self) -> int:
        """Batches of the training split, the short last one included."""
        return math.ceil(len(self.dataset.train) / self.batch_size)

    def run(self) -> TrainingResult:
        """Train until the last epoch or until an observer wants to stop.

        Returns:
            Every row of the run and the reason why it ended.

        Raises:
            SimulationError: a loss that is not finite. What was saved before stays as it is.
        """
        reason, failure = "", None

        def end(observer: Observer) -> None:
            observer.on_end(self, reason, failure)

        with ExitStack() as stack:  # every observer is told of the end, even where another one's hook raises
            for observer in reversed(self._watching):
                stack.callback(end, observer)
            try:
                reason = self._train()
            except BaseException as error:
                reason, failure = f"{type(error).__name__}: {error}".removesuffix(": "), error
                raise
        return TrainingResult(tuple(self.epoch_rows), tuple(self.checkpoint_rows), reason)

    def resume_after(self, epoch: int, epoch_rows: Sequence[EpochRow], checkpoints: Sequence[CheckpointRow]) -> None:
        """Continue after `epoch` epochs; only for observers in `restore`, which also load the simulator's state.

        Raises:
            SimulationError: more epochs are behind than this trainer is to run.
        """
        if epoch > self.epochs:
            raise SimulationError(
                f"epochs: the run to resume has trained {epoch} epochs, expected at least that many, "
                f"found {self.epochs}; raise the number of epochs"
            )
        self.epoch = epoch
        self.epoch_rows[:] = epoch_rows
        self.checkpoint_rows[:] = checkpoints

    def _train(self) -> str:
        for observer in self._watching:
            observer.restore(self)
        for observer in self._watching:
            observer.on_start(self)
        if self._checkpoint_is_due():
            self._checkpoint()
            self._commit()
        while (reason := self._stop_reason()) is None:
            self._train_epoch()
        return reason

    def _stop_reason(self) -> str | None:
        reasons = (observer.wants_to_stop(self) for observer in self._watching)
        stop = next((reason for reason in reasons if reason), None)
        return f"all {self.epochs} epochs trained" if stop is None and self.epoch >= self.epochs else stop

    def _train_epoch(self) -> None:
        start = time.perf_counter()
        train_loss, train_error = self._learn_split(self.epoch + 1)
        middle = time.perf_counter()
        test_loss, test_error = self._measure(self.dataset.test)
        end = time.perf_counter()
        number = self.epoch + 1
        self._refuse_non_finite(number, {"train loss": train_loss, "test loss": test_loss})
        row = EpochRow(number, train_loss, train_error, test_loss, test_error, middle - start, end - middle)
        self.epoch = number
        self.epoch_rows.append(row)
        for observer in self._watching:
            observer.on_epoch(self, row)
        if self._checkpoint_is_due():
            self._checkpoint()
        self._commit()

    def _learn_split(self, number: int) -> tuple[float, float]:
        """One epoch of steps. Returns the mean loss and the wrong fraction, the only values read."""
        on_step = [observer.on_step for observer in self._watching if type(observer).on_step is not Observer.on_step]
        watchers = [observer.watch for observer in self._watching if type(observer).watch is not Observer.watch]
        totals = _Totals(self.simulator.device)
        order = stream(self.simulator.seed, "data order", number)
        for images, labels in batches(self.dataset.train, self.batch_size, order):
            watch = Watch.together([now for asked in watchers if (now := asked(self)) is not None])
            step = self.simulator.learn(images, labels, *(() if watch is None else (watch,)))
            totals.add(step.loss, step.mistakes, len(labels))
            for hook in on_step:
                hook(self, step)
        return totals.read(len(self.dataset.train))

    def _measure(self, split: Split) -> tuple[float, float]:
        """Mean loss and wrong fraction of a whole split; nothing is learned."""
        totals = _Totals(self.simulator.device)
        for images, labels in batches(split, self.eval_batch_size):
            totals.add(*self.simulator.score(images, labels), 1)
        return totals.read(len(split))

    def _checkpoint_is_due(self) -> bool:
        """By the schedule, unless a resumed run has measured this epoch already."""
        measured = bool(self.checkpoint_rows) and self.checkpoint_rows[-1].epoch == self.epoch
        return not measured and (self.epoch % self.checkpoint_every == 0 or self.epoch == self.epochs)

    def _checkpoint(self) -> None:
        start = time.perf_counter()
        train_loss, train_error = self._measure(self.dataset.train)
        test_loss, test_error = self._measure(self.dataset.test)
        self._refuse_non_finite(self.epoch, {"train loss": train_loss, "test loss": test_loss})
        seconds = time.perf_counter() - start
        row = CheckpointRow(self.epoch, train_loss, train_error, test_loss, test_error, seconds)
        self.checkpoint_rows.append(row)
        for observer in self._watching:
            observer.on_checkpoint(self, row)

    def _commit(self) -> None:
        for observer in self._watching:
            observer.on_commit(self)

    def _refuse_non_finite(self, number: int, losses: dict[str, float]) -> None:
        bad = next((name for name, loss in losses.items() if not math.isfinite(loss)), None)
        if bad is None:
            return
        saved = next((place for observer in self._watching if (place := observer.where_saved())), None)
        kept = f"the last good state is {saved}" if saved else "no good state was saved, because nothing recorded it"
        raise SimulationError(
            f"epoch {number}: expected a finite {bad}, found {losses[bad]}; training was stopped there, and {kept}. "
            "Lower the learning rate or the initial weights, or use a wider floating-point format"
        )


class _Totals:
    """Sums that stay on the device until they are read, once."""

    def __init__(self, device: torch.device) -> None:
        # Apple's devices have no float64; elsewhere it keeps the sum of any number of batches exact enough.
        dtype = torch.float32 if device.type == "mps" else torch.float64
        self._loss = torch.zeros((), dtype=dtype, device=device)
        self._mistakes = torch.zeros((), dtype=torch.int64, device=device)

    def add(self, loss: Tensor, mistakes: Tensor, weight: int) -> None:
        self._loss.add_(loss.detach(), alpha=weight)
        self._mistakes.add_(mistakes)

    def read(self, count: int) -> tuple[float, float]:
        loss, mistakes = torch.stack([self._loss, self._mistakes.to(self._loss.dtype)]).tolist()
        return loss / count, mistakes / count


def refuse_misfit(circuit: Any, dataset: Dataset) -> None:
    """Raise a :class:`DataError` where a circuit cannot take a dataset's images or tell its classes."""
    expected = tuple(circuit.inputs)
    if dataset.image_shape != expected:
        flat = len(expected) == 1 and math.prod(dataset.image_shape) == expected[0]
        remedy = "give it dataset.flattened()" if flat else "build the circuit for these images"
        raise DataError(
            f"dataset '{dataset.name}': expected images of {expected}, the circuit's inputs, found "
            f"{dataset.image_shape}; {remedy} or choose another dataset"
        )
    classes = circuit.readout.classes
    highest = max(int(split.labels.max()) for split in (dataset.train, dataset.test))
    if highest >= classes:
        raise DataError(
            f"dataset '{dataset.name}': expected labels from 0 to {classes - 1}, the classes of the circuit's "
            f"readout, found {highest}; give the readout {dataset.classes} classes or choose another dataset"
        )
