"""Figures of recorded runs: what a run must hold for each, and how its parts are laid out."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from attrs import frozen

from neurosim.circuit import INPUT, Circuit
from neurosim.errors import DataError, SimulationError
from neurosim.run_file import Run
from neurosim.run_series import Series, collect, label

if TYPE_CHECKING:
    from pandas import DataFrame

#: how many units' receptive fields are shown: vector units (a row each), scalar units
_ROWS, _SCALAR_UNITS = 8, 80


@frozen
class Options:
    """Where the images are, for figures that need some.

    Attributes:
        data_dir: folder of datasets.
        dataset: name or file, where it is not the name in the run.
    """

    data_dir: Path | None = None
    dataset: str | None = None


def plot_alignment(runs: Sequence[Run], options: Options) -> Any:
    """Figures 2 and 6: angle between credit and gradient over checkpoints, mean and deviation over seeds."""
    from neurosim.figures.alignment import draw_alignment
    from neurosim.figures.style import panels

    chosen = [each for each in collect(runs) if not _is_exact(each.circuit)]
    if not chosen:
        raise DataError(
            f"{_listed(runs)}: learned by BP, whose angle to the gradient is 0; name runs that learned by another rule"
        )
    for run in (run for each in chosen for run in each.runs):
        if len(run.kept_epochs) < 2:
            raise _without_checkpoints(run)
    rows, columns = (
        list(dict.fromkeys(names)) for names in zip(*((each.label, each.title) for each in chosen), strict=True)
    )
    figure, drawn = panels(len(rows) * len(columns), len(columns), (3.1, 2.7))
    places = {(row, column): drawn.pop(0) for row in rows for column in columns}
    for each in chosen:
        ax = places.pop((each.label, each.title))
        names, epochs, degrees, std = _angles(each, options)
        theirs = each.published.angles if each.published is not None else ()
        published = ([a.epoch for a in theirs], [a.degrees for a in theirs], [a.std for a in theirs])
        draw_alignment(names, epochs, degrees, std, ax, published=published if theirs else None)
        ax.set_title(f"{each.title}\n{each.label}, {each.seeds}", fontsize=8)
    for spare in places.values():
        spare.remove()
    return figure


def plot_learning_curves(runs: Sequence[Run], options: Options) -> Any:
    """Figures 4 and 5: test and train error over epochs, mean and deviation over seeds, a panel an architecture."""
    from neurosim.figures.learning_curve import draw_learning_curves, legend_entries
    from neurosim.figures.style import panels

    for run in runs:
        if not len(run.epochs):
            raise DataError(f"{run.path}: holds no epoch yet; train it on with --resume")
    chosen = collect(runs)
    datasets = list(dict.fromkeys(str(run.attributes["dataset"]) for each in chosen for run in each.runs))
    if len(datasets) > 1:
        raise DataError(
            f"{_listed(runs)}: runs on {' and '.join(datasets)}, whose errors do not compare; a figure for each"
        )
    titles = dict.fromkeys(each.title for each in chosen)
    labels = dict.fromkeys(each.label for each in chosen)
    known = any(each.published for each in chosen)
    entries = legend_entries(labels, known)
    figure, drawn = panels(len(titles), 3, (3.1, 3.0), extra=0.2 * (1 + len(entries) // 3), sharey=True)
    for title, ax in zip(titles, drawn, strict=True):
        here = [each for each in chosen if each.title == title]
        marks = {each.label: each.published.test_error for each in here if each.published is not None}
        curves = {each.label: mean_over_seeds([run.epochs for run in each.runs]) for each in here}
        draw_learning_curves(curves, ax, published=marks, styled=labels, log=True, legend=False)
        seeds = sorted({len(each.runs) for each in here})
        span = f"{seeds[0]} to {seeds[-1]} seeds" if len(seeds) > 1 else here[0].seeds
        ax.set_title(f"{title}, {span}", fontsize=8)
        ax.label_outer()
    figure.legend(handles=entries, loc="outside lower center", ncols=min(3, 1 + len(titles)), frameon=False, fontsize=7)
    return figure


def plot_circuit(runs: Sequence[Run], options: Options) -> Any:
    """The circuit that a run trained: populations with their shapes, groups with rule and sign."""
    from neurosim.figures.circuit import draw_circuit

    return draw_circuit(Circuit.from_json(_only(runs, "circuit").circuit_json)).figure


def plot_weights(runs: Sequence[Run], options: Options) -> Any:
    """Histograms of every group's weights, initial and last."""
    from neurosim.figures.style import panels
    from neurosim.figures.weight_histogram import draw_weight_histogram

    run = _only(runs, "weights")
    if len(run.kept_epochs) < 2 or run.kept_epochs[0] != 0:
        raise _without_checkpoints(run)
    last = run.kept_epochs[-1]
    names = run.names("weights")
    figure, drawn = panels(len(names), 2 if len(names) == 4 else 3)
    for name, ax in zip(_in_order(run, names), drawn, strict=True):
        labels = ("before training", f"after epoch {last}")
        draw_weight_histogram(run.weights(name, 0), run.weights(name, last), ax, labels=labels)
        ax.set_title(name.replace("->", " \N{RIGHTWARDS ARROW} "), fontsize=9)
    return _titled(figure, run)


