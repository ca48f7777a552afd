"""Published experiments: a circuit, a dataset, a training protocol, and the errors that were reported for them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from fnmatch import fnmatchcase

from attrs import field, frozen

from neurosim.circuit import Circuit
from neurosim.errors import UnknownNameError
from neurosim.plugins import load_entry_points, not_callable

ENTRY_POINTS = "neurosim.experiments"


@frozen
class Protocol:
    """How a published experiment was trained; the defaults are Appendix H of Clark, Abbott & Chung (NeurIPS 2021).

    Attributes:
        epochs: the longest a run takes; it stops earlier at a checkpoint without a mistake on the training set.
        checkpoint_every: epochs between checkpoints.
        batch_size: examples an update.
        learning_rate: of Adam.
        runs: independent runs that a reported number is the mean of.
    """

    epochs: int = 190
    checkpoint_every: int = 10
    batch_size: int = 128
    learning_rate: float = 3e-4
    runs: int = 5


@frozen
class PublishedAngles:
    """Published angles between a rule's credit and the gradient's at one checkpoint, in degrees (Appendix D).

    Attributes:
        epoch: of the checkpoint; 0 is before training.
        degrees: mean over runs, hidden populations from first to last.
        std: standard deviation over runs.
    """

    epoch: int
    degrees: tuple[float, ...]
    std: tuple[float, ...]


@frozen
class PublishedExperiment:
    """One number of a published table, and what it takes to measure it again.

    Attributes:
        name: parts joined by ``/``, which filters select by, for example ``table1/fc/vectorized/nonnegative/gevb``.
        dataset: the dataset's name.
        build: makes the circuit, rules included.
        test_error: reported, in percent.
        train_error: reported, in percent; None where the source gives only a bound.
        protocol: how it was trained.
        source: where the numbers stand.
        angles: checkpoint by checkpoint; empty where none were published.
    """

    name: str
    dataset: str
    build: Callable[[], Circuit] = field(eq=False, repr=False)
    test_error: float
    train_error: float | None
    protocol: Protocol = field(factory=Protocol)
    source: str = ""
    angles: tuple[PublishedAngles, ...] = ()


def published_experiments() -> dict[str, PublishedExperiment]:
    """Every published experiment that is installed, by name, in the order of its tables.

    An entry point of the group ``neurosim.experiments`` is a function that returns them.

    Example:
        >>> len(published_experiments())
        48
        >>> published_experiments()["table1/fc/vectorized/nonnegative/gevb"].test_error
        1.87
    """
    made = (build() for _, build in sorted(load_entry_points(ENTRY_POINTS, not_callable).items()))
    return {experiment.name: experiment for several in made for experiment in several}


def select(
    experiments: Mapping[str, PublishedExperiment], patterns: Iterable[str] = (), parts: Iterable[str] = ()
) -> list[PublishedExperiment]:
    """The experiments whose name fits one of ``patterns`` (all, where there are none) and has all ``parts``.

    Args:
        patterns: names; ``*`` stands for any text, and the beginning of a name for all that follow.
        parts: parts of a name; ``a,b`` stands for either.

    Raises:
        UnknownNameError: a pattern or part that no name has, or a combination that selects nothing.

    Example:
        >>> [e.name for e in select(published_experiments(), parts=["table2", "lc", "gevb", "mixed"])]
        ['table2/lc/vectorized/mixed/gevb']
    """
    patterns, wanted = list(patterns), [part.split(",") for part in parts]
    known_parts = {part for name in experiments for part in name.split("/")}
    for part in (one for either in wanted for one in either):
        if part not in known_parts:
            raise UnknownNameError("part of an experiment's name", part, known_parts)
    for pattern in patterns:
        if not any(_fits(name, pattern) for name in experiments):
            hint = "; beginnings stand for all that follow, whole names: `neurosim list experiments`"
            raise UnknownNameError("experiment", pattern, _what_may_follow(pattern, experiments), hint)
    left = [name for name in experiments if not patterns or any(_fits(name, pattern) for pattern in patterns)]
    for either in wanted:
        fitting = [name for name in left if any(one in name.split("/") for one in either)]
        if not fitting:
            asked = " ".join([*patterns, *map(",".join, wanted)])
            parts_left = {part for name in left for part in name.split("/")}
            hint = f"; each fits some, together none: these are the parts of names that '{','.join(either)}' had to fit"
            raise UnknownNameError("combination of filters", asked, parts_left, hint)
        left = fitting
    return [experiments[name] for name in left]


def _what_may_follow(pattern: str, names: Iterable[str]) -> set[str]:
    """Up to the part where ``pattern`` leaves all names: the beginnings of names that are one part longer."""
    parts, beginnings = pattern.split("/"), {tuple(name.split("/")) for name in names}
    known = 0
    while any(each[: known + 1] == tuple(parts[: known + 1]) for each in beginnings) and known < len(parts):
        known += 1
    return {"/".join(each[: known + 1]) for each in beginnings if each[:known] == tuple(parts[:known])}


def _fits(name: str, pattern: str) -> bool:
    return fnmatchcase(name, pattern) or name.startswith(pattern.rstrip("/") + "/")
