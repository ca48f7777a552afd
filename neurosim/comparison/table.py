"""The table of a comparison, for people and for programs."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from typing import Any

import attrs
from attrs import field, frozen

from neurosim.analysis.code_errors import CodeErrors
from neurosim.step_costs import StepCost


@frozen
class Row:
    """What one setting came to.

    Attributes:
        name: of the setting.
        components: K.
        presentations: how often a step of learning presents its batch.
        seeds: those whose run came to its end.
        curves: test error in percent by epoch, one curve a seed.
        cost: of a step.
        differences: the largest absolute difference of a weight or bias to the reference's after training, by seed.
        differs_at: the group, or population of the bias, of the largest of all.
        incomparable: why there are none, such as ``"K = 4"``.
        code_errors: of the last weights on the test set, by seed.
        bits: whether each component of the output is a bit of a code, whose errors are told one by one.
        spreads: how far the K weights of each untied group are from their average, by group: of every seed, before
            training and after each epoch; None where it was not recorded. See :func:`~neurosim.relaxation.spread`.
        remainders: what a phase of relaxation by noise is expected to leave of that, by group.
        failures: runs that did not come to their end, and why.
    """

    name: str
    components: int
    presentations: int
    seeds: tuple[int, ...]
    curves: tuple[tuple[float, ...], ...]
    cost: StepCost
    differences: tuple[float, ...] = ()
    differs_at: str = ""
    incomparable: str = ""
    code_errors: tuple[CodeErrors, ...] = ()
    bits: bool = False
    spreads: Mapping[str, tuple[tuple[float | None, ...], ...]] = field(factory=dict)
    remainders: Mapping[str, float] = field(factory=dict)
    failures: tuple[str, ...] = ()

    @property
    def test_errors(self) -> tuple[float, ...]:
        """After the last epoch, in percent, by seed."""
        return tuple(curve[-1] for curve in self.curves)

    @property
    def mean(self) -> float | None:
        return statistics.fmean(self.test_errors) if self.test_errors else None

    @property
    def std(self) -> float | None:
        """Standard deviation over seeds (n - 1); None for a single one."""
        return statistics.stdev(self.test_errors) if len(self.test_errors) > 1 else None

    @property
    def difference(self) -> float | None:
        """The largest over all seeds; None where weights cannot be compared."""
        return max(self.differences, default=None)

    def mean_spread(self, group: str) -> tuple[float | None, ...]:
        """Of an untied group, mean over seeds, before training and after each epoch."""
        curves = zip(*self.spreads[group], strict=False)
        return tuple(None if None in values else statistics.fmean(values) for values in curves)


_HEAD = (
    "setting",
    "K",
    "test error (%)",
    "ms / step",
    "cpu ms / step",
    "MiB / step",
    "presentations",
    "largest weight difference",
)


def as_markdown(rows: Sequence[Row], about: str) -> str:
    """The table, what its columns mean, and what failed.

    Args:
        rows: the first is the reference.
        about: what was trained, a line or more below the table.
    """
    lines = _table(_HEAD, [_cells(row, reference=row is rows[0]) for row in rows])
    coded = [f"- {row.name}: {_bit_errors(row)}" for row in rows if row.bits and row.code_errors]
    by_bit = ["", "Errors (%) of every bit by itself, before a class is decoded:", *coded] if coded else []
    failures = [f"- FAILED {row.name}: {failure}" for row in rows for failure in row.failures]
    spread = [*_spread_lines(rows), *_remainder_lines(rows)]
    parts = [*lines, "", about, "", *_NOTES, *spread, *by_bit, *(["", *failures] if failures else [])]
    return "\n".join(parts) + "\n"


def _table(head: Sequence[str], body: Sequence[Sequence[str]]) -> list[str]:
    widths = [max(map(len, column)) for column in zip(head, *body, strict=True)]
    return [
        "| " + " | ".join(text.ljust(width) for text, width in zip(cells, widths, strict=True)) + " |"
        for cells in [head, tuple("-" * width for width in widths), *body]
    ]


def _spread_lines(rows: Sequence[Row]) -> list[str]:
    """The spread of untied weights over training, at up to ``_SHOWN`` epochs; nothing where no group is untied."""
    curves = {(row.name, group): row.mean_spread(group) for row in rows for group in row.spreads}
    if not curves:
        return []
    last = max(map(len, curves.values())) - 1
    known = [
        epoch for epoch in range(last + 1) if any(values[epoch : epoch + 1] != (None,) for values in curves.values())
    ]
    epochs = sorted({known[round((len(known) - 1) * part / (_SHOWN - 1))] for part in range(_SHOWN)})
    body = [
        (setting, group, *(_spread_text(curve[epoch] if epoch < len(curve) else None) for epoch in epochs))
        for (setting, group), curve in curves.items()
    ]
    head = ("setting", "untied group", *(f"epoch {epoch}" if epoch == 0 else str(epoch) for epoch in epochs))
    return ["", *_SPREAD_NOTES, "", *_table(head, body)]


def _spread_text(value: float | None) -> str:
    return "-" if value is None else f"{value:.3g}"


def _remainder_lines(rows: Sequence[Row]) -> list[str]:
    """By group, for every setting that relaxes by noise."""
    by_noise = [row for row in rows if row.remainders]
    listed = [
        f"- {row.name}: " + ", ".join(f"{100 * left:.1f} % ({group})" for group, left in row.remainders.items())
        for row in by_noise
    ]
    return ["", *_REMAINDER_NOTES, "", *listed] if listed else []


#: columns of the table of spreads
_SHOWN = 9
_SPREAD_NOTES = (
    "Spread of the K weights of untied groups over training: the rms deviation from their average over the average's",
    "rms, mean over seeds; epoch 0 is before training.",
)
_REMAINDER_NOTES = (
    "A phase of relaxation by noise is expected to leave, of the spread before it (in convolutions at most; more",
    "presentations leave less):",
)
_NOTES = (
    "Test error after the last epoch, mean ± standard deviation over seeds. Time of a step of learning: by the clock,",
    "and of all threads together; median of rounds in which the settings take turns. MiB: the most that a step",
    "allocates beyond what exists before it. Where weights are relaxed every N steps, the step in which that is due is",
    "measured by itself: 1 / N of the time that it adds is in a step's, and its memory in MiB. Weight difference: the",
    "largest of any weight or bias to the first row's, after training from the same seed on the same data order, over",
    "all seeds.",
)


def _cells(row: Row, reference: bool) -> tuple[str, ...]:
    error = "failed" if row.mean is None else f"{row.mean:.2f}" + (f" ± {row.std:.2f}" if row.std is not None else "")
    peak = row.cost.peak_bytes
    return (
        row.name,
        str(row.components),
        error,
        f"{1e3 * row.cost.wall_seconds:.2f}",
        f"{1e3 * row.cost.cpu_seconds:.2f}",
        "-" if peak is None else f"{peak / 2**20:.2f}",
        str(row.presentations),
        "0 (reference)" if reference and row.difference == 0 else difference_text(row),
    )


def _bit_errors(row: Row) -> str:
    """Every bit's error, and that of the coarse class where the code has one: mean ± standard deviation over seeds."""
    bits = ", ".join(_mean_and_std(values) for values in zip(*(one.bits for one in row.code_errors), strict=True))
    coarse = [one.coarse for one in row.code_errors if one.coarse is not None]
    return bits + (f"; coarse class {_mean_and_std(coarse)}" if coarse else "")


