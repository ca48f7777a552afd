"""Figures of several runs: learning curves and alignment angles, of any runs or laid out as in the paper."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from attrs import evolve, frozen

from neurosim.circuit import Circuit
from neurosim.errors import DataError, SimulationError
from neurosim.plotting.series_numbers import Angles, Curves, in_words
from neurosim.runs.recorded_summary import aligned_measures, aligned_on
from neurosim.runs.run import Run
from neurosim.runs.series import UNITS, Series, collect

if TYPE_CHECKING:
    from pandas import DataFrame

    from neurosim.analysis.run_alignment import CheckpointAlignment

#: so many curves in one panel can be told apart; more are split by kind of units
_CROWDED = 4


@frozen
class Options:
    """Where the images are, for figures that need some.

    Attributes:
        data_dir: folder of datasets.
        dataset: name or file, where it is not the name in the run.
    """

    data_dir: Path | None = None
    dataset: str | None = None


def measure_angles(runs: Sequence[Run], options: Options) -> list[Angles]:
    """The angles of every series at the checkpoints that all its seeds kept; runs of BP are left out.

    Those that a run recorded while it trained are taken as they are; others are measured.

    Raises:
        DataError: only runs of BP, one without checkpoints, or one whose angles cannot be measured.
    """
    chosen = [each for each in collect(runs) if not _is_exact(each.circuit)]
    if not chosen:
        raise DataError(
            f"{listed(runs)}: learned by BP, whose angle to the gradient is 0; name runs that learned by another rule"
        )
    for run in (run for each in chosen for run in each.runs):
        if len(run.kept_epochs) < 2 and not _recorded(run):
            raise without_checkpoints(run)
    return [_angles(each, options) for each in chosen]


def measure_curves(runs: Sequence[Run], options: Options) -> list[Curves]:
    """The learning curves of every series.

    Raises:
        DataError: a run without an epoch.
    """
    for run in runs:
        if not len(run.epochs):
            raise DataError(f"{run.path}: holds no epoch yet; train it on with --resume")
    found = []
    for each in collect(runs):
        tables = [run.epochs for run in each.runs]
        epochs = tuple(table["epoch"].to_numpy(dtype=np.float64) for table in tables)
        errors = (
            tuple(100 * table[name].to_numpy(dtype=np.float64) for table in tables)
            for name in ("test_error", "train_error")
        )
        seeds = tuple(int(run.attributes["seed"]) for run in each.runs)
        found.append(Curves(each.title, each.label, each.published, seeds, epochs, *errors))
    return found


def lay_out_angles(chosen: Sequence[Angles]) -> Any:
    """A row a rule, a column an architecture."""
    from neurosim.figures.style import panels

    rows, columns = (
        list(dict.fromkeys(names)) for names in zip(*((each.label, each.title) for each in chosen), strict=True)
    )
    across = len(columns) if len(columns) > 1 else 3
    lines = max(_heading(each).count("\n") for each in chosen)
    figure, drawn = panels(len(rows) * len(columns), across, (3.1, 2.4 + 0.13 * lines))
    places = {(row, column): drawn.pop(0) for row in rows for column in columns}
    for each in chosen:
        draw_angles(each, places.pop((each.label, each.title)))
    for spare in places.values():
        spare.remove()
    if note := note_on_plus(rows):
        figure.supxlabel(note, fontsize=8)
    return figure


def _heading(each: Angles) -> str:
    from neurosim.figures.style import wrapped

    return f"{wrapped(each.title)}\n{wrapped(f'{each.label}, {in_words(each.seeds)}')}"


def note_on_plus(labels: Iterable[str]) -> str | None:
    """What the ``+`` after a rule means, where some label has it.

    Example:
        >>> note_on_plus(["GEVB+, vectorized", "BP, vectorized"])
        '+: nonnegative weights past the first layer'
    """
    return "+: nonnegative weights past the first layer" if any("+" in label for label in labels) else None


def draw_angles(each: Angles, ax: Any) -> None:
    """One panel: mean and deviation over seeds, the published ones behind."""
    from neurosim.figures.alignment import draw_alignment

    theirs = each.published.angles if each.published is not None else ()
    published = ([a.epoch for a in theirs], [a.degrees for a in theirs], [a.std for a in theirs])
    std = each.degrees.std(axis=0, ddof=1) if len(each.seeds) > 1 else None
    mean = each.degrees.mean(axis=0) if each.seeds else each.degrees.reshape(0, len(each.populations))
    draw_alignment(each.populations, list(each.epochs), mean, std, ax, published=published if theirs else None)
    ax.set_title(_heading(each), fontsize=8)


def lay_out_curves(chosen: Sequence[Curves]) -> Any:
    """A panel an architecture, or one for each kind of units where it would be crowded."""
    from neurosim.figures.learning_curve import legend_entries
    from neurosim.figures.style import legend_below, panels, wrapped

    datasets = list(dict.fromkeys(each.title.partition(",")[0] for each in chosen))
    if len(datasets) > 1:
        raise DataError(f"runs on {' and '.join(datasets)}, whose errors do not compare; a figure for each")
    kept = _split_by_units(chosen)
    titles, labels = dict.fromkeys(title for title, _ in kept), dict.fromkeys(each.label for _, each in kept)
    entries = legend_entries(labels, any(each.published for each in chosen))
    columns = min(3, len({each.title for each in chosen}))
    figure, drawn = panels(len(titles), columns, (3.1, 3.0), sharey=True)
    for title, ax in zip(titles, drawn, strict=True):
        here = [each for at, each in kept if at == title]
        draw_curves(here, ax, labels)
        seeds = sorted({len(each.seeds) for each in here})
        span = f"{seeds[0]} to {seeds[-1]} seeds" if len(seeds) > 1 else in_words(here[0].seeds)
        ax.set_title(wrapped(f"{title}, {span}"), fontsize=8)
        ax.label_outer()
    legend_below(figure, entries, min(3, 1 + columns), 7, note_on_plus(labels))
    return figure


def draw_curves(here: Sequence[Curves], ax: Any, labels: Mapping[str, None], log: bool = True) -> None:
    """One panel; ``labels`` are those of the whole figure."""
    from neurosim.figures.learning_curve import draw_learning_curves

    marks = {each.label: each.published.test_error for each in here if each.published is not None}
    curves = {each.label: mean_over_seeds(tables_of(each)) for each in here if each.seeds}
    draw_learning_curves(curves, ax, published=marks, styled=labels, log=log, legend=False)


def tables_of(each: Curves) -> list[DataFrame]:
    """A table a seed, in fractions, as ``Run(path).epochs`` has them."""
    import pandas

    columns = zip(each.epochs, each.test_error, each.train_error, strict=True)
    return [pandas.DataFrame({"epoch": at, "test_error": t / 100, "train_error": r / 100}) for at, t, r in columns]


def mean_over_seeds(tables: Sequence[DataFrame]) -> DataFrame:
    """Mean and standard deviation (n - 1) of the errors, over the epochs that all tables have.

    Example:
        >>> import pandas
        >>> one = pandas.DataFrame({"epoch": [1, 2], "test_error": [0.25, 0.1], "train_error": [0.5, 0.2]})
        >>> two = pandas.DataFrame({"epoch": [1], "test_error": [0.75], "train_error": [0.5]})
        >>> mean_over_seeds([one, two])[["epoch", "test_error"]].values.tolist()
        [[1.0, 0.5]]
    """
    import pandas

    errors = ["test_error", "train_error"]
    common = min(len(table) for table in tables)
    values = np.stack([table[errors].to_numpy()[:common] for table in tables])
    made = pandas.DataFrame(values.mean(axis=0), columns=errors)
    made.insert(0, "epoch", tables[0]["epoch"].to_numpy()[:common])
    if len(tables) > 1:
        made[[f"{name}_std" for name in errors]] = values.std(axis=0, ddof=1)
    return made


def listed(runs: Sequence[Run]) -> str:
    """Their paths, the first ones of many."""
    names = [str(run.path) for run in runs]
    return ", ".join(names if len(names) < 4 else [*names[:2], f"... ({len(names)} runs)"])


def without_checkpoints(run: Run) -> DataError:
    """What to say of a run whose weights were not kept."""
    held = ", ".join(map(str, run.kept_epochs)) or "none"
    of_compare = "setting" in run.config["notes"]
    return DataError(
        f"{run.path}: expected the weights of checkpoints before and after learning, found those of epochs: {held}; "
        + ("`neurosim compare` keeps no more, so train this setting by itself: " if of_compare else "")
        + "record with RunRecorder(..., checkpoints='all'), as `neurosim train` does, or with `neurosim reproduce "
        "--checkpoints all`, and train at least one epoch"
    )


def _split_by_units(chosen: Sequence[Curves]) -> list[tuple[str, Curves]]:
    """Titles of panels, and what is drawn there."""
    count = max(sum(other.title == each.title for other in chosen) for each in chosen)
    kinds = list(dict.fromkeys(_units(each) for each in chosen))
    if count <= _CROWDED or len(kinds) < 2:
        return [(each.title, each) for each in chosen]
    split = [(kind, each) for kind in kinds for each in chosen if _units(each) == kind]
    return [
        (f"{each.title}, {kind}", evolve(each, label=each.label.replace(f", {kind}", "", 1)))
        if kind
        else (each.title, each)
        for kind, each in split
    ]


def _units(each: Curves) -> str | None:
    """Vectorized or conventional, whatever the label says beside; a file of numbers has no circuit to ask."""
    return next((part for part in each.label.split(", ") if part in UNITS), None)


def _angles(series: Series, options: Options) -> Angles:
    """Recorded where all seeds recorded angles of as many images, or of as many as are measured of the others."""
    from neurosim.analysis.run_alignment import examples_of

    recorded = [_recorded(run) if options.dataset is None else {} for run in series.runs]
    examples = [aligned_on(run).get("examples") for run in series.runs]
    alike = all(recorded) and len(set(examples)) == 1
    measured = [
        angles if angles and (alike or number == examples_of(run)) else _measured(run, options)
        for run, angles, number in zip(series.runs, recorded, examples, strict=True)
    ]
    epochs = sorted(set.intersection(*(set(each) for each in measured)))
    if not epochs:
        held = [f"{run.path} {', '.join(map(str, each))}" for run, each in zip(series.runs, measured, strict=True)]
        raise DataError(f"seeds of one circuit have no checkpoint in common, found those of epochs: {'; '.join(held)}")
    names = tuple(name for name, degrees in measured[0][epochs[0]].items() if not np.isnan(degrees))
    if not names:
        raise DataError(
            f"{series.runs[0].path}: its alignment cannot be measured: no hidden population gets its credit by one rule"
        )
    values: npt.NDArray[np.float64] = np.array(
        [[[each[epoch][name] for name in names] for epoch in epochs] for each in measured]
    )
    seeds = tuple(int(run.attributes["seed"]) for run in series.runs)
    return Angles(series.title, series.label, series.published, seeds, names, tuple(epochs), values)


def _recorded(run: Run) -> dict[int, dict[str, float]]:
    """The angles that were measured while it trained; none where these are fewer than can be measured now, or than 2.

    What is recorded needs no images, and is of the noise that the run drew.
    """
    if "degrees" not in aligned_measures(run):
        return {}
    rows = run.alignment().to_dict("records")
    angles = {int(row.pop("epoch")): {str(name): float(value) for name, value in row.items()} for row in rows}
    return angles if len(angles) > 1 and set(run.kept_epochs) <= set(angles) else {}


def _measured(run: Run, options: Options) -> dict[int, dict[str, float]]:
    return {each.epoch: each.degrees for each in measured_alignment(run, options)}


def measured_alignment(run: Run, options: Options, measures: Collection[str] = ("angle",)) -> list[CheckpointAlignment]:
    """Measures at the checkpoints whose weights were kept.

    Raises:
        DataError: they cannot be measured.
    """
    from neurosim.analysis.run_alignment import run_alignment

    try:
        return run_alignment(run, data_dir=options.data_dir, dataset=options.dataset, measures=measures)
    except SimulationError as error:
        raise DataError(f"{run.path}: its alignment cannot be measured: {error}") from error


def _is_exact(circuit: Circuit) -> bool:
    """Whether everything that learns follows the gradient."""
    return {type(group.rule).__name__ for group in circuit.groups.values() if group.rule is not None} == {"BP"}
