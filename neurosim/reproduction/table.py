"""The table of published against measured errors, for people and for programs."""

from __future__ import annotations

import json
import math
import statistics
from collections.abc import Callable, Collection, Iterable, Sequence
from pathlib import Path

import attrs
from attrs import frozen
from scipy.special import stdtrit

from neurosim.errors import DataError
from neurosim.published import Protocol, PublishedExperiment, published_experiments
from neurosim.reproduction.reproduction import Reproduction, Settings, stopped_early, write_whole
from neurosim.reproduction.runs import refuse_foreign, seed_of
from neurosim.runs.run import Run

#: a difference counts as more than run-to-run spread where chance alone would exceed it in so few cases
SIGNIFICANCE = 0.05


@frozen
class MeasuredRun:
    """The test errors of one run, in percent, epoch by epoch."""

    seed: int
    test_errors: tuple[float, ...]
    stopped_early: bool
    mean_epoch_seconds: float

    @property
    def epochs(self) -> int:
        return len(self.test_errors)

    def upto(self, epoch: int) -> tuple[float, ...]:
        """The errors until ``epoch``; a run that stopped early because nothing was left to learn keeps its last."""
        return self.test_errors[:epoch]


@frozen
class Cell:
    """One cell of the table: published and measured test error, in percent.

    The measured number is that of epoch ``epochs``, the last one of the protocol that all runs of the cell have
    reached; runs that stopped early by the protocol count as having reached every later one.
    """

    experiment: PublishedExperiment
    runs: tuple[MeasuredRun, ...]
    shortened: bool = False

    @property
    def epochs(self) -> int:
        """The last epoch of the protocol that all runs have reached."""
        going = [run.epochs for run in self.runs if not run.stopped_early]
        reached = min(going) if going else max(run.epochs for run in self.runs)
        return min(reached, self.experiment.protocol.epochs)

    @property
    def last(self) -> tuple[float, ...]:
        """Test error at :attr:`epochs`, run by run."""
        return tuple(run.upto(self.epochs)[-1] for run in self.runs)

    @property
    def last_three(self) -> float:
        """Mean over runs and over the last three epochs, which single jumps disturb less."""
        return statistics.fmean(statistics.fmean(run.upto(self.epochs)[-3:]) for run in self.runs)

    @property
    def averaged(self) -> int:
        """On how many epochs :attr:`last_three` rests: 3, unless the cell has not reached them."""
        return min(3, *(len(run.upto(self.epochs)) for run in self.runs))

    @property
    def mean(self) -> float:
        return statistics.fmean(self.last)

    @property
    def std(self) -> float | None:
        """Standard deviation over runs (n - 1); None for a single one."""
        return statistics.stdev(self.last) if len(self.runs) > 1 else None

    @property
    def difference(self) -> float:
        """Measured minus published, in percentage points."""
        return self.mean - self.experiment.test_error

    @property
    def full_protocol(self) -> bool:
        """As many runs as published, each over all epochs or stopped early as the protocol says."""
        protocol = self.experiment.protocol
        done = [run for run in self.runs if run.stopped_early or run.epochs >= protocol.epochs]
        return not self.shortened and len(done) == len(self.runs) >= protocol.runs

    @property
    def standard_error(self) -> float | None:
        """Of the difference, if the published runs spread as ours do: ``s sqrt(1 / n + 1 / published runs)``."""
        if self.std is None:
            return None
        return self.std * math.sqrt(1 / len(self.runs) + 1 / self.experiment.protocol.runs)

    @property
    def exceeds_spread(self) -> bool | None:
        """Whether the difference is more than chance would make of equal networks; None where one run cannot tell.

        The spread is known from our n runs alone, so the limit is Student's t with n - 1 degrees of freedom: 12.7
        standard errors for two runs, 2.8 for five.
        """
        error = self.standard_error
        if error is None:
            return None
        return abs(self.difference) > float(stdtrit(len(self.runs) - 1, 1 - SIGNIFICANCE / 2)) * error


def cells(
    folder: Reproduction, experiments: Iterable[PublishedExperiment], seeds: Collection[int] | None = None
) -> list[Cell]:
    """The cells of which the folder holds at least one trained epoch, in the order of the tables.

    Args:
        seeds: those that count; None for all.

    Raises:
        DataError: a run that another version of neurosim made than the folder's, one that is not what its place
            says, or runs on different data.
    """
    refuse_foreign(folder.folder, folder.settings.precision)
    found = []
    for experiment in experiments:
        paths = sorted((folder.folder / "runs" / experiment.name).glob("seed*.h5"), key=seed_of)
        chosen = [path for path in paths if seeds is None or seed_of(path) in seeds]
        runs = [_measured(path, experiment.protocol, folder.settings.neurosim) for path in chosen]
        if trained := tuple(run for run in runs if run.epochs):
            found.append(Cell(experiment, trained, shortened=bool(folder.settings.departures)))
    return found


def _measured(path: Path, protocol: Protocol, version: str) -> MeasuredRun:
    run = Run(path)
    rows, made = run.epochs, run.attributes.get("neurosim")
    if made != version:
        raise DataError(
            f"{path}: expected a run of neurosim {version} as the folder's record says, found one of {made}, and a "
            "table must not mix versions; move it to another folder"
        )
    return MeasuredRun(
        seed=int(run.attributes["seed"]),
        test_errors=tuple(round(100 * error, 6) for error in rows["test_error"].tolist()),
        stopped_early=stopped_early(run, protocol),
        mean_epoch_seconds=float((rows["step_seconds"] + rows["evaluation_seconds"]).mean()) if len(rows) else 0.0,
    )


