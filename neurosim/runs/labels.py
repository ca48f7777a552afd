"""Labels that differ: what tells circuits apart that learn by the same rules."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from attrs import frozen

from neurosim.circuit import Circuit
from neurosim.errors import DataError
from neurosim.populations import Population, SynapseGroup


@frozen
class Named:
    """A circuit, what a figure calls it, and the file that it comes from.

    Attributes:
        title: what it is drawn under; labels must differ within a title.
        label: what it shares with others, perhaps.
        circuit: what was trained.
        path: of a run.
    """

    title: str
    label: str
    circuit: Circuit
    path: Path


def told_apart(named: Sequence[Named]) -> list[str]:
    """Labels that differ within a title.

    Where some are alike, what differs between their circuits is added: sizes of the hidden populations, gates, rules,
    sharing, initial weights, in this order, and no more than is needed; at last a part of their files' names.

    Raises:
        DataError: labels that are still alike.

    Example:
        >>> from neurosim import circuits
        >>> wide, other = circuits.load("digits-fc", widths=(16, 8)), circuits.load("digits-fc", widths=(12, 8))
        >>> told_apart([Named("digits", "GEVB", c, Path("run.h5")) for c in (wide, other)])
        ['GEVB, 16-8', 'GEVB, 12-8']
    """
    labels = [each.label for each in named]
    for tell in (*(_one_by_one(teller) for teller in (_sizes, _gates, _rules, _sharing, _init)), _files):
        for places in _alike(named, labels):
            words = tell([named[place] for place in places])
            for place, word in zip(places, words, strict=True):
                labels[place] += f", {word}" if len(set(words)) > 1 else ""
    for places in _alike(named, labels):
        raise DataError(
            f"{' and '.join(str(named[place].path) for place in places)}: different circuits that a figure would call "
            f"by one name, {labels[places[0]]}; rename one file, or draw them in figures of their own"
        )
    return labels


def _alike(named: Sequence[Named], labels: Sequence[str]) -> list[list[int]]:
    """Places of each label that is there more than once in a title."""
    found: dict[tuple[str, str], list[int]] = {}
    for place, (each, label) in enumerate(zip(named, labels, strict=True)):
        found.setdefault((each.title, label), []).append(place)
    return [places for places in found.values() if len(places) > 1]


def _one_by_one(teller: Callable[[Circuit], str]) -> Callable[[Sequence[Named]], list[str]]:
    return lambda alike: [teller(each.circuit) for each in alike]


def _sizes(circuit: Circuit) -> str:
    return "-".join("x".join(map(str, p.shape)) for p in _hidden(circuit)) or "nothing hidden"


def _gates(circuit: Circuit) -> str:
    return _listed(p.gate or "linear" for p in _hidden(circuit))


def _rules(circuit: Circuit) -> str:
    return _listed(group.rule or "frozen" for group in _weighted(circuit))


def _sharing(circuit: Circuit) -> str:
    inner = [group for group in _weighted(circuit) if not circuit.populations[group.pre].scalar]
    return _listed(f"{group.sharing}, {group.relaxation}" if group.relaxation else group.sharing for group in inner)


def _init(circuit: Circuit) -> str:
    return _listed(group.init for group in _weighted(circuit))


def _hidden(circuit: Circuit) -> list[Population]:
    inner = (p for p in circuit.populations.values() if not p.scalar and not p.relay_of)
    return [p for p in inner if p.name != "output"]


def _weighted(circuit: Circuit) -> list[SynapseGroup]:
    return [group for group in circuit.groups.values() if group.connectivity.has_weights]


def _listed(parts: Iterable[object]) -> str:
    """Each once; a part without settings by its name alone."""
    return ", ".join(dict.fromkeys(str(part).removesuffix("()") for part in parts))


def _files(alike: Sequence[Named]) -> list[str]:
    """The shortest ends of the paths that differ, without what all end in: ``a`` and ``b`` for a/run.h5, b/run.h5."""
    whole = [Path(os.path.abspath(each.path)) for each in alike]
    bare = [path.with_suffix("").parts for path in whole]
    parts = bare if len(set(bare)) == len(set(whole)) else [path.parts for path in whole]
    while len(set(parts)) > 1 and len({each[-1] for each in parts}) == 1:
        parts = [each[:-1] for each in parts]
    depths = range(1, 1 + max(map(len, parts)))
    depth = next((n for n in depths if len({each[-n:] for each in parts}) == len(set(parts))), 1)
    return ["/".join(each[-depth:]) for each in parts]