def _mean_and_std(fractions: Sequence[float]) -> str:
    percent = [100 * fraction for fraction in fractions]
    spread = f" ± {statistics.stdev(percent):.2f}" if len(percent) > 1 else ""
    return f"{statistics.fmean(percent):.2f}{spread}"


def difference_text(row: Row) -> str:
    """The difference and where it is; or why there is none."""
    if row.difference is None:
        return f"- ({row.incomparable})" if row.incomparable else "-"
    return f"{row.difference:.1e} ({row.differs_at})" if row.difference else "0"


def as_data(rows: Sequence[Row], about: dict[str, Any]) -> dict[str, Any]:
    """The same for programs, every run's errors included."""
    return about | {
        "rows": [
            attrs.asdict(row) | {"mean_test_error_percent": row.mean, "std_test_error_percent": row.std} for row in rows
        ]
    }


def rows_from(data: Mapping[str, Any]) -> list[Row]:
    """The rows of :func:`as_data`, read back from JSON.

    Raises:
        KeyError, TypeError: other data.
    """
    return [_row_from(dict(row)) for row in data["rows"]]


def _row_from(row: dict[str, Any]) -> Row:
    for derived in ("mean_test_error_percent", "std_test_error_percent"):
        del row[derived]
    row["cost"] = StepCost(**row["cost"])
    row["code_errors"] = tuple(CodeErrors(**one | {"bits": tuple(one["bits"])}) for one in row["code_errors"])
    row["spreads"] = {group: tuple(map(tuple, curves)) for group, curves in row["spreads"].items()}
    row["curves"] = tuple(map(tuple, row["curves"]))
    values: dict[str, Any] = {name: tuple(value) if isinstance(value, list) else value for name, value in row.items()}
    return Row(**values)
