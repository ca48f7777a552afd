"""Figures of recorded runs: what a run must hold for each, and how its parts are laid out."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from neurosim.circuit import INPUT, Circuit
from neurosim.errors import DataError, SimulationError
from neurosim.plotting.paper import PAPER_FIGURES, lay_out_paper_figure, runs_of
from neurosim.plotting.series import (
    Options,
    lay_out_angles,
    lay_out_curves,
    listed,
    mean_over_seeds,
    measure_angles,
    measure_curves,
    measured_alignment,
    without_checkpoints,
)
from neurosim.plotting.series_numbers import ANGLES, CURVES
from neurosim.runs.recorded_summary import aligned_measures
from neurosim.runs.run import Run
from neurosim.runs.series import collect, label

if TYPE_CHECKING:
    from pandas import DataFrame

    from neurosim.analysis.credit_distribution import CreditSample

__all__ = ["FIGURES", "SERIES", "Options", "lay_out", "mean_over_seeds", "measure"]

#: how many units' receptive fields are shown: vector units (a row each), scalar units
_ROWS, _SCALAR_UNITS = 8, 80


def measure(figure: str, runs: Sequence[Run], options: Options) -> list[Any]:
    """The numbers behind a figure of several runs (one of ``SERIES``): :class:`Curves` or :class:`Angles`."""
    chosen = runs_of(PAPER_FIGURES[figure], runs) if figure in PAPER_FIGURES else runs
    return [*(measure_curves if SERIES[figure] == CURVES else measure_angles)(chosen, options)]


def lay_out(figure: str, series: Sequence[Any]) -> Any:
    """Draw such numbers, whether measured or read from a file."""
    if figure in PAPER_FIGURES:
        return lay_out_paper_figure(PAPER_FIGURES[figure], series)
    return (lay_out_curves if SERIES[figure] == CURVES else lay_out_angles)(series)


def _of_series(figure: str) -> Callable[[Sequence[Run], Options], Any]:
    return lambda runs, options: lay_out(figure, measure(figure, runs, options))


def plot_circuit(runs: Sequence[Run], options: Options) -> Any:
    """The circuit that a run trained: populations with their shapes, groups with rule and sign."""
    from neurosim.figures.circuit import draw_circuit

    return draw_circuit(Circuit.from_json(_only(runs, "circuit").circuit_json)).figure


def plot_weights(runs: Sequence[Run], options: Options) -> Any:
    """Histograms of every group's weights, initial and last."""
    from neurosim.figures.style import arrow, panels
    from neurosim.figures.weight_histogram import draw_weight_histogram

    run = _only(runs, "weights")
    if len(run.kept_epochs) < 2 or run.kept_epochs[0] != 0:
        raise without_checkpoints(run)
    last = run.kept_epochs[-1]
    names = run.names("weights")
    figure, drawn = panels(len(names), 2 if len(names) == 4 else 3)
    for name, ax in zip(_in_order(run, names), drawn, strict=True):
        labels = ("before training", f"after epoch {last}")
        draw_weight_histogram(run.weights(name, 0), run.weights(name, last), ax, labels=labels)
        ax.set_title(arrow(name), fontsize=9)
    return _titled(figure, run)


def plot_updates(runs: Sequence[Run], options: Options) -> Any:
    """Histograms of the updates that the first 128 training images would make to the last weights."""
    from neurosim.analysis.run_alignment import first_examples
    from neurosim.figures.style import arrow, panels
    from neurosim.figures.update_histogram import draw_update_histogram
    from neurosim.runs.rebuilt import put_back, simulator_of

    run = _only(runs, "updates")
    if not run.kept_epochs:
        raise without_checkpoints(run)
    images, labels = first_examples(run, None, options.data_dir, options.dataset)
    simulator = simulator_of(run)
    put_back(simulator, run)
    updates = simulator.probe(images, labels).updates
    names = _in_order(run, [name for name in updates if name in simulator.circuit.groups])
    figure, drawn = panels(len(names), 2 if len(names) == 4 else 3)
    for name, ax in zip(names, drawn, strict=True):
        draw_update_histogram(updates[name].float().numpy(), ax)
        ax.set_title(arrow(name), fontsize=9)
    return _titled(figure, run, f"after epoch {run.kept_epochs[-1]}, first {len(labels)} training images")


def plot_quality(runs: Sequence[Run], options: Options) -> Any:
    """A rule beside the gradient at every checkpoint: angle, relative standard deviation of credit, agreement of signs.

    What `neurosim train --alignment` recorded is taken as it is, if it covers the weights that were kept.
    """
    from neurosim.figures.alignment import draw_alignment
    from neurosim.figures.quality import draw_relative_std, draw_sign_agreement
    from neurosim.figures.style import panels

    run = _only(runs, "quality")
    names, _ = _by_one_rule(run, Circuit.from_json(run.circuit_json))
    tables = _quality(run, options)
    epochs = tables["degrees"].index.to_numpy()
    figure, drawn = panels(3, 3, (3.3, 2.6), extra=0.3)
    draw_alignment(names, epochs, tables["degrees"][names].to_numpy(), ax=drawn[0])
    draw_relative_std(epochs, _columns(tables["relative_std"]), drawn[1])
    draw_sign_agreement(epochs, _columns(tables["signs_per_example"]), _columns(tables["signs_per_batch"]), drawn[2])
    drawn[2].set_title("solid: single examples, dashed: the batch", fontsize=8)
    return _titled(figure, run)


def _columns(table: DataFrame) -> dict[str, npt.NDArray[np.float64]]:
    return {str(name): values.to_numpy(dtype=np.float64) for name, values in table.items()}


