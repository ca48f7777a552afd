"""What was recorded of a circuit besides errors, in a few lines for people and as plain data for programs."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from neurosim.runs.format import ALIGNMENT, ALIGNMENT_EXAMPLES

if TYPE_CHECKING:
    from neurosim.runs.run import Run

#: measure of alignment -> how a line of it begins, and how a value is written
_ALIGNED = {
    "degrees": ("degrees to the exact credit", ".1f"),
    "relative_std": ("r of the exact credit", ".3g"),
    "signs_per_example": ("signs agreeing per example", ".1%"),
    "signs_per_batch": ("signs agreeing per batch", ".1%"),
}


def aligned_measures(run: Run) -> list[str]:
    """The measures of alignment that were recorded while training."""
    names = {name.split("/")[1] for name in run.series_names if name.startswith(f"{ALIGNMENT}/")}
    return [measure for measure in _ALIGNED if measure in names]


def unaligned_epochs(run: Run) -> list[int]:
    """The checkpoints at which nothing was measured, because the recorder joined a resumed run or was left out."""
    measured = {int(epoch) for epoch in run.series(f"{ALIGNMENT}/epoch")}
    return [int(epoch) for epoch in run.checkpoints["epoch"] if int(epoch) not in measured]


def recorded_lines(run: Run) -> Iterator[str]:
    """The last alignment that was measured while training, and what recorders wrote."""
    lead = "alignment"
    for measure in aligned_measures(run):
        table = run.alignment(measure)
        if not len(table):
            continue
        title, form = _ALIGNED[measure]
        if measure == "signs_per_example" and (examples := aligned_on(run)):
            title += f" (the first {examples['sign_examples']})"
        last = table.iloc[-1].drop("epoch")
        values = ", ".join(f"{name} {value:{form}}" for name, value in last.items())
        missing = unaligned_epochs(run) if lead else []
        at = f" at epoch {int(table['epoch'].iloc[-1])}" if lead else ""
        at += f" (not measured at epoch {', '.join(map(str, missing))})" if missing else ""
        yield f"  {lead:10}  {title}{at}: {values}"
        lead = ""
    for number, recording in enumerate(run.recordings.values()):
        yield f"  {'' if number else 'recorded':10}  {recording}"


def recorded_as_plain(run: Run) -> dict[str, Any]:
    """What was recorded of the circuit: alignment as tables, of recorders what they wrote and how much, no values."""
    found: dict[str, Any] = {}
    measures = aligned_measures(run)
    if measures:
        tables = {measure: run.alignment(measure).to_dict(orient="records") for measure in measures}
        found["alignment"] = {measure: [_without_nan(row) for row in rows] for measure, rows in tables.items()}
        found["alignment_missing"] = unaligned_epochs(run)
        found["alignment_examples"] = aligned_on(run) or None
    if recordings := run.recordings:
        found["recorded"] = {
            name: {
                "target": one.target, "variables": list(one.variables), "every": one.every, "reduce": one.reduce,
                "indices": None if one.indices is None else [list(index) for index in one.indices], "rows": one.rows,
                "gaps": [list(gap) for gap in one.gaps],
            }
            for name, one in recordings.items()
        }  # fmt: skip
    return found


def aligned_on(run: Run) -> dict[str, int]:
    """``examples`` and ``sign_examples`` of the alignment; empty of files that were written before it was noted."""
    noted: dict[str, int] = json.loads(str(run.attributes.get(ALIGNMENT_EXAMPLES, "{}")))
    return noted


def _without_nan(row: dict[Any, Any]) -> dict[Any, Any]:
    return {key: None if isinstance(value, float) and math.isnan(value) else value for key, value in row.items()}
