"""The HDF5 file of representations, read back: groups ``run0/epoch0``, in each a group for every population."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import numpy.typing as npt
from attrs import frozen

from neurosim.analysis.embedding import EmbeddingSettings
from neurosim.datasets.hdf5 import SUFFIXES
from neurosim.errors import DataError

FORMAT, VERSION = "neurosim-representations", 1


@frozen(eq=False)
class Representation:
    """One population of one run at one epoch, without its activity, which stays in the file.

    Attributes:
        path, group: where it lies; ``group/POPULATION/activity`` holds the activity where it was kept.
        run: the run file, as it was named.
        label, title: rule and kind of units, dataset and kind of network, as in figures.
        circuit: as JSON text.
        seed, epoch, population: of the run.
        dataset, split: which images.
        class_names: the meaning of the labels.
        labels: ``(examples,)``.
        embedding: ``(examples, 2)``.
        quality, quality_rms: :func:`~neurosim.analysis.cluster_quality.cluster_quality`, squared and not.
        settings: of the embedding.
    """

    path: Path
    group: str
    run: str
    label: str
    title: str
    circuit: str
    seed: int
    epoch: int
    population: str
    dataset: str
    split: str
    class_names: tuple[str, ...]
    labels: npt.NDArray[Any]
    embedding: npt.NDArray[Any]
    quality: float
    quality_rms: float
    settings: EmbeddingSettings


def read_representations(path: Path) -> list[Representation]:
    """Everything in a file that `neurosim represent` wrote, by run, epoch and population.

    Raises:
        DataError: no such file, or one of another kind, damaged, or of a newer version.
    """
    if not path.is_file():
        raise DataError(f"{path}: expected a file of `neurosim represent`, but there is no such file; check the path")
    try:
        with h5py.File(path, "r") as file:
            if file.attrs.get("format") != FORMAT:
                raise DataError(
                    f"{path}: expected a file of `neurosim represent`, found another HDF5 file; of a run file, "
                    f"`neurosim represent {path}` makes one"
                )
            if file.attrs["version"] > VERSION:
                raise DataError(
                    f"{path}: expected version {VERSION} or older, found {file.attrs['version']}; update neurosim"
                )
            groups = [group for run in _numbered(file) for group in _numbered(run)]
            return [read_group(path, group, name) for group in groups for name in group if "embedding" in group[name]]
    except (OSError, LookupError, TypeError) as error:
        raise DataError(f"{path}: expected a complete file of `neurosim represent`, but {error}") from error


def _numbered(group: h5py.Group) -> list[h5py.Group]:
    """``run2`` before ``run10``."""
    return [group[name] for name in sorted(group, key=lambda name: (len(name), name))]


def read_group(path: Path, group: h5py.Group, population: str) -> Representation:
    """One population of a group ``run0/epoch0``."""
    about, made = group.attrs, group[population]["embedding"]
    kinds = {"components": int, "perplexity": float, "learning_rate": float, "iterations": int, "seed": int}
    return Representation(
        path=path,
        group=str(group.name),
        **{name: str(about[name]) for name in ("run", "label", "title", "circuit", "dataset", "split")},
        seed=int(about["seed"]),
        epoch=int(about["epoch"]),
        population=population,
        class_names=tuple(json.loads(about["class_names"])),
        labels=np.asarray(group["labels"]),
        embedding=np.asarray(made),
        quality=float(made.attrs["cluster_quality"]),
        quality_rms=float(made.attrs["cluster_quality_rms"]),
        settings=EmbeddingSettings(**{name: kind(made.attrs[name]) for name, kind in kinds.items()}),
    )


def refuse_target(path: Path, sources: Iterable[Path], *, overwrite: bool) -> None:
    """Raise a DataError where representations must not be written.

    Raises:
        DataError: a folder, another suffix than HDF5's, a file without ``overwrite``, or one that is something else
            than representations.
    """
    if path.is_dir():
        raise DataError(f"{path}: expected a file name, found a folder; add a name such as representations.h5")
    if path.suffix not in SUFFIXES:
        raise DataError(f"{path}: expected a file name that ends in .h5 or .hdf5, found {path.suffix!r}; rename it")
    if not path.exists():
        return
    if not overwrite:
        raise DataError(f"{path}: this file exists already; replace it with --overwrite, or name another with --out")
    if path.resolve() in {source.resolve() for source in sources} or not _is_ours(path):
        raise DataError(f"{path}: this file holds something else than representations; name another with --out")


def _is_ours(path: Path) -> bool:
    try:
        with h5py.File(path, "r") as file:
            return bool(file.attrs.get("format") == FORMAT)
    except OSError:
        return False
