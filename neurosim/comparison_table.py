"""The table of a comparison, for people and for programs."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from typing import Any

import attrs
from attrs import frozen

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
    body = [_cells(row, reference=row is rows[0]) for row in rows]
    widths = [max(map(len, column)) for column in zip(_HEAD, *body, strict=True)]
    lines = [
        "| " + " | ".join(text.ljust(width) for text, width in zip(cells, widths, strict=True)) + " |"
        for cells in [_HEAD, tuple("-" * width for width in widths), *body]
    ]
    coded = [f"- {row.name}: {_bit_errors(row)}" for row in rows if row.bits and row.code_errors]
    by_bit = ["", "Errors (%) of every bit by itself, before a class is decoded:", *coded] if coded else []
    failures = [f"- FAILED {row.name}: {failure}" for row in rows for failure in row.failures]
    return "\n".join([*lines, "", about, "", *_NOTES, *by_bit, *(["", *failures] if failures else [])]) + "\n"


_NOTES = (
    "Test error after the last epoch, mean ± standard deviation over seeds. Time of a step of learning: by the clock,",
    "and of all threads together; median of rounds in which the settings take turns. MiB: the most that a step",
    "allocates beyond what exists before it. Weight difference: the largest of any weight or bias to the first row's,",
    "after training from the same seed on the same data order, over all seeds.",
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
