"""What a run file holds, in a few lines for people and as plain data for programs."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

from neurosim.run_file import Run
from neurosim.run_format import ALIGNMENT

#: measure of alignment -> how a line of it begins, and how a value is written
_ALIGNED = {
    "degrees": ("degrees to the exact credit", ".1f"),
    "relative_std": ("r of the exact credit", ".3g"),
    "signs_per_example": ("signs agreeing per example", ".1%"),
    "signs_per_batch": ("signs agreeing per batch", ".1%"),
}


def summary(run: Run) -> Iterator[str]:
    """The lines of ``Run.summary``."""
    about, config, epochs, checkpoints = run.attributes, run.config, run.epochs, run.checkpoints
    reason = f" ({run.reason})" if run.reason else ""
    yield f"{run.path}: {run.status}{reason}"
    yield f"  epoch       {run.epoch} of {config['epochs']}, batch size {config['batch_size']}"
    sizes = f"{about['dataset_train_size']} train + {about['dataset_test_size']} test images"
    yield f"  dataset     {about['dataset']}, {sizes}"
    yield f"  simulator   {about['precision']}, {_vectorization(run)}, {about['device']}, seed {about['seed']}"
    if len(epochs):
        last, best = epochs.iloc[-1], epochs.iloc[int(epochs["test_error"].argmin())]
        yield f"  last epoch  train error {last['train_error']:.2%}, test error {last['test_error']:.2%}"
        yield f"  best        test error {best['test_error']:.2%} at epoch {int(best['epoch'])}"
        yield f"  time        {(epochs['step_seconds'] + epochs['evaluation_seconds']).mean():.3g} s per epoch"
    if len(checkpoints):
        last = checkpoints.iloc[-1]
        errors = f"train error {last['train_error']:.2%}, test error {last['test_error']:.2%}"
        yield f"  checkpoint  epoch {int(last['epoch'])}: {errors} (full passes)"
    if len(run.spread):
        now = ", ".join(f"{group} {value:.3g}" for group, value in run.spread.iloc[-1].items())
        yield f"  spread      {now} (of untied weights, at the last checkpoint)"
    yield from _alignment(run)
    for number, recording in enumerate(run.recordings.values()):
        yield f"  {'' if number else 'recorded':10}  {recording}"
    yield f"  weights     of epochs {', '.join(map(str, run.kept_epochs)) or 'none'}"
    yield f"  written     {about['created']}, neurosim {about['neurosim']}, torch {about['torch']}"


def _vectorization(run: Run) -> str:
    """With the order of time bins, where the settings noted it."""
    ran, noted = str(run.attributes["vectorization"]), str(run.config["notes"].get("vectorization", ""))
    return noted if noted.startswith(f"{ran}:") else ran


def aligned_measures(run: Run) -> list[str]:
    """The measures of alignment that were recorded while training."""
    names = {name.split("/")[1] for name in run.series_names if name.startswith(f"{ALIGNMENT}/")}
    return [measure for measure in _ALIGNED if measure in names]


def _alignment(run: Run) -> Iterator[str]:
    lead = "alignment"
    for measure in aligned_measures(run):
        table = run.alignment(measure)
        if not len(table):
            continue
        title, form = _ALIGNED[measure]
        last = table.iloc[-1].drop("epoch")
        values = ", ".join(f"{name} {value:{form}}" for name, value in last.items())
        at = f" at epoch {int(table['epoch'].iloc[-1])}" if lead else ""
        yield f"  {lead:10}  {title}{at}: {values}"
        lead = ""


def recorded_as_plain(run: Run) -> dict[str, Any]:
    """What was recorded of the circuit: alignment as tables, of recorders what they wrote and how much, no values."""
    found: dict[str, Any] = {}
    measures = aligned_measures(run)
    if measures:
        tables = {measure: run.alignment(measure).to_dict(orient="records") for measure in measures}
        found["alignment"] = {measure: [_without_nan(row) for row in rows] for measure, rows in tables.items()}
    if recordings := run.recordings:
        found["recorded"] = {
            name: {
                "target": one.target, "variables": list(one.variables), "every": one.every, "reduce": one.reduce,
                "indices": None if one.indices is None else [list(index) for index in one.indices], "rows": one.rows,
            }
            for name, one in recordings.items()
        }  # fmt: skip
    return found


def _without_nan(row: dict[Any, Any]) -> dict[Any, Any]:
    return {key: None if isinstance(value, float) and math.isnan(value) else value for key, value in row.items()}