def _quality(run: Run, options: Options) -> dict[str, DataFrame]:
    """Every measure by name, with a row a checkpoint."""
    from pandas import DataFrame

    from neurosim.analysis.credit_quality import MEASURES, TABLES

    if set(aligned_measures(run)) == set(TABLES) and options.dataset is None:
        found = {name: run.alignment(name).set_index("epoch") for name in TABLES}
        if set(run.kept_epochs) <= set(found["degrees"].index):
            return found
    measured = measured_alignment(run, options, MEASURES)
    epochs = [each.epoch for each in measured]
    return {name: DataFrame([getattr(each, name) for each in measured], index=epochs) for name in TABLES}


def plot_credits(runs: Sequence[Run], options: Options) -> Any:
    """Histograms of each hidden population's credit on the first 128 training images beside BP's, first and last."""
    from neurosim.figures.style import panels

    run = _only(runs, "credits")
    if len(run.kept_epochs) < 2 or run.kept_epochs[0] != 0:
        raise without_checkpoints(run)
    circuit, ends = Circuit.from_json(run.circuit_json), (0, run.kept_epochs[-1])
    names, others = _by_one_rule(run, circuit)
    found, examples = _credits(run, options, ends, names)
    figure, drawn = panels(2 * len(names), 2, (3.8, 2.3), extra=0.45 if others else 0.3, sharex="row")
    rows = [(name, epoch, sample[name]) for name in names for epoch, sample in zip(ends, found, strict=True)]
    for (name, epoch, sample), ax in zip(rows, drawn, strict=True):
        when = f"after epoch {epoch}" if epoch else "before training"
        _draw_credit(circuit, name, when, sample, ax)
        if epoch:
            ax.set_ylabel("")
        if name != rows[-1][0]:
            ax.set_xlabel("")
    left_out = f"\nnot drawn, because no rule or several learn into it: {', '.join(others)}" if others else ""
    return _titled(figure, run, f"credit on the first {examples} training images{left_out}")


def _by_one_rule(run: Run, circuit: Circuit) -> tuple[list[str], list[str]]:
    """Hidden populations whose credit is that of one rule, and the others, which have no credit of their own."""
    from neurosim.analysis.credit_quality import hidden_populations

    rules = {name: {group.rule for group in circuit.into(name)} - {None} for name in hidden_populations(circuit)}
    names = [name for name in circuit.order if len(rules.get(name, ())) == 1]
    if not names:
        raise DataError(
            f"{run.path}: its credit cannot be measured: no hidden population gets its credit by one rule; draw a run "
            "in which one does"
        )
    return names, [name for name in rules if name not in names]


def _credits(
    run: Run, options: Options, epochs: Sequence[int], names: Sequence[str]
) -> tuple[list[dict[str, CreditSample]], int]:
    """At each of some epochs, and of how many training images."""
    from neurosim.analysis.credit_distribution import credit_distribution
    from neurosim.analysis.run_alignment import first_examples
    from neurosim.runs.rebuilt import put_back, simulator_of

    images, labels = first_examples(run, None, options.data_dir, options.dataset)
    simulator, found = simulator_of(run), []
    for epoch in epochs:
        put_back(simulator, run, epoch)
        try:
            found.append(credit_distribution(simulator, images, labels, names))
        except SimulationError as error:
            raise DataError(f"{run.path}: its credit cannot be measured: {error}") from error
    return found, len(labels)


def _draw_credit(circuit: Circuit, name: str, when: str, sample: CreditSample, ax: Any) -> None:
    from neurosim.figures.credit_histogram import draw_credit_histogram

    rule = next(type(group.rule).__name__ for group in circuit.into(name) if group.rule is not None)
    draw_credit_histogram(sample.credit, sample.exact, ax, rule=rule)
    words = [f"{sample.degrees:.1f}° apart", f"same sign {sample.same_sign:.1%}"]
    words += [f"exact one 0: {sample.exact_zero:.1%}"] if sample.exact_zero else []
    ax.set_title(f"{name}, {when}\n{', '.join(words)}", fontsize=8)


def plot_receptive_fields(runs: Sequence[Run], options: Options) -> Any:
    """The last weights of the first units of the first layer as images of the input; local ones at the centre."""
    from neurosim.figures.receptive_fields import draw_receptive_fields

    run = _only(runs, "receptive-fields")
    if not run.kept_epochs:
        raise without_checkpoints(run)
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
    ax = draw_receptive_fields(fields, each=place.split()[0].removesuffix("s"))
    shown = f"{len(fields)} of {units} {place}" if len(fields) < units else f"all {units} {place}"
    ax.set_title(f"{group.post}: {shown}, {label(circuit)}\nafter epoch {run.kept_epochs[-1]}", fontsize=8)
    return ax.figure


#: figures of several runs, and what numbers they show
SERIES: Mapping[str, str] = {
    **{name: figure.kind for name, figure in PAPER_FIGURES.items()},
    "alignment": ANGLES,
    "learning-curves": CURVES,
}
#: what `neurosim plot` draws from run files
FIGURES: Mapping[str, Callable[[Sequence[Run], Options], Any]] = {
    **{name: _of_series(name) for name in SERIES},
    "quality": plot_quality,
    "credits": plot_credits,
    "weights": plot_weights,
    "updates": plot_updates,
    "receptive-fields": plot_receptive_fields,
    "circuit": plot_circuit,
}
plot_alignment, plot_learning_curves = FIGURES["alignment"], FIGURES["learning-curves"]


def _only(runs: Sequence[Run], figure: str) -> Run:
    if len(runs) != 1:
        raise DataError(f"{listed(runs)}: '{figure}' is a figure of one run, found {len(runs)}; name one run file")
    return runs[0]


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