def as_markdown(table: Sequence[Cell], settings: Settings | None = None) -> str:
    """The table and what stands out in it, as text.

    Args:
        settings: of the folder; where they depart from the published ones, the text says so.
    """
    head = ["experiment", "paper", "measured", "last 3 epochs", "difference", "runs", "epochs", "protocol"]
    rows = [
        [
            cell.experiment.name,
            f"{cell.experiment.test_error:.2f}",
            f"{cell.mean:.2f}" + (f" ± {cell.std:.2f}" if cell.std is not None else ""),
            f"{cell.last_three:.2f}" + ("" if cell.averaged == 3 else f" (of {cell.averaged})"),
            f"{cell.difference:+.2f}",
            str(len(cell.runs)),
            str(cell.epochs),
            "FULL" if cell.full_protocol else "short",
        ]
        for cell in table
    ]
    widths = [max(len(row[i]) for row in [head, *rows]) for i in range(len(head))]
    rule = ["-" * width for width in widths]
    lines = [
        "| " + " | ".join(text.ljust(w) for text, w in zip(row, widths, strict=True)) + " |"
        for row in [head, rule, *rows]
    ]
    departures = settings.departures if settings else ()
    said = [f"NOT AS PUBLISHED, so never FULL: all runs {', '.join(departures)}.", ""] if departures else []
    return "\n".join([*lines, "", *said, *_notes(table)]) + "\n"


def _notes(table: Sequence[Cell]) -> list[str]:
    def names(chosen: Callable[[Cell], bool], show: Callable[[Cell], str]) -> list[str]:
        return [f"- {cell.experiment.name}: {show(cell)}" for cell in table if chosen(cell)] or ["- none"]

    published = sorted({(c.experiment.protocol.epochs, c.experiment.protocol.runs) for c in table})
    protocols = " or ".join(f"{epochs} epochs in {runs} runs" for epochs, runs in published)
    return [
        "Test errors in percent: at the epoch given, the last that all runs of the cell reached, mean ± standard",
        "deviation over runs; and the mean of the last three epochs, or of fewer, (of 2), where there are no more.",
        "FULL: as many runs as published, each over all",
        f"epochs or stopped at a checkpoint without a training error ({protocols or 'none here'}); short: less.",
        "",
        f"Differences beyond run-to-run spread: Student's t at {SIGNIFICANCE:.0%}, n - 1 degrees of freedom (12.7",
        "standard errors for two runs, 2.8 for five); standard error s sqrt(1/n + 1/published runs), s our spread.",
        "A short cell differs from the published one in its epochs too.",
        *names(
            lambda cell: cell.exceeds_spread is True,
            lambda cell: f"{cell.difference:+.2f} percentage points, standard error {cell.standard_error:.2f}",
        ),
        "",
        "Within:",
        *names(
            lambda cell: cell.exceeds_spread is False,
            lambda cell: f"{cell.difference:+.2f}, standard error {cell.standard_error:.2f}",
        ),
        "",
        "A single run, whose spread is not known:",
        *names(lambda cell: cell.exceeds_spread is None, lambda cell: f"{cell.difference:+.2f}"),
    ]


def as_json(table: Sequence[Cell], settings: Settings) -> str:
    """The same for programs, every run's errors included."""
    entries = [
        {
            "experiment": cell.experiment.name,
            "paper_test_error_percent": cell.experiment.test_error,
            "source": cell.experiment.source,
            "mean_test_error_percent": cell.mean,
            "std_test_error_percent": cell.std,
            "mean_of_last_three_epochs_percent": cell.last_three,
            "last_epochs_averaged": cell.averaged,
            "difference": cell.difference,
            "standard_error": cell.standard_error,
            "exceeds_spread": cell.exceeds_spread,
            "epochs": cell.epochs,
            "full_protocol": cell.full_protocol,
            "runs": [attrs.asdict(run) | {"epochs": run.epochs} for run in cell.runs],
        }
        for cell in table
    ]
    return json.dumps({"settings": attrs.asdict(settings), "cells": entries}, indent=1) + "\n"


def write_report(folder: Reproduction) -> str:
    """Write ``table.md`` and ``table.json`` of what the folder holds, and return the former's text."""
    table = cells(folder, published_experiments().values())
    text = as_markdown(table, folder.settings)
    write_whole(folder.folder / "table.md", text)
    write_whole(folder.folder / "table.json", as_json(table, folder.settings))
    return text


def part_of_report(
    folder: Reproduction, experiments: Iterable[PublishedExperiment], seeds: Collection[int] | None
) -> str:
    """The table of some experiments and seeds, as text.

    Raises:
        DataError: the folder has trained none of them.
    """
    table = cells(folder, experiments, seeds)
    if not table:
        which = "" if seeds is None else f", seeds {', '.join(map(str, seeds))}"
        raise DataError(
            f"{folder.folder}: it holds no trained epoch of what is asked for{which}; widen the filters, or train "
            "these with --resume"
        )
    return as_markdown(table, folder.settings)
