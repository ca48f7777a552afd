"""Figures of `neurosim represent`'s files: what belongs together, and how the panels are laid out."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from attrs import evolve

from neurosim.analysis.representation_file import Representation, read_representations
from neurosim.circuit import Circuit
from neurosim.errors import DataError
from neurosim.runs.labels import Named, told_apart

#: classes that are drawn: as many as in Figure 3A, because ten on top of each other show nothing
CLASSES = 5


def read_all(paths: Iterable[Path]) -> list[Representation]:
    """Everything in some files, each run's epochs and populations once, with labels that tell circuits apart.

    Raises:
        DataError: one that `neurosim represent` did not write, nothing in them, or the same twice.
    """
    found = [each for path in paths for each in read_representations(path)]
    if not found:
        raise DataError(f"{', '.join(map(str, paths))}: no representation in it")
    seen: dict[tuple[Any, ...], Representation] = {}
    for each in found:
        key = (each.title, each.label, each.circuit, each.seed, each.epoch, each.population)
        if key in seen:
            raise DataError(
                f"{seen[key].path} and {each.path}: both hold {each.population} of {each.label}, seed {each.seed}, "
                f"epoch {each.epoch}, which must not count twice"
            )
        seen[key] = each
    return _told_apart(found)


def plot_embedding(found: Sequence[Representation]) -> Any:
    """Figure 3A: embeddings of the first five classes, a row a rule and population, a column an epoch."""
    from neurosim.figures.embedding import draw_embedding, legend_entries
    from neurosim.figures.style import panels, wrapped

    rows: dict[tuple[str, int, str], list[Representation]] = {}
    for each in found:
        rows.setdefault((each.label, each.seed, each.population), []).append(each)
    columns = max(len(row) for row in rows.values())
    _refuse_mixed(found, ("dataset", "class_names"))
    shown = sorted({int(c) for each in found for c in each.labels})[:CLASSES]
    names = found[0].class_names
    lines = max(wrapped(label, 38).count("\n") for label, _, _ in rows)
    figure, drawn = panels(len(rows) * columns, columns, (2.9, 2.9 + 0.13 * lines), extra=0.5)
    for number, row in enumerate(rows.values()):
        places = drawn[number * columns : (number + 1) * columns]
        for each, ax in zip(sorted(row, key=lambda one: one.epoch), places, strict=False):
            chosen = np.isin(each.labels, shown)
            draw_embedding(each.embedding[chosen], each.labels[chosen], ax, classes=names, legend=False)
            when = "before training" if each.epoch == 0 else f"after epoch {each.epoch}"
            quality = f"quality {each.quality:.3f}".replace("-", "\N{MINUS SIGN}")
            ax.set_title(f"{wrapped(each.label, 38)}\n{each.population} {when}, {quality}", fontsize=8)
        for spare in places[len(row) :]:
            spare.remove()
    handles, across = legend_entries(shown, names), min(len(shown), 3 if columns == 1 else CLASSES)
    part = f"first {len(shown)} of {len(names)} classes" if len(shown) < len(names) else None
    about: dict[str, Any] = {"frameon": False, "fontsize": 8, "title": part, "title_fontsize": 8}
    figure.legend(handles=handles, loc="outside lower center", ncols=across, **about)
    return figure


def plot_cluster_quality(found: Sequence[Representation]) -> Any:
    """Figure 3B: cluster quality of each population before training and at the last epoch, mean over seeds.

    Left as Section 6 defines it, right with unsquared distances as the published numbers.
    """
    from neurosim.figures.cluster_quality import draw_cluster_quality, legend_entries
    from neurosim.figures.style import legend_below, panels

    _refuse_mixed(found, ("dataset", "split", "settings"))
    if any(not np.array_equal(each.labels, found[0].labels) for each in found):
        raise DataError(
            f"{_files(found)}: cluster quality of different images does not compare; take the same --examples"
        )
    rules = list(dict.fromkeys(each.label for each in found))
    names = _in_order(found)
    pairs = {rule: _pairs([each for each in found if each.label == rule]) for rule in rules}
    entries = legend_entries(rules)
    size = (max(3.0, 1.1 + 0.35 * len(names) * len(rules)), 2.9)
    figure, drawn = panels(2, 2, size)
    for ax, (field, title) in zip(drawn, _MEASURES.items(), strict=True):
        numbers = {rule: _numbers(pairs[rule], names, field) for rule in rules}
        several = any(len(each) > 1 for rule in rules for each in pairs[rule].values())
        draw_cluster_quality(
            names,
            {rule: mean[:, 0] for rule, (mean, _) in numbers.items()},
            {rule: mean[:, 1] for rule, (mean, _) in numbers.items()},
            ax,
            std={rule: (spread[:, 0], spread[:, 1]) for rule, (_, spread) in numbers.items()} if several else None,
            legend=False,
        )
        ax.set_title(title, fontsize=9)
    seeds = sorted({len(each) for rule in rules for each in pairs[rule].values()})
    span = f"{seeds[0]} seed{'s' if seeds[0] > 1 else ''}" if len(seeds) == 1 else f"{seeds[0]} to {seeds[-1]} seeds"
    figure.suptitle(f"{found[0].title}, {len(found[0].labels)} {found[0].split} images, {span}", fontsize=9)
    legend_below(figure, entries, min(3, len(entries)), 7.5)
    return figure


#: field -> what the panel says
_MEASURES = {"quality": "squared distances (Section 6)", "quality_rms": "root-mean-square distances"}

#: what `neurosim plot` knows of files of `neurosim represent`
OF_REPRESENTATIONS: Mapping[str, Callable[[Sequence[Representation]], Any]] = {
    "figure-3a": plot_embedding,
    "figure-3b": plot_cluster_quality,
}


Pairs = dict[str, list[tuple[Representation, Representation]]]


def _pairs(found: Sequence[Representation]) -> Pairs:
    """Population -> before and after training, a pair a seed.

    Raises:
        DataError: a run without both.
    """
    series: dict[tuple[str, int], list[Representation]] = {}
    for each in found:
        series.setdefault((each.population, each.seed), []).append(each)
    pairs: Pairs = {}
    for (population, _), same in series.items():
        first, last = min(same, key=lambda one: one.epoch), max(same, key=lambda one: one.epoch)
        if first.epoch != 0 or last.epoch == 0:
            raise DataError(
                f"{first.path}: expected {population} of {first.run} before and after training, found epochs "
                f"{', '.join(str(one.epoch) for one in same)}; `neurosim represent --epochs first,last` writes both"
            )
        pairs.setdefault(population, []).append((first, last))
    return pairs


def _numbers(pairs: Pairs, names: Sequence[str], field: str) -> tuple[Any, Any]:
    """Mean and standard deviation (n - 1) over seeds, ``(populations, before and after)``; NaN where there is none."""
    mean, std = np.full((len(names), 2), np.nan), np.full((len(names), 2), np.nan)
    for place, name in enumerate(names):
        if name in pairs:
            values = np.array([[getattr(half, field) for half in pair] for pair in pairs[name]])
            mean[place] = values.mean(axis=0)
            std[place] = values.std(axis=0, ddof=1) if len(values) > 1 else 0.0
    return mean, std


def _in_order(found: Sequence[Representation]) -> list[str]:
    """Populations from input to output, as in the circuit of the first that has them."""
    names = list(dict.fromkeys(each.population for each in found))
    order = [name for text in dict.fromkeys(each.circuit for each in found) for name in Circuit.from_json(text).order]
    return sorted(names, key=order.index)


def _told_apart(found: list[Representation]) -> list[Representation]:
    """Circuits that are called alike by what differs, at last by the run's name, or by the file where that is one."""
    first: dict[tuple[str, str, str], Representation] = {}
    for each in found:
        first.setdefault((each.title, each.label, each.circuit), each)
    named = [
        Named(each.title, each.label, Circuit.from_json(each.circuit), each.path.with_suffix("") / each.run)
        for each in first.values()
    ]
    labels = dict(zip(first, told_apart(named), strict=True))
    return [evolve(each, label=labels[each.title, each.label, each.circuit]) for each in found]


def _refuse_mixed(found: Sequence[Representation], fields: Sequence[str]) -> None:
    for field in fields:
        values = list(dict.fromkeys(str(getattr(each, field)) for each in found))
        if len(values) > 1:
            raise DataError(
                f"{_files(found)}: these do not compare in one figure, because they differ in {field}: "
                f"{' and '.join(values[:2])}"
            )


def _files(found: Sequence[Representation]) -> str:
    return ", ".join(dict.fromkeys(str(each.path) for each in found))
