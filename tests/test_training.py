"""The trainer: order, rows, schedule, observers, early stop, refusals."""

from __future__ import annotations

import io
import math
import re
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from neurosim.datasets import batches
from neurosim.errors import DataError, SimulationError
from neurosim.observers import CheckpointRow, EarlyStop, EpochLines, Observer, ProgressBar
from neurosim.reproduction.reproduction import _Lines
from neurosim.streams import stream
from neurosim.training import Trainer

sys.path.append(str(Path(__file__).parent))
from training_fakes import FakeCircuit, FakeSimulator, fake_dataset, numbers


class Diary(Observer):
    """Writes down every moment."""

    def __init__(self) -> None:
        self.entries: list[tuple[Any, ...]] = []

    def restore(self, trainer: Any) -> None:
        self.entries.append(("restore", trainer.epoch))

    def on_start(self, trainer: Any) -> None:
        self.entries.append(("start", trainer.epoch))

    def on_step(self, trainer: Any, step: Any) -> None:
        self.entries.append(("step",))

    def on_epoch(self, trainer: Any, row: Any) -> None:
        assert row is trainer.epoch_rows[-1]
        self.entries.append(("epoch", row.epoch))

    def on_checkpoint(self, trainer: Any, row: Any) -> None:
        assert row is trainer.checkpoint_rows[-1]
        self.entries.append(("checkpoint", row.epoch))

    def on_commit(self, trainer: Any) -> None:
        self.entries.append(("commit", trainer.epoch))

    def on_end(self, trainer: Any, reason: str, error: BaseException | None) -> None:
        self.entries.append(("end", reason, type(error).__name__))


def trainer(simulator: Any = None, **options: Any) -> Trainer:
    options = {"epochs": 3, "batch_size": 16, "checkpoint_every": 2} | options
    return Trainer(simulator or FakeSimulator(), options.pop("dataset", None) or fake_dataset(), **options)


