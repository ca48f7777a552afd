"""Runs that belong together: the seeds of one experiment, what was published of it, and what a figure calls it."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

from attrs import evolve, frozen

from neurosim.circuit import Circuit
from neurosim.errors import DataError
from neurosim.published import PublishedExperiment, published_experiments
from neurosim.runs.labels import Named, told_apart
from neurosim.runs.run import Run

_WRITTEN = {"mnist": "MNIST", "fashion-mnist": "Fashion-MNIST", "cifar10": "CIFAR-10", "cifar100": "CIFAR-100"}
#: kinds of units, as labels call them: of several components, of one
UNITS = ("vectorized", "conventional")
#: attributes and settings of a run that the seeds of one series must have in common
_IN_COMMON = ("dataset_fingerprint", "dataset_train_size", "dataset_test_size", "precision", "vectorization")
_IN_COMMON_CONFIG = ("batch_size", "optimizer")


@frozen
class Series:
    """Runs of one circuit on one dataset that differ in their seed.

    Attributes:
        runs: one a seed.
        circuit: what all of them trained.
        title: dataset and kind of architecture, such as ``MNIST, fully connected``.
        label: rule and kind of units, such as ``GEVB+, vectorized``; as in the paper ``+`` means nonnegative weights.
        published: what was published of this experiment, or None.
    """

    runs: tuple[Run, ...]
    circuit: Circuit
    title: str
    label: str
    published: PublishedExperiment | None = None

    @property
    def seeds(self) -> str:
        """How many, in words."""
        return f"{len(self.runs)} seed{'s' if len(self.runs) > 1 else ''}"


def find_runs(paths: Iterable[Path]) -> list[Run]:
    """Run files, and of folders of `neurosim reproduce` all that have trained an epoch, in the order of its tables.

    Raises:
        DataError: a folder that holds no reproduction or no run, a file twice, or one that is no run file.
    """
    found: list[Path] = []
    for path in paths:
        found += _of_folder(path) if path.is_dir() else [path]
    twice = [str(path) for path, count in Counter(path.resolve() for path in found).items() if count > 1]
    if twice:
        raise DataError(f"{', '.join(twice)}: named more than once; a figure takes every run once")
    return [Run(path) for path in found]


def _of_folder(folder: Path) -> list[Path]:
    if not (folder / "reproduction.json").exists():
        raise DataError(
            f"{folder}: expected run files or a folder of `neurosim reproduce`, found a folder without "
            "reproduction.json; name its run files one by one"
        )
    order = {name: number for number, name in enumerate(published_experiments())}
    runs = sorted((folder / "runs").rglob("*.h5"))
    trained = [path for path in runs if Run(path).epoch > 0]
    if not trained:
        raise DataError(f"{folder}: no run has trained an epoch yet; `neurosim reproduce --resume --out {folder}` does")
    return sorted(trained, key=lambda path: order.get(path.parent.relative_to(folder / "runs").as_posix(), len(order)))


def collect(runs: Sequence[Run]) -> list[Series]:
    """Runs by experiment, in the order that the experiments first come.

    Raises:
        DataError: runs of one circuit and dataset that were trained in different ways, two of one seed, or circuits
            that differ and cannot be called by different names.
    """
    together: dict[tuple[str, str], list[Run]] = {}
    for run in runs:
        together.setdefault((run.circuit_json, str(run.attributes["dataset"])), []).append(run)
    known = published_experiments()
    return _told_apart([_series(same, known) for same in together.values()])


def _series(runs: Sequence[Run], known: dict[str, PublishedExperiment]) -> Series:
    first, circuit = runs[0], Circuit.from_json(runs[0].circuit_json)
    seeds: dict[int, Run] = {}
    for run in runs:
        different = [what for what in (*_IN_COMMON, *_IN_COMMON_CONFIG) if _setting(run, what) != _setting(first, what)]
        if different:
            now = "; ".join(f"{what} {_setting(first, what)} and {_setting(run, what)}" for what in different)
            raise DataError(
                f"{first.path} and {run.path}: runs of one circuit that were trained in different ways, and a mean "
                f"must not mix them: {now}. Plot them separately"
            )
        seed = int(run.attributes["seed"])
        if seed in seeds:
            raise DataError(f"{seeds[seed].path} and {run.path}: both are seed {seed}, which must not count twice")
        seeds[seed] = run
    title = title_of(str(first.attributes["dataset"]), circuit)
    return Series(tuple(runs), circuit, title, label(circuit), _published(first, circuit, known))


def _setting(run: Run, name: str) -> object:
    value: object = run.config[name] if name in _IN_COMMON_CONFIG else run.attributes[name]
    return value


def written(dataset: str) -> str:
    """A dataset's name as papers write it.

    Example:
        >>> written("cifar10")
        'CIFAR-10'
    """
    return _WRITTEN.get(dataset, dataset)


def title_of(dataset: str, circuit: Circuit) -> str:
    """Dataset and kind of network, such as ``MNIST, fully connected``."""
    return f"{written(dataset)}, {architecture(circuit)}"


def architecture(circuit: Circuit) -> str:
    """The kind of network, by its connectivities.

    Example:
        >>> from neurosim import circuits
        >>> architecture(circuits.load("mnist-lc")), architecture(circuits.load("digits-fc"))
        ('locally connected', 'fully connected')
    """
    kinds = {type(group.connectivity).__name__ for group in circuit.groups.values()}
    spatial = [name for kind, name in (("Conv2d", "convolutional"), ("Local2d", "locally connected")) if kind in kinds]
    return " and ".join(spatial) or "fully connected"


def label(circuit: Circuit) -> str:
    """Rules and kind of units; ``+`` where all weights past the input are nonnegative, as in the paper's figures.

    Example:
        >>> from neurosim import BP, circuits
        >>> label(circuits.load("mnist-fc")), label(circuits.load("mnist-fc", sign="mixed", rule=BP()))
        ('GEVB+, vectorized', 'BP, vectorized')
    """
    learned = [group for group in circuit.groups.values() if group.connectivity.has_weights]
    inner = [group for group in learned if not circuit.populations[group.pre].scalar]
    rules = " & ".join(dict.fromkeys(type(group.rule).__name__ for group in learned if group.rule is not None))
    nonnegative = bool(inner) and all(group.sign == "nonnegative" for group in inner)
    units = UNITS[circuit.K == 1]
    return f"{rules or 'frozen'}{'+' if nonnegative else ''}, {units}"


def _told_apart(series: list[Series]) -> list[Series]:
    named = [Named(each.title, each.label, each.circuit, each.runs[0].path) for each in series]
    return [evolve(each, label=told) for each, told in zip(series, told_apart(named), strict=True)]


def _published(run: Run, circuit: Circuit, known: dict[str, PublishedExperiment]) -> PublishedExperiment | None:
    """By the name that `neurosim reproduce` notes, else by circuit, dataset and protocol; none for shortened data."""
    notes = run.config["notes"]
    if shortened(run):
        return None
    if "experiment" in notes:
        return known.get(notes["experiment"])
    config, dataset = run.config, str(run.attributes["dataset"])
    for experiment in known.values():
        protocol = experiment.protocol
        trained = (dataset, config["batch_size"], config["optimizer"].get("lr"))
        if trained == (experiment.dataset, protocol.batch_size, protocol.learning_rate):
            if experiment.build() == circuit:
                return experiment
    return None


def shortened(run: Run) -> bool:
    """Whether it is known that the run saw a part of its dataset only."""
    about = dict(run.config["notes"])
    for folder in run.path.resolve().parents:
        if (folder / "reproduction.json").exists():
            about |= json.loads((folder / "reproduction.json").read_text(encoding="utf-8")).get("settings", {})
            break
    return any(about.get(key) is not None for key in ("train_examples", "test_examples"))
