"""Running published experiments again, in a folder that can be left and come back to at any moment.

The folder holds ``reproduction.json`` (what all its runs have in common), one run file for each experiment and seed,
``runs/NAME/seedS.h5``, and the report, ``table.md`` for people and ``table.json`` for programs.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import attrs
from attrs import define, field, frozen

from neurosim import __version__
from neurosim.datasets import Dataset, load_dataset
from neurosim.errors import DataError, UnknownNameError
from neurosim.experiment import ConfigError
from neurosim.observers import EpochRow, Observer, Training
from neurosim.optimizers import Adam
from neurosim.presented import usable_device
from neurosim.published import Protocol, PublishedExperiment, published_experiments
from neurosim.reproduction.runs import refuse_foreign
from neurosim.runs.recording import RunRecorder, refuse_other_version
from neurosim.runs.run import Run
from neurosim.side_by_side import run_each
from neurosim.simulator import PRECISIONS, Simulator
from neurosim.training import Trainer

FORMAT, FORMAT_VERSION = "neurosim-reproduction", 1
RECORD = "reproduction.json"
FULL_PRECISIONS = ("float32", "float64")


@frozen
class Settings:
    """What all runs of a folder have in common.

    Attributes:
        neurosim: version of the package.
        precision: as in :class:`~neurosim.simulator.Simulator`.
        checkpoints: ``"last"`` keeps the weights of the last epoch only, ``"all"`` those of every checkpoint.
        train_examples, test_examples: use only so many; None for all. A shortened run is never the full protocol, and
            neither is one in fewer bits than the published ones.

    Raises:
        UnknownNameError: another precision.
    """

    neurosim: str = __version__
    precision: str = "float32"
    checkpoints: str = "last"
    train_examples: int | None = None
    test_examples: int | None = None

    def __attrs_post_init__(self) -> None:
        if self.precision not in PRECISIONS:  # before a folder remembers it, which then takes no other
            raise UnknownNameError("precision", str(self.precision), PRECISIONS)

    @property
    def departures(self) -> tuple[str, ...]:
        """In what all runs depart from the published ones, in words; then none counts as the full protocol."""
        shorter = [("trained", self.train_examples), ("tested", self.test_examples)]
        said = [f"{what} on the first {number} images only" for what, number in shorter if number is not None]
        return tuple(said if self.precision in FULL_PRECISIONS else [*said, f"computed in {self.precision}"])


@frozen
class Task:
    """One run of one experiment."""

    experiment: str
    seed: int
    epochs: int
    path: Path

    def __str__(self) -> str:
        return f"{self.experiment} seed {self.seed}"


@frozen
class Reproduction:
    """A folder of runs of published experiments.

    Args:
        folder: is made if need be.
        settings: must agree with those of an existing folder.
        resume: add to an existing folder; without it only an empty or new one is taken.

    Raises:
        DataError: a folder with other settings or of another version, one that is not empty without ``resume``, or
            none with it.
    """

    folder: Path = field(converter=Path)
    settings: Settings = field(factory=Settings)
    resume: bool = False

    def __attrs_post_init__(self) -> None:
        if self.record.exists():
            refuse_other_settings(self.record, self.settings)
            if not self.resume:
                raise DataError(
                    f"{self.folder}: this folder holds a reproduction already; continue it with --resume, "
                    "or name another folder with --out"
                )
        elif self.resume:
            raise DataError(
                f"{self.folder}: expected a reproduction to resume, but there is no {self.record.name} here"
            )
        elif self.folder.exists() and any(self.folder.iterdir()):
            raise DataError(
                f"{self.folder}: expected a new or empty folder, found other files; name another with --out"
            )

    @property
    def record(self) -> Path:
        """The file that says what all runs have in common."""
        return self.folder / RECORD

    def path(self, experiment: str, seed: int) -> Path:
        """Where the run of an experiment and seed is recorded."""
        return self.folder / "runs" / experiment / f"seed{seed}.h5"

    def tasks(self, experiments: Sequence[PublishedExperiment], seeds: Sequence[int], epochs: int | None) -> list[Task]:
        """The runs that are still to make or to continue, all experiments' first seeds first.

        Args:
            epochs: in all, those already trained included; None for the protocol's.

        Raises:
            DataError: a run in the folder that another version of neurosim made, or one that has more epochs already.
            ConfigError: more epochs than the protocol has; the published number is that of its last one.
        """
        for experiment in experiments:
            if epochs is not None and epochs > experiment.protocol.epochs:
                raise ConfigError(
                    f"epochs: {experiment.name} was published after {experiment.protocol.epochs}, expected at most as "
                    f"many, got {epochs}; lower --epochs, or train longer with `neurosim train`"
                )
        wanted = [
            (
                Task(experiment.name, seed, epochs or experiment.protocol.epochs, self.path(experiment.name, seed)),
                experiment.protocol,
            )
            for seed in seeds
            for experiment in experiments
        ]
        due = [task for task, protocol in wanted if not is_complete(task, protocol)]
        longer = [task for task, _ in wanted if epochs and task.path.exists() and Run(task.path).epoch > epochs]
        if longer:
            raise DataError(
                f"{longer[0].path}: this run has trained {Run(longer[0].path).epoch} epochs already, {epochs} are "
                f"asked for ({len(longer)} of {len(wanted)} runs have more); raise --epochs, or name another folder "
                "with --out"
            )
        return due

    def run(
        self,
        tasks: Sequence[Task],
        *,
        jobs: int = 1,
        data_dir: Path | None = None,
        device: str = "cpu",
        say: Callable[[str], None] = print,
        after_each: Callable[[], object] = lambda: None,
    ) -> list[str]:
        """Make or continue the runs; one that fails does not stop the others.

        Args:
            jobs: how many at a time, each in a process of its own; they share the cores.
            say: is told of the progress, line by line (of a process of its own: printed).
            after_each: is called after every run, for example to write the report.

        Returns:
            What failed, and why.

        Raises:
            UnknownNameError, SimulationError: a device that is not there; then nothing is made.
            DataError: no dataset that can be loaded, fewer or more examples than one has, or runs of other data in
                the folder; neither.
        """
        usable_device(device)  # before the folder exists, which a corrected command would find in its way
        self._refuse_other_data(tasks, data_dir)
        self.folder.mkdir(parents=True, exist_ok=True)
        about = {"format": FORMAT, "version": FORMAT_VERSION, "settings": attrs.asdict(self.settings)}
        write_whole(self.record, json.dumps(about, indent=1) + "\n")
        arguments = [(task, self.settings, data_dir, device) for task in tasks]
        failed = []
        for (task, *_), _, problem in run_each(run_task, arguments, jobs):
            if problem is not None:
                failed.append(f"{task}: {problem}")
                say(f"FAILED {failed[-1]}")
            after_each()
        return failed

    def _refuse_other_data(self, tasks: Sequence[Task], data_dir: Path | None) -> None:
        """Raise where a dataset has not so many examples, or is another than that of the runs that are there.

        One of several that cannot be loaded fails with its runs alone; where there is no other, nothing could run.
        """
        fingerprints, missing = {}, None
        for name in sorted({published_experiments()[task.experiment].dataset for task in tasks}):
            try:
                dataset = load_dataset(name, data_dir)
            except DataError as error:
                missing = error
                continue
            shortened = _shortened(dataset, self.settings)
            fingerprints[shortened.name] = shortened.fingerprint
        if missing is not None and not fingerprints:
            raise missing
        refuse_foreign(self.folder, self.settings.precision, fingerprints)


def _shortened(dataset: Dataset, settings: Settings) -> Dataset:
    if settings.train_examples is None and settings.test_examples is None:
        return dataset
    return dataset.subset(train=settings.train_examples, test=settings.test_examples)


def run_task(argument: tuple[Task, Settings, Path | None, str]) -> str:
    """Make or continue one run."""
    return trainer_for(*argument).run().reason


def trainer_for(task: Task, settings: Settings, data_dir: Path | None, device: str = "cpu") -> Trainer:
    """What trains one run by the published protocol, recorder included."""
    experiment = published_experiments()[task.experiment]
    protocol = experiment.protocol
    dataset = _shortened(load_dataset(experiment.dataset, data_dir), settings)
    simulator = Simulator(
        experiment.build(),
        device=device,
        precision=settings.precision,
        seed=task.seed,
        optimizer=Adam(protocol.learning_rate),
    )
    task.path.parent.mkdir(parents=True, exist_ok=True)
    recorder = RunRecorder(
        task.path,
        notes={"experiment": task.experiment},
        checkpoints=settings.checkpoints,
        resume=task.path.exists(),
    )
    return Trainer(
        simulator,
        dataset,
        epochs=task.epochs,
        batch_size=protocol.batch_size,
        checkpoint_every=protocol.checkpoint_every,
        observers=[recorder, _Lines(str(task))],
    )


@define
class _Lines(Observer):
    """A line per epoch that says whose it is; a printed epoch is on disk, so the recorder comes first."""

    name: str
    _row: EpochRow | None = field(default=None, init=False)

    def on_epoch(self, trainer: Training, row: EpochRow) -> None:
        self._row = row

    def on_commit(self, trainer: Training) -> None:
        row, self._row = self._row, None  # a resumed run may commit a checkpoint without an epoch
        if row is not None:
            print(f"{self.name}: epoch {row.epoch}/{trainer.epochs}, test error {row.test_error:.2%}", flush=True)


def is_complete(task: Task, protocol: Protocol) -> bool:
    """Whether the run has all the epochs wanted, or stopped early because the protocol says so."""
    if not task.path.exists():
        return False
    run = Run(task.path)
    refuse_other_version(run)
    return run.epoch >= task.epochs or stopped_early(run, protocol)


def stopped_early(run: Run, protocol: Protocol) -> bool:
    """Whether the training set was learned without a mistake, at a checkpoint of the protocol.

    A run that was asked for fewer epochs has a checkpoint after its last one too, which the protocol knows nothing of.
    """
    checkpoints = run.checkpoints
    if not run.finished or not len(checkpoints):
        return False
    last = checkpoints.iloc[-1]
    return float(last["train_error"]) == 0.0 and int(last["epoch"]) % protocol.checkpoint_every == 0


def recorded_settings(folder: Path) -> Settings:
    """What all runs of an existing folder have in common, the version of neurosim that made them included.

    Raises:
        DataError: no folder of a reproduction, or its record cannot be read.
    """
    record = folder / RECORD
    if not record.exists():
        raise DataError(
            f"{folder}: expected a folder of `neurosim reproduce` to report on, but there is no {RECORD} in it; "
            "name one with --out"
        )
    before = _read_record(record)
    known = {part.name for part in attrs.fields(Settings)}
    if not known >= before.keys():
        raise DataError(f"{record}: expected settings {', '.join(sorted(known))}, found {', '.join(sorted(before))}")
    return Settings(**before)


def _read_record(record: Path) -> dict[str, Any]:
    try:
        about: dict[str, Any] = json.loads(record.read_text(encoding="utf-8"))
        known, version, before = about["format"] == FORMAT, about["version"], dict(about["settings"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(f"{record}: expected the record of a reproduction, but it cannot be read: {error}") from error
    if not known or version != FORMAT_VERSION:
        raise DataError(
            f"{record}: expected format '{FORMAT}' version {FORMAT_VERSION}, found '{about['format']}' {version}; "
            "name another folder with --out"
        )
    return before


def refuse_other_settings(record: Path, settings: Settings) -> None:
    """Raise where a folder was made by another version or with other settings."""
    before = _read_record(record)
    now = attrs.asdict(settings)
    if before.get("neurosim") != settings.neurosim:
        raise DataError(
            f"{record.parent}: its runs were made by neurosim {before.get('neurosim')}, this is neurosim "
            f"{settings.neurosim}, and a table must not mix versions; finish it with version "
            f"{before.get('neurosim')}, or name another folder with --out"
        )
    different = [
        f"{key} was {before.get(key)!r}, is {now.get(key)!r}"
        for key in {**before, **now}
        if before.get(key) != now.get(key)
    ]
    if different:
        raise DataError(
            f"{record.parent}: its runs were made with other settings, and a table must not mix them: "
            f"{'; '.join(different)}. Use the same settings, or name another folder with --out"
        )


def write_whole(path: Path, text: str) -> None:
    """All or nothing: an interruption leaves the old file."""
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    beside.write_text(text, encoding="utf-8")
    beside.replace(path)