def test_observers_see_every_moment_in_order() -> None:
    diary = Diary()
    trainer(observers=[diary]).run()
    steps = [("step",)] * 4  # 50 examples in batches of 16
    assert diary.entries == [
        ("restore", 0), ("start", 0), ("checkpoint", 0), ("commit", 0),
        *steps, ("epoch", 1), ("commit", 1),
        *steps, ("epoch", 2), ("checkpoint", 2), ("commit", 2),
        *steps, ("epoch", 3), ("checkpoint", 3), ("commit", 3),
        ("end", "all 3 epochs trained", "NoneType"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("epochs", "every", "expected"),
    [(25, 10, [0, 10, 20, 25]), (20, 10, [0, 10, 20]), (3, 10, [0, 3]), (0, 10, [0]), (2, 1, [0, 1, 2])],
)
def test_checkpoints_come_before_training_then_regularly_and_last(epochs: int, every: int, expected: list[int]) -> None:
    result = trainer(epochs=epochs, checkpoint_every=every).run()
    assert [row.epoch for row in result.checkpoints] == expected
    assert [row.epoch for row in result.epochs] == list(range(1, epochs + 1))


def test_rows_are_what_a_plain_loop_measures() -> None:
    result = trainer(epochs=2).run()

    simulator, data, loss, mistakes = FakeSimulator(), fake_dataset(), 0.0, 0
    for epoch in (1, 2):
        loss, mistakes = 0.0, 0
        order = torch.randperm(50, generator=stream(0, "data order", epoch))
        for part in order.split(16):
            step = simulator.learn(data.train.images[part], data.train.labels[part])
            loss += float(step.loss) * len(part)
            mistakes += int(step.mistakes)
    test_loss, test_mistakes = simulator.score(data.test.images, data.test.labels)
    train_loss, train_mistakes = simulator.score(data.train.images, data.train.labels)

    row, checkpoint = result.epochs[-1], result.checkpoints[-1]
    assert row.train_loss == pytest.approx(loss / 50, abs=1e-6)
    assert row.train_error == mistakes / 50
    assert row.test_loss == checkpoint.test_loss == pytest.approx(float(test_loss) / 20, abs=1e-6)
    assert row.test_error == checkpoint.test_error == int(test_mistakes) / 20
    assert checkpoint.train_loss == pytest.approx(float(train_loss) / 50, abs=1e-6)
    assert checkpoint.train_error == int(train_mistakes) / 50
    assert row.step_seconds > 0 and row.evaluation_seconds > 0 and checkpoint.seconds > 0


def test_evaluation_does_not_depend_on_its_batch_size() -> None:
    one, other = trainer(eval_batch_size=7).run(), trainer(eval_batch_size=1000).run()
    assert [row.test_error for row in one.epochs] == [row.test_error for row in other.epochs]
    assert [row.train_loss for row in one.epochs] == [row.train_loss for row in other.epochs]
    for a, b in zip(one.checkpoints, other.checkpoints, strict=True):
        assert a.train_loss == pytest.approx(b.train_loss, abs=1e-6)


def test_data_order_is_the_seeds_and_differs_between_epochs() -> None:
    class Listener(FakeSimulator):
        def learn(self, images: torch.Tensor, labels: torch.Tensor) -> SimpleNamespace:
            order.extend(images.flatten(1)[:, 0].tolist())
            return super().learn(images, labels)

    order: list[int] = []

    def orders(seed: int) -> list[list[int]]:
        order.clear()
        trainer(Listener(seed), epochs=2).run()
        return [order[:50], order[50:]]

    first, again, other = orders(0), orders(0), orders(1)
    assert first == again
    assert first[0] != first[1] and first != other
    pixels = sorted(fake_dataset().train.images.flatten(1)[:, 0].tolist())
    assert all(sorted(order) == pixels for order in [*first, *other])


def test_training_leaves_the_global_random_state_alone() -> None:
    before = torch.get_rng_state()
    trainer().run()
    assert torch.equal(torch.get_rng_state(), before)


def test_observers_change_nothing() -> None:
    plain, watched = FakeSimulator(), FakeSimulator()
    without = trainer(plain).run()
    with_them = trainer(watched, observers=[Diary(), ProgressBar(io.StringIO(), enabled=True)]).run()
    assert numbers(without) == numbers(with_them)
    assert all(torch.equal(plain.state_dict()[key], tensor) for key, tensor in watched.state_dict().items())


def test_an_observer_without_on_step_is_never_called_there(monkeypatch: pytest.MonkeyPatch) -> None:
    def forbidden(*arguments: Any) -> None:
        raise AssertionError("called")

    monkeypatch.setattr(Observer, "on_step", forbidden)
    trainer(observers=[Observer(), EarlyStop()]).run()


def test_the_device_is_read_once_per_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    run, reads = trainer(epochs=1, batch_size=2), list[str]()
    step = SimpleNamespace(loss=torch.tensor(0.5), mistakes=torch.tensor(1))
    monkeypatch.setattr(run.simulator, "learn", lambda images, labels: step)

    def counted(name: str, original: Any) -> Any:
        def read(*arguments: Any, **options: Any) -> Any:
            reads.append(name)
            return original(*arguments, **options)

        return read

    for name in ("tolist", "item", "cpu", "numpy", "__float__", "__int__", "__bool__"):
        monkeypatch.setattr(torch.Tensor, name, counted(name, getattr(torch.Tensor, name)))
    run.run()
    assert run.steps_per_epoch == 25
    assert len(reads) == 2 + 2 * 2  # the epoch's steps and its test pass; two checkpoints of two passes


# -- early stop ------------------------------------------------------------------------------------------------------


def test_early_stop_at_the_first_checkpoint_without_mistakes() -> None:
    result = trainer(dataset=fake_dataset(learnable=True), epochs=1000, checkpoint_every=5).run()
    last = result.checkpoints[-1]
    assert last.train_error == 0 and last.epoch == result.epochs[-1].epoch < 1000
    assert last.epoch % 5 == 0
    assert all(row.train_error > 0 for row in result.checkpoints[:-1])
    assert result.reason == f"train error is zero at the checkpoint of epoch {last.epoch}"


def test_early_stop_can_be_left_out() -> None:
    result = trainer(dataset=fake_dataset(learnable=True), epochs=30, checkpoint_every=5, early_stop=False).run()
    assert result.checkpoints[-2].train_error == 0 and result.reason == "all 30 epochs trained"


def test_early_stop_ignores_an_older_checkpoint() -> None:
    run = trainer(epochs=0)
    run.resume_after(0, [], [CheckpointRow(0, 0.0, 0.0, 0.0, 0.0, 0.0)])
    assert EarlyStop().wants_to_stop(run) == "train error is zero at the checkpoint of epoch 0"
    run.epoch = 1
    assert EarlyStop().wants_to_stop(run) is None


def test_early_stop_ignores_a_checkpoint_outside_the_schedule() -> None:
    """The one after the last epoch asked for: extended later, the run goes on as it would have in one go."""
    run = trainer(epochs=12, checkpoint_every=5)
    run.resume_after(7, [], [CheckpointRow(7, 0.0, 0.0, 0.0, 0.0, 0.0)])
    assert EarlyStop().wants_to_stop(run) is None
    run.resume_after(10, [], [CheckpointRow(10, 0.0, 0.0, 0.0, 0.0, 0.0)])
    assert EarlyStop().wants_to_stop(run) == "train error is zero at the checkpoint of epoch 10"


def test_any_observer_may_stop() -> None:
    class Enough(Observer):
        def wants_to_stop(self, trainer: Any) -> str | None:
            return "enough" if trainer.epoch == 2 else None

    result = trainer(observers=[Enough()]).run()
    assert (len(result.epochs), result.reason) == (2, "enough")


# -- progress bar ----------------------------------------------------------------------------------------------------


def test_progress_bar_counts_all_steps_and_shows_the_last_test_error() -> None:
    screen = io.StringIO()
    result = trainer(observers=[ProgressBar(screen, enabled=True)]).run()
    last = screen.getvalue().rsplit("\r", 1)[-1]
    assert "12/12" in last and "fake 3/3" in last
    assert f"test error {result.epochs[-1].test_error:.2%}" in last


def test_progress_bar_is_silent_where_nobody_looks() -> None:
    screen = io.StringIO()
    trainer(observers=[ProgressBar(screen)]).run()
    trainer(observers=[ProgressBar(screen, enabled=False)]).run()
    assert screen.getvalue() == ""


def test_progress_bar_starts_where_a_resumed_run_continues() -> None:
    class Resume(Observer):
        def restore(self, trainer: Any) -> None:
            trainer.resume_after(2, [], [])

    screen = io.StringIO()
    trainer(observers=[ProgressBar(screen, enabled=True), Resume()]).run()
    assert "8/12" in screen.getvalue().split("\r")[1]


# -- what goes wrong -------------------------------------------------------------------------------------------------


def test_a_loss_that_is_not_finite_stops_training() -> None:
    diary = Diary()
    simulator = FakeSimulator(explode_at=10)  # in the third epoch
    with pytest.raises(SimulationError) as caught:
        trainer(simulator, observers=[diary], epochs=5).run()
    assert str(caught.value) == (
        "epoch 3: expected a finite train loss, found nan; training was stopped there, and no good state was saved, "
        "because nothing recorded it. Lower the learning rate or the initial weights, or use a wider floating-point "
        "format"
    )
    assert ("commit", 2) in diary.entries and ("epoch", 3) not in diary.entries
    assert diary.entries[-1] == ("end", f"SimulationError: {caught.value}", "SimulationError")


def test_a_test_loss_that_is_not_finite_stops_training() -> None:
    simulator = FakeSimulator(explode_at=4)  # the last step of the first epoch: only the test pass can notice
    with pytest.raises(SimulationError, match=r"epoch 1: expected a finite test loss, found (nan|inf)"):
        trainer(simulator).run()


def test_a_loss_that_is_not_finite_from_the_start() -> None:
    simulator = FakeSimulator()
    simulator.weight.fill_(math.nan)
    with pytest.raises(SimulationError, match="epoch 0: expected a finite train loss, found nan"):
        trainer(simulator).run()


def test_every_observer_is_told_of_the_end_even_if_one_fails() -> None:
    class Broken(Observer):
        def on_end(self, trainer: Any, reason: str, error: BaseException | None) -> None:
            raise RuntimeError("broken")

    first, last = Diary(), Diary()
    with pytest.raises(RuntimeError, match="broken"):
        trainer(observers=[first, Broken(), last]).run()
    assert first.entries[-1][0] == last.entries[-1][0] == "end"


def test_an_interrupt_reaches_the_observers_and_the_caller() -> None:
    class Impatient(Diary):
        def on_epoch(self, trainer: Any, row: Any) -> None:
            raise KeyboardInterrupt

    diary = Impatient()
    with pytest.raises(KeyboardInterrupt):
        trainer(observers=[diary]).run()
    assert diary.entries[-1] == ("end", "KeyboardInterrupt", "KeyboardInterrupt")


@pytest.mark.parametrize("lines", [EpochLines(), _Lines("run")], ids=["train", "reproduce"])
def test_an_epoch_is_printed_once_it_is_committed(lines: Observer, capsys: pytest.CaptureFixture[str]) -> None:
    """A recorder that comes first has an epoch on disk before anybody reads of it."""
    printed: list[tuple[int, str]] = []

    class Disk(Observer):
        def on_commit(self, trainer: Any) -> None:
            printed.append((trainer.epoch, capsys.readouterr().out))

    trainer(observers=[Disk(), lines]).run()
    printed.append((4, capsys.readouterr().out))
    assert [number for number, _ in printed] == [0, 1, 2, 3, 4]
    for number, text in printed:  # until the commit of epoch N: that of N - 1, printed after the commit before
        assert re.findall(r"epoch (\d)/3", text) == ([str(number - 1)] if number > 1 else [])


def test_images_of_another_shape_are_refused() -> None:
    with pytest.raises(DataError) as caught:
        trainer(FakeSimulator(circuit=FakeCircuit(inputs=(3, 32, 32))))
    assert str(caught.value) == (
        "dataset 'fake': expected images of (3, 32, 32), the circuit's inputs, found (1, 3, 3); build the circuit for "
        "these images or choose another dataset"
    )


def test_labels_beyond_the_readout_are_refused() -> None:
    with pytest.raises(DataError) as caught:
        trainer(FakeSimulator(circuit=FakeCircuit(classes=2)))
    assert str(caught.value) == (
        "dataset 'fake': expected labels from 0 to 1, the classes of the circuit's readout, found 2; give the readout "
        "3 classes or choose another dataset"
    )


@pytest.mark.parametrize(
    ("name", "value", "least"),
    [
        ("epochs", -1, 0),
        ("epochs", 1.5, 0),
        ("batch_size", 0, 1),
        ("batch_size", True, 1),
        ("checkpoint_every", 0, 1),
        ("eval_batch_size", "many", 1),
    ],
)
def test_numbers_out_of_range_are_refused(name: str, value: Any, least: int) -> None:
    with pytest.raises(SimulationError, match=f"{name}: expected an integer of at least {least}, found {value!r}"):
        trainer(**{name: value})


@pytest.mark.parametrize(
    ("observers", "text"),
    [
        (Diary(), r"observers: expected several, such as \[RunRecorder\('run.h5'\)\], or \(\), found <.*Diary object"),
        (None, r"observers: expected several, .* found None"),
        ([5], "observers: expected objects of subclasses of Observer, found 5"),
        ([Diary], r"found <class .*Diary'>; write Diary\(...\), an object of that class"),
    ],
)
@pytest.mark.usefixtures("wrong_types_allowed")
def test_what_cannot_observe_is_refused(observers: Any, text: str) -> None:
    with pytest.raises(SimulationError, match=text):
        trainer(observers=observers)


def test_resuming_beyond_the_last_epoch_is_refused() -> None:
    with pytest.raises(SimulationError, match="has trained 4 epochs, expected at least that many, found 3; raise"):
        trainer(epochs=3).resume_after(4, [], [])


def test_the_dataset_is_batched_as_the_datasets_module_does() -> None:
    run = trainer()
    assert run.steps_per_epoch == len(list(batches(run.dataset.train, run.batch_size))) == 4
