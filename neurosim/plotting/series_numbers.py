"""The numbers behind figures of several runs: measured from run files, or read from the JSON file that keeps them.

A file holds ``figure`` (``"learning-curves"`` or ``"alignment"``) and ``series``, one for each experiment, every seed
by itself. What was published is not in it: it is looked up by the experiment's name.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from attrs import frozen

from neurosim.errors import DataError
from neurosim.published import PublishedExperiment, published_experiments

CURVES, ANGLES = "learning-curves", "alignment"
Values = npt.NDArray[np.float64]


@frozen(eq=False)
class Curves:
    """Learning curves of the seeds of one experiment.

    Attributes:
        title: dataset and architecture.
        label: rule and kind of units.
        published: the experiment that was published, or None.
        seeds: of the runs.
        epochs: one array a seed.
        test_error, train_error: in percent, one array a seed.
    """

    title: str
    label: str
    published: PublishedExperiment | None
    seeds: tuple[int, ...]
    epochs: tuple[Values, ...]
    test_error: tuple[Values, ...]
    train_error: tuple[Values, ...]


@frozen(eq=False)
class Angles:
    """Angles between credit and gradient, of the seeds of one experiment; as :class:`Curves`.

    Attributes:
        populations: hidden ones, first to last.
        epochs: the checkpoints that all seeds have.
        degrees: ``(seeds, epochs, populations)``.
    """

    title: str
    label: str
    published: PublishedExperiment | None
    seeds: tuple[int, ...]
    populations: tuple[str, ...]
    epochs: tuple[int, ...]
    degrees: Values


def in_words(seeds: Sequence[int]) -> str:
    """How many.

    Example:
        >>> in_words([0]), in_words([0, 1])
        ('1 seed', '2 seeds')
    """
    return f"{len(seeds)} seed{'s' if len(seeds) > 1 else ''}"


def as_plain(series: Sequence[Curves | Angles]) -> dict[str, Any]:
    """For JSON; errors in percent to 4 places, angles to 3."""
    return {
        "figure": CURVES if isinstance(series[0], Curves) else ANGLES,
        "series": [_curves(each) if isinstance(each, Curves) else _angles(each) for each in series],
    }


def _about(each: Curves | Angles) -> dict[str, Any]:
    name = each.published.name if each.published is not None else None
    return {"title": each.title, "label": each.label, "experiment": name, "seeds": list(each.seeds)}


def _curves(each: Curves) -> dict[str, Any]:
    return _about(each) | {
        "epochs": [values.astype(int).tolist() for values in each.epochs],
        "test_error_percent": [values.round(4).tolist() for values in each.test_error],
        "train_error_percent": [values.round(4).tolist() for values in each.train_error],
    }


def _angles(each: Angles) -> dict[str, Any]:
    return _about(each) | {
        "populations": list(each.populations),
        "epochs": list(each.epochs),
        "degrees": each.degrees.round(3).tolist(),
    }


def read_json(path: Path) -> dict[str, Any]:
    """A JSON file that holds one object.

    Raises:
        DataError: it cannot be read, or holds something else.
    """
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DataError(f"{path}: expected a JSON file of numbers: {error}") from error
    if not isinstance(data, dict):
        raise DataError(f"{path}: expected a JSON object, found {type(data).__name__}")
    return data


def read_series(paths: Sequence[Path], kind: str) -> list[Any]:
    """The series of all files: :class:`Curves` or :class:`Angles`.

    Args:
        kind: ``CURVES`` or ``ANGLES``.

    Raises:
        DataError: a file that holds other numbers, one of another form, or one experiment twice.
    """
    known = published_experiments()
    build: Callable[..., Any] = _read_curves if kind == CURVES else _read_angles
    found = []
    for path in paths:
        data = read_json(path)
        if data.get("figure") != kind:
            raise DataError(
                f"{path}: expected the numbers of '{kind}', found {data.get('figure') or 'none of a figure'}; "
                f"make them with `neurosim plot {kind} RUN... --numbers FILE.json`"
            )
        try:
            found += [build(each, known.get(each["experiment"])) for each in data["series"]]
        except (KeyError, TypeError, ValueError) as error:
            raise DataError(f"{path}: not the numbers that `neurosim plot --numbers` writes: {error!r}") from error
    twice = [name for name, count in Counter((each.title, each.label) for each in found).items() if count > 1]
    if twice:
        names = "; ".join(", ".join(name) for name in twice)
        raise DataError(f"{', '.join(map(str, paths))}: {names}: found more than once; a figure takes a series once")
    if not found:
        raise DataError(f"{', '.join(map(str, paths))}: no series in it")
    return found


def _read_curves(each: dict[str, Any], published: PublishedExperiment | None) -> Curves:
    errors = (tuple(map(_array, each[f"{name}_error_percent"])) for name in ("test", "train"))
    epochs, seeds = tuple(map(_array, each["epochs"])), tuple(each["seeds"])
    made = Curves(each["title"], each["label"], published, seeds, epochs, *errors)
    for values in (made.epochs, made.test_error, made.train_error):
        if [len(one) for one in values] != [len(one) for one in epochs] or len(values) != len(seeds):
            raise ValueError(f"as many epochs as errors for every seed of {made.label}")
    return made


def _read_angles(each: dict[str, Any], published: PublishedExperiment | None) -> Angles:
    degrees, seeds = _array(each["degrees"]), tuple(each["seeds"])
    populations, epochs = tuple(each["populations"]), tuple(each["epochs"])
    if degrees.shape != (len(seeds), len(epochs), len(populations)):
        raise ValueError(f"degrees of shape (seeds, epochs, populations), found {degrees.shape} at {each['label']}")
    return Angles(each["title"], each["label"], published, seeds, populations, epochs, degrees)


def _array(values: Any) -> Values:
    return np.asarray(values, dtype=np.float64)
