"""Figures 2, 4, 5 and 6 of Clark, Abbott & Chung (NeurIPS 2021), panel by panel, from whatever part was run again.

Every panel of the paper's figure is there: with our runs where there are some, with the published numbers where there
are some, and with a word where there is neither.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from attrs import frozen

from neurosim.errors import DataError
from neurosim.plotting.series_numbers import ANGLES, CURVES, Angles, Curves, in_words
from neurosim.published import PublishedExperiment, published_experiments
from neurosim.runs.run import Run
from neurosim.runs.series import architecture, label

#: columns of every figure, as parts of an experiment's name
_COLUMNS = ("fc", "conv", "lc")


@frozen
class PaperFigure:
    """What the panels of a figure show.

    Attributes:
        kind: ``CURVES`` or ``ANGLES``.
        title: of the whole figure.
        rows: heading and experiments, with ``{}`` for the architecture of a column.
    """

    kind: str
    title: str
    rows: tuple[tuple[str, tuple[str, ...]], ...]

    @property
    def experiments(self) -> tuple[str, ...]:
        """The names of all experiments that it shows."""
        return tuple(name.format(column) for _, names in self.rows for name in names for column in _COLUMNS)


def _one(letter: str, name: str) -> tuple[str, tuple[str, ...]]:
    return letter, (name,)


def _curves_of(table: str) -> tuple[tuple[str, tuple[str, ...]], ...]:
    def row(units: str, *rules: str) -> tuple[str, tuple[str, ...]]:
        names = (f"{table}/{{}}/{units}/{sign}/{rule}" for rule in rules for sign in ("nonnegative", "mixed"))
        return units, tuple(names)

    return row("vectorized", "gevb", "bp"), row("conventional", "dfa", "bp")


PAPER_FIGURES: Mapping[str, PaperFigure] = {
    "figure-2": PaperFigure(
        ANGLES,
        "Figure 2: gradient alignment angles on CIFAR-10, nonnegative networks",
        (
            _one("A", "table2/{}/vectorized/nonnegative/gevb"),
            _one("B", "table2/{}/conventional/nonnegative/dfa"),
        ),
    ),
    "figure-4": PaperFigure(CURVES, "Figure 4: MNIST learning curves", _curves_of("table1")),
    "figure-5": PaperFigure(CURVES, "Figure 5: CIFAR-10 learning curves", _curves_of("table2")),
    "figure-6": PaperFigure(
        ANGLES,
        "Figure 6: alignment angles, (A) mixed-sign networks on CIFAR-10, (B) MNIST",
        (
            _one("A", "table2/{}/vectorized/mixed/gevb"),
            _one("A", "table2/{}/conventional/mixed/dfa"),
            _one("B", "table1/{}/vectorized/nonnegative/gevb"),
            _one("B", "table1/{}/conventional/nonnegative/dfa"),
            _one("B", "table1/{}/vectorized/mixed/gevb"),
            _one("B", "table1/{}/conventional/mixed/dfa"),
        ),
    ),
}


def runs_of(figure: PaperFigure, runs: Sequence[Run]) -> list[Run]:
    """Those runs that the figure shows, of all that were named.

    Raises:
        DataError: none of them is.
    """
    from neurosim.runs.series import collect, shortened

    shown = set(figure.experiments)
    series = [each for each in collect(runs) if each.published is not None and each.published.name in shown]
    if not series:
        if short := sum(map(shortened, runs)):
            other = "alignment" if figure.kind == ANGLES else "learning-curves"
            raise DataError(
                f"{figure.title}: {short} of the {len(runs)} runs were made with shortened data (--train-examples or "
                "--test-examples), so they do not count as published experiments, and no other is one that it shows; "
                f"draw them with `neurosim plot {other}`, or record them with whole data"
            )
        raise _missing(figure, f"none of the {len(runs)} runs")
    return [run for each in series for run in each.runs]


def _missing(figure: PaperFigure, found: str) -> DataError:
    first = {name.partition("/")[0]: name for name in reversed(figure.experiments)}
    tables = ",".join(sorted(table.removeprefix("table") for table in first))
    return DataError(
        f"{figure.title}: it shows experiments such as {' and '.join(sorted(first.values()))}, and {found} is one of "
        f"those; record them with `neurosim reproduce --table {tables} --checkpoints all`"
    )


def lay_out_paper_figure(figure: PaperFigure, series: Sequence[Any]) -> Any:
    """All panels of a figure of the paper.

    Args:
        series: :class:`Curves` or :class:`Angles`, as the figure's kind asks; those of other experiments are not drawn.

    Raises:
        DataError: none of them is an experiment of the figure, or two circuits are noted as the same one.
    """
    ours = {each.published.name: each for each in series if each.published is not None}
    times = Counter(each.published.name for each in series if each.published is not None)
    if twice := [name for name, number in times.items() if number > 1 and name in figure.experiments]:
        raise DataError(
            f"{figure.title}: circuits that differ are noted as one experiment, {', '.join(twice)}, which has one "
            "place; name the runs of one of them"
        )
    if not set(ours) & set(figure.experiments):
        raise _missing(figure, f"none of the {len(series)} series")
    drawn = _angles(figure, ours) if figure.kind == ANGLES else _curves(figure, ours)
    drawn.suptitle(figure.title, fontsize=10)
    return drawn


def _angles(figure: PaperFigure, ours: Mapping[str, Angles]) -> Any:
    from neurosim.figures.style import panels
    from neurosim.plotting.series import note_on_plus

    known = published_experiments()
    rows = [(letter, [known[name.format(column)] for column in _COLUMNS]) for letter, (name,) in figure.rows]
    filled = [place for place in range(len(_COLUMNS)) if any(e[place].angles or e[place].name in ours for _, e in rows)]
    shown = [(letter, experiments[place]) for letter, experiments in rows for place in filled]
    across = len(filled) if len(filled) > 1 else len(rows)
    drawn, places = panels(len(shown), across, (3.1, 2.3), extra=0.5)
    before = ""
    for number, ((letter, experiment), ax) in enumerate(zip(shown, places, strict=True)):
        _draw_panel(experiment, ours.get(experiment.name), ax)
        if letter != before:
            ax.text(-0.2, 1.08, letter, transform=ax.transAxes, fontsize=11, weight="bold", ha="right")
        before = letter
        if number % across:
            ax.set_ylabel("")
        if number < len(shown) - across:
            ax.set_xlabel("")
    notes = []
    if missing := [_title(rows[0][1][place]) for place in range(len(_COLUMNS)) if place not in filled]:
        names = " and ".join(name.partition(", ")[2] for name in missing)
        notes.append(f"not drawn: {names}, of which there is no run here and no number of the paper")
    if note := note_on_plus(label(experiment.build()) for _, experiment in shown):
        notes.append(note)
    drawn.supxlabel("\n".join(notes), fontsize=8)
    return drawn


def _draw_panel(experiment: PublishedExperiment, each: Angles | None, ax: Any) -> None:
    from neurosim.plotting.series import draw_angles

    heading = f"{_title(experiment)}\n{label(experiment.build())}"
    if each is None and not experiment.angles:
        ax.text(0.5, 0.5, "no run here,\nno number of the paper", ha="center", va="center", fontsize=8, color="0.35")
        ax.set_xticks([])
        ax.set_yticks([])
        ax.spines[:].set_color("0.8")
    else:
        draw_angles(each or _without_runs(experiment), ax)
        heading += f", {in_words(each.seeds)}" if each else ", the paper's alone"
    ax.set_title(heading, fontsize=8)


def _without_runs(experiment: PublishedExperiment) -> Angles:
    inner = (p for p in experiment.build().populations.values() if not p.scalar and not p.relay_of)
    names = tuple(p.name for p in inner if p.name != "output")
    return Angles("", "", experiment, (), names, (), np.zeros((0, 0, len(names))))


def _curves(figure: PaperFigure, ours: Mapping[str, Curves]) -> Any:
    from neurosim.figures.learning_curve import legend_entries
    from neurosim.figures.style import panels
    from neurosim.plotting.series import draw_curves, note_on_plus

    known = published_experiments()
    rows = [(units, [known[name.format(c)] for name in names], c) for units, names in figure.rows for c in _COLUMNS]
    labels = dict.fromkeys(_short(experiment) for _, experiments, _ in rows for experiment in experiments)
    entries = legend_entries(labels, True)
    drawn, places = panels(len(rows), 3, (3.1, 2.5), extra=0.8, sharey=True)
    for (units, experiments, column), ax in zip(rows, places, strict=True):
        here = [_relabelled(experiment, ours.get(experiment.name)) for experiment in experiments]
        draw_curves(here, ax, labels)
        seeds = [each.seeds for each in here if each.seeds]
        heading = f"{_title(experiments[0]).partition(', ')[2]}, {units}"
        ax.set_title(heading + (f", {_span(seeds)}" if seeds else ""), fontsize=8)
        if not seeds:
            ax.set_xticks([])
            ax.text(0.5, 0.5, "no run here", transform=ax.transAxes, ha="center", fontsize=8, color="0.35")
        if column != _COLUMNS[0]:
            ax.set_ylabel("")
        if units != figure.rows[-1][0]:
            ax.set_xlabel("")
    about: dict[str, Any] = {"title": note_on_plus(labels), "title_fontsize": 8, "fontsize": 8, "frameon": False}
    drawn.legend(handles=entries, loc="outside lower center", ncols=5, **about)
    return drawn


def _relabelled(experiment: PublishedExperiment, each: Curves | None) -> Curves:
    if each is None:
        return Curves("", _short(experiment), experiment, (), (), (), ())
    return Curves(
        each.title, _short(experiment), experiment, each.seeds, each.epochs, each.test_error, each.train_error
    )


def _span(seeds: Sequence[tuple[int, ...]]) -> str:
    counts = sorted({len(each) for each in seeds})
    return f"{counts[0]} to {counts[-1]} seeds" if len(counts) > 1 else in_words(seeds[0])


def _short(experiment: PublishedExperiment) -> str:
    """The rule, with the paper's ``+`` for nonnegative weights."""
    rule, sign = experiment.name.split("/")[-1], experiment.name.split("/")[-2]
    return rule.upper() + ("+" if sign == "nonnegative" else "")


def _title(experiment: PublishedExperiment) -> str:
    from neurosim.runs.series import written

    return f"{written(experiment.dataset)}, {architecture(experiment.build())}"
