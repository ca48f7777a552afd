"""One circuit under several settings, from the same weights and data order, in a folder that can be resumed.

The folder holds one run file for each setting and seed, ``runs/SETTING/seedS.h5``, and the report: ``comparison.md``
for people, ``comparison.json`` for programs, ``comparison.png``. (`neurosim compare` keeps its options there as well.)
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from numbers import Integral
from pathlib import Path
from typing import Any

import torch
from attrs import field, frozen

from neurosim import __version__
from neurosim.circuit import Circuit
from neurosim.comparison.checks import (
    a_circuit,
    a_dataset,
    device_there,
    folder_name,
    known_optimizer,
    known_precision,
    one_or_more,
    refuse_idle_relaxation,
    refuse_unfit,
    seeds_once,
    settings_apart,
    usable_rate,
)
from neurosim.comparison.costs import averaged, kinds_of_step, remainders
from neurosim.comparison.rows import curve, final_code_errors, spreads, weight_differences
from neurosim.comparison.setting import Setting, applied
from neurosim.comparison.spread_recorder import SpreadRecorder, spread_by_epoch
from neurosim.comparison.table import Row, as_data, as_markdown
from neurosim.datasets import Dataset
from neurosim.errors import SimulationError
from neurosim.observers import ProgressBar
from neurosim.optimizers import Optimizer, optimizer_named
from neurosim.readout import OneHot
from neurosim.reproduction.reproduction import write_whole
from neurosim.runs.recording import RunRecorder
from neurosim.runs.run import Run
from neurosim.side_by_side import run_each
from neurosim.simulator import Simulator
from neurosim.step_costs import StepCost, step_costs
from neurosim.training import Trainer, refuse_misfit


def _in_order(value: Any) -> Any:
    """A tuple of settings; what cannot be one the validator refuses."""
    return value if isinstance(value, str) or not isinstance(value, Iterable) else tuple(value)


def _each(value: Any) -> Any:
    """A tuple of integers, also of numpy's; whatever else it is, the validator refuses."""
    if not isinstance(value, Iterable):
        return value
    return tuple(seed if isinstance(seed, bool) or not isinstance(seed, Integral) else int(seed) for seed in value)