def plot_updates(runs: Sequence[Run], options: Options) -> Any:
    """Histograms of the updates that the first 128 training images would make to the last weights."""
    from neurosim.analysis.run_alignment import EXAMPLES, first_examples, put_back, simulator_of
    from neurosim.figures.style import panels
    from neurosim.figures.update_histogram import draw_update_histogram

    run = _only(runs, "updates")
    if not run.kept_epochs:
        raise _without_checkpoints(run)
    images, labels = first_examples(run, EXAMPLES, options.data_dir, options.dataset)
    simulator = simulator_of(run)
    put_back(simulator, run)
    updates = simulator.probe(images, labels).updates
    names = _in_order(run, [name for name in updates if name in simulator.circuit.groups])
    figure, drawn = panels(len(names), 2 if len(names) == 4 else 3)
    for name, ax in zip(names, drawn, strict=True):
        draw_update_histogram(updates[name].float().numpy(), ax)
        ax.set_title(name.replace("->", " \N{RIGHTWARDS ARROW} "), fontsize=9)
    return _titled(figure, run, f"after epoch {run.kept_epochs[-1]}, first {len(labels)} training images")


def plot_receptive_fields(runs: Sequence[Run], options: Options) -> Any:
    """The last weights of the first units of the first layer as images of the input; local ones at the centre."""
    from neurosim.figures.receptive_fields import draw_receptive_fields

    run = _only(runs, "receptive-fields")
    if not run.kept_epochs:
        raise _without_checkpoints(run)
    circuit = Circuit.from_json(run.circuit_json)
    inputs = circuit.inputs
    if len(inputs) != 3 or inputs[0] not in (1, 3):
        raise DataError(f"{run.path}: receptive fields need images of 1 or 3 channels as input, found shape {inputs}")
    group = next(group for group in circuit.out_of(INPUT) if group.connectivity.has_weights)
    weights = run.weights(group.name)
    units, place = weights.shape[1], "channels" if weights.shape[3:] != inputs[1:] else "units"
    if weights.ndim == 7:  # local: (K, channels, height, width, ...) has fields of its own at every position
        weights = weights[:, :, weights.shape[2] // 2, weights.shape[3] // 2]
        place = "channels at the central position"
    fields = weights.swapaxes(0, 1)[: _ROWS if len(weights) > 1 else _SCALAR_UNITS]
    ax = draw_receptive_fields(fields)
    shown = f"{len(fields)} of {units} {place}" if len(fields) < units else f"all {units} {place}"
    ax.set_title(f"{group.post}: {shown}, {label(circuit)}\nafter epoch {run.kept_epochs[-1]}", fontsize=8)
    return ax.figure


#: what `neurosim plot` knows
FIGURES: Mapping[str, Callable[[Sequence[Run], Options], Any]] = {
    "alignment": plot_alignment,
    "learning-curves": plot_learning_curves,
    "circuit": plot_circuit,
    "weights": plot_weights,
    "updates": plot_updates,
    "receptive-fields": plot_receptive_fields,
}


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


def _angles(
    series: Series, options: Options
) -> tuple[list[str], list[int], npt.NDArray[np.float64], npt.NDArray[np.float64] | None]:
    """Populations, epochs, and mean and deviation over seeds, at the checkpoints that all runs kept."""
    from neurosim.analysis.run_alignment import run_alignment

    measured: list[dict[int, dict[str, float]]] = []
    for run in series.runs:
        try:
            found = run_alignment(run, data_dir=options.data_dir, dataset=options.dataset)
        except SimulationError as error:
            raise DataError(f"{run.path}: its alignment cannot be measured: {error}") from error
        measured.append({each.epoch: each.degrees for each in found})
    epochs = sorted(set.intersection(*(set(each) for each in measured)))
    names = list(measured[0][epochs[0]])
    values = np.array([[[each[epoch][name] for name in names] for epoch in epochs] for each in measured])
    return names, epochs, values.mean(axis=0), values.std(axis=0, ddof=1) if len(values) > 1 else None


def _is_exact(circuit: Circuit) -> bool:
    """Whether everything that learns follows the gradient."""
    return {type(group.rule).__name__ for group in circuit.groups.values() if group.rule is not None} == {"BP"}


def _only(runs: Sequence[Run], figure: str) -> Run:
    if len(runs) != 1:
        raise DataError(f"{_listed(runs)}: '{figure}' is a figure of one run, found {len(runs)}; name one run file")
    return runs[0]


def _listed(runs: Sequence[Run]) -> str:
    names = [str(run.path) for run in runs]
    return ", ".join(names if len(names) < 4 else [*names[:2], f"... ({len(names)} runs)"])


def _without_checkpoints(run: Run) -> DataError:
    held = ", ".join(map(str, run.kept_epochs)) or "none"
    return DataError(
        f"{run.path}: expected the weights of checkpoints before and after learning, found those of epochs: {held}; "
        "record with RunRecorder(..., checkpoints='all'), as `neurosim train` does, or with `neurosim reproduce "
        "--checkpoints all`, and train at least one epoch"
    )


def _in_order(run: Run, names: Sequence[str]) -> list[str]:
    """Groups from input to output."""
    circuit = Circuit.from_json(run.circuit_json)
    order = [group.name for population in circuit.order for group in circuit.into(population)]
    return sorted(names, key=order.index)


def _titled(figure: Any, run: Run, more: str = "") -> Any:
    (series,) = collect([run])
    about = f"{series.title}, {series.label}, seed {run.attributes['seed']}"
    figure.suptitle(f"{about}\n{more}" if more else about, fontsize=9)
    return figure