@frozen(eq=False)
class Comparison:
    """Trains a circuit under several settings and measures what each costs and where it ends.

    Every object draws from a stream of the seed and its own name, so populations and groups of equal shape start from
    the same numbers in all settings; the data order is the same in all.

    Args:
        circuit: is changed by each setting in turn.
        dataset: is trained on.
        settings: at least two; the first is the reference.
        folder: of the run files and of the report; made if need be.
        epochs, batch_size: of training; nothing stops early.
        seeds: each setting is trained once from each.
        optimizer: ``"adam"``, or ``"sgd"``: plain gradient descent, where untied groups learn at K times the rate,
            because the average of K local updates is 1 / K of their sum.
        learning_rate: of the optimizer.
        precision, device: as in :class:`~neurosim.simulator.Simulator`.
        jobs: runs at a time, each in a process of its own; they share the cores.
        resume: take an existing folder; runs that are finished stay, others continue.
        remark: a line for the report.

    Raises:
        CircuitError: a setting that the circuit cannot take, fewer than two, two of one name, or a relaxation that is
            due after more steps than are trained.
        DataError: a folder that is not empty, without ``resume``; none, with it; runs of another version of neurosim;
            images or labels that a circuit cannot take.
        SimulationError, UnknownNameError: a number, seed, optimizer, precision or device that cannot be.

    Example:
        >>> import tempfile
        >>> from neurosim import BP, circuits
        >>> from neurosim.datasets import load_dataset
        >>> data, circuit = load_dataset("digits").subset(train=64, test=32), circuits.load("digits-fc", widths=(8, 6))
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     compared = Comparison(circuit, data, [Setting("GEVB"), Setting("BP", rule=BP())], folder, epochs=1)
        ...     first, second = compared.run(say=lambda line: None)
        >>> first.difference, second.difference > 0
        (0.0, True)
    """

    circuit: Circuit = field(validator=a_circuit)
    dataset: Dataset = field(validator=a_dataset)
    settings: tuple[Setting, ...] = field(converter=_in_order, validator=settings_apart)
    folder: Path = field(converter=Path)
    epochs: int = field(default=5, kw_only=True, validator=one_or_more)
    seeds: tuple[int, ...] = field(default=(0,), kw_only=True, converter=_each, validator=seeds_once)
    batch_size: int = field(default=128, kw_only=True, validator=one_or_more)
    optimizer: str = field(default="adam", kw_only=True, validator=known_optimizer)
    learning_rate: float = field(default=3e-4, kw_only=True, validator=usable_rate)
    precision: str = field(default="float32", kw_only=True, validator=known_precision)
    device: str = field(default="cpu", kw_only=True, validator=device_there)
    jobs: int = field(default=1, kw_only=True, validator=one_or_more)
    resume: bool = field(default=False, kw_only=True)
    remark: str = field(default="", kw_only=True)
    #: setting -> the circuit with it
    circuits: Mapping[str, Circuit] = field(init=False, repr=False)

    def __attrs_post_init__(self) -> None:
        made = {setting.name: applied(self.circuit, setting) for setting in self.settings}
        object.__setattr__(self, "circuits", made)
        for setting in self.settings:
            circuit = self.circuits[setting.name]
            refuse_misfit(circuit, self.dataset)
            refuse_idle_relaxation(setting, circuit, len(self.dataset.train), self.batch_size, self.epochs)
        refuse_unfit(self)

    def path(self, setting: Setting, seed: int) -> Path:
        """Where the run of a setting and seed is recorded."""
        return self.folder / "runs" / folder_name(setting.name) / f"seed{seed}.h5"

    def simulator(self, setting: Setting, seed: int) -> Simulator:
        """A simulator of one setting, untrained."""
        return self._simulator_of(self.circuits[setting.name], setting, seed)

    def run(self, say: Callable[[str], None] = print) -> list[Row]:
        """Train what is not trained yet, measure, and write the report; a run that fails does not stop the others.

        Args:
            say: is told of the progress, line by line.

        Raises:
            DataError: a run file in the folder that is of another comparison.
        """
        failures: dict[tuple[str, int], str] = {}
        tasks = [(self, setting, seed) for seed in self.seeds for setting in self.settings]
        for (_, setting, seed), answer, problem in run_each(_train, tasks, self.jobs, caught=SimulationError):
            say(f"{setting.name}, seed {seed}: {answer or f'FAILED: {problem}'}")
            if problem is not None:
                failures[setting.name, seed] = f"seed {seed}: {problem}"
        costs = self.costs()
        rows = [self._row(setting, costs[setting.name], failures) for setting in self.settings]
        self._write(rows)
        return rows

    def costs(self) -> dict[str, StepCost]:
        """What a step of every setting costs, on the first batch, by simulators of their own that take turns.

        Where a relaxation waits, the step in which it is due has a simulator of its own too; see
        :func:`~neurosim.comparison.costs.averaged`.
        """
        split = self.dataset.train
        images, labels = (part[: self.batch_size].to(self.device) for part in (split.images, split.labels))
        simulators = {
            (setting.name, wait): self._simulator_of(circuit, setting, self.seeds[0])
            for setting in self.settings
            for wait, circuit in kinds_of_step(self.circuits[setting.name]).items()
        }
        steps = {which: partial(simulator.learn, images, labels) for which, simulator in simulators.items()}
        found: dict[str, dict[int, StepCost]] = {setting.name: {} for setting in self.settings}
        for (name, wait), cost in step_costs(steps, self.device).items():
            found[name][wait] = cost
        return {name: averaged(costs) for name, costs in found.items()}

    def train(self, setting: Setting, seed: int) -> float:
        """Train one setting from one seed, or go on where its run file ends; the last test error.

        Raises:
            DataError: the run file is of something else.
            SimulationError: numbers that are no longer finite.
        """
        path = self.path(setting, seed)
        path.parent.mkdir(parents=True, exist_ok=True)
        notes = {"setting": setting.to_dict()}
        recorder = RunRecorder(path, notes=notes, checkpoints="last", resume=path.exists())
        trainer = Trainer(
            self.simulator(setting, seed),
            self.dataset,
            epochs=self.epochs,
            batch_size=self.batch_size,
            checkpoint_every=Run(path).config["checkpoint_every"] if path.exists() else max(10, self.epochs),
            early_stop=False,
            observers=[recorder, SpreadRecorder(recorder), ProgressBar()],
        )
        return trainer.run().epochs[-1].test_error

    def _row(self, setting: Setting, cost: StepCost, failures: Mapping[tuple[str, int], str]) -> Row:
        reference, circuit = self.settings[0], self.circuits[setting.name]
        seeds = tuple(seed for seed in self.seeds if (setting.name, seed) not in failures)
        paths = [self.path(setting, seed) for seed in seeds]
        pairs = [
            (self.path(reference, seed), path)
            for seed, path in zip(seeds, paths, strict=True)
            if (reference.name, seed) not in failures
        ]
        simulator = self.simulator(setting, self.seeds[0])
        return Row(
            name=setting.name,
            components=circuit.K,
            presentations=simulator.presentations,
            seeds=seeds,
            curves=tuple(curve(path) for path in paths),
            cost=cost,
            bits=not isinstance(circuit.readout, OneHot),
            spreads=spreads([spread_by_epoch(path) for path in paths]),
            remainders=remainders(circuit),
            code_errors=tuple(final_code_errors(simulator, path, self.dataset.test) for path in paths),
            failures=tuple(text for (name, _), text in failures.items() if name == setting.name),
            **weight_differences(pairs, circuit.K, self.circuits[reference.name].K),
        )

    def _write(self, rows: Sequence[Row]) -> None:
        from neurosim.figures.comparison import draw_comparison  # matplotlib is loaded only where something is drawn

        write_whole(self.folder / "comparison.md", self.report(rows))
        data = as_data(rows, self._about())
        write_whole(self.folder / "comparison.json", json.dumps(data, indent=1) + "\n")
        draw_comparison(rows).figure.savefig(self.folder / "comparison.png", dpi=150)

    def report(self, rows: Sequence[Row]) -> str:
        """The table and what it is of, as text."""
        about = self._about()
        seeds = ", ".join(map(str, self.seeds))
        what = (
            f"{self.dataset.name} ({len(self.dataset.train)} + {len(self.dataset.test)} images), {self.epochs} epochs, "
            f"seeds {seeds}, batches of {self.batch_size}, {self.optimizer} at {self.learning_rate:g}, "
            f"{self.precision}, {self.device}, {about['threads']} threads."
        )
        return as_markdown(rows, f"{what}\n{self.remark}" if self.remark else what)

    def _about(self) -> dict[str, Any]:
        return {
            "neurosim": __version__,
            "torch": str(torch.__version__),
            "threads": torch.get_num_threads(),
            "dataset": self.dataset.name,
            "epochs": self.epochs,
            "seeds": list(self.seeds),
            "batch_size": self.batch_size,
            "optimizer": self.optimizer,
            "learning_rate": self.learning_rate,
            "precision": self.precision,
            "device": self.device,
            "remark": self.remark,
            "circuit": self.circuit.to_dict(),
            "settings": [setting.to_dict() for setting in self.settings],
        }

    def _simulator_of(self, circuit: Circuit, setting: Setting, seed: int) -> Simulator:
        return Simulator(
            circuit,
            device=self.device,
            precision=self.precision,
            vectorization=setting.runs_as,
            seed=seed,
            optimizer=self._optimizer_of(circuit),
        )

    def _optimizer_of(self, circuit: Circuit) -> Optimizer:
        untied = [name for name, group in circuit.groups.items() if group.untied and group.rule is not None]
        return optimizer_named(self.optimizer, self.learning_rate, dict.fromkeys(untied, circuit.K))


def _train(task: tuple[Comparison, Setting, int]) -> str:
    comparison, setting, seed = task
    return f"test error {comparison.train(setting, seed):.2%}"
