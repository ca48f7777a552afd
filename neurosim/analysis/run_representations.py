"""Representations from run files: activity, embedding and cluster quality before and after training, in one file."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from importlib.metadata import version
from pathlib import Path

import attrs
import h5py
import numpy as np

from neurosim.analysis.cluster_quality import cluster_quality, refuse_classes
from neurosim.analysis.embedding import APPENDIX_J, EmbeddingSettings, embed, refuse_few
from neurosim.analysis.representation_file import FORMAT, VERSION, Representation, read_group, refuse_target
from neurosim.analysis.representations import populations_of, save_activity
from neurosim.circuit import Circuit
from neurosim.datasets import Dataset, Split
from neurosim.errors import DataError, UnknownNameError
from neurosim.runs.rebuilt import dataset_of, put_back, simulator_of
from neurosim.runs.run import Run
from neurosim.runs.series import label, title_of

#: images that are embedded unless somebody says how many: t-SNE of them takes a minute or two
EXAMPLES = 2000
_SPLITS = ("train", "test")


def represent(
    runs: Sequence[Run],
    path: Path,
    *,
    populations: Sequence[str] = (),
    epochs: Sequence[str] = ("first", "last"),
    examples: int | None = None,
    split: str = "test",
    settings: EmbeddingSettings = APPENDIX_J,
    keep_activity: bool = True,
    overwrite: bool = False,
    data_dir: str | Path | None = None,
    dataset: str | None = None,
    device: str = "cpu",
    tell: Callable[[Representation], None] = lambda made: None,
) -> list[Representation]:
    """Write activity, embedding and cluster quality of populations at checkpoints of runs, in one HDF5 file.

    All is checked before anything is computed, and the file appears when it is complete.

    Args:
        runs: recorded with the weights of the epochs that are asked for.
        path: the file.
        populations: of every run; by default the one of Figure 3,
            see :func:`~neurosim.analysis.representations.populations_of`.
        epochs: numbers, ``first`` (0, before training), ``last``, or ``all`` whose weights were kept.
        examples: the first so many images of the split; by default 2,000, or all where there are fewer.
        split: ``test`` or ``train``.
        settings: of PCA and t-SNE.
        keep_activity: False to leave it out of the file once it is embedded; it is what takes room.
        overwrite: replace an existing file of representations; no other file is ever replaced.
        data_dir, dataset: as in :func:`~neurosim.analysis.run_alignment.run_alignment`.
        device: where activity is computed.
        tell: is called with each representation as it is made.

    Returns:
        One a run, epoch and population, in this order.

    Raises:
        DataError: a file that exists, weights that were not kept, other images than the run's, too few of them.
        UnknownNameError: a population or split that does not exist.

    Example:
        >>> import tempfile
        >>> from neurosim import Simulator, circuits
        >>> from neurosim.datasets import load_dataset
        >>> from neurosim.runs.recording import RunRecorder
        >>> from neurosim.training import Trainer
        >>> data = load_dataset("digits").subset(train=64, test=60)
        >>> quick = EmbeddingSettings(perplexity=5, iterations=20)
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = Path(folder, "run.h5")
        ...     _ = Trainer(Simulator(circuits.load("digits-fc")), data, epochs=1, observers=[RunRecorder(path)]).run()
        ...     found = represent([Run(path)], Path(folder, "seen.h5"), settings=quick)
        >>> [(each.population, each.epoch, each.embedding.shape) for each in found]
        [('fc2', 0, (60, 2)), ('fc2', 1, (60, 2))]
    """
    refuse_target(path, [run.path for run in runs], overwrite=overwrite)
    if split not in _SPLITS:
        raise UnknownNameError("split", split, _SPLITS)
    plans = [
        _Plan.of(run, populations, epochs, images_of(run, split, examples, data_dir, dataset), split, settings)
        for run in runs
    ]
    made = []
    with _appearing(path) as file, _scratch(path, needed=not keep_activity) as scratch:
        file.attrs.update({"format": FORMAT, "version": VERSION, "neurosim": version("neurosim-plasticity")})
        for number, plan in enumerate(plans):
            for epoch in plan.epochs:
                group = file.create_group(f"run{number}/epoch{epoch}")
                activity = group if scratch is None else scratch.create_group(group.name)
                for name in plan.write(epoch, group, activity, device, settings):
                    made.append(read_group(path, group, name))
                    tell(made[-1])
    return made


def epochs_of(run: Run, wanted: Sequence[str]) -> list[int]:
    """The epochs of a run that ``first``, ``last``, ``all`` and numbers mean, in order, each once.

    Raises:
        DataError: the weights of one were not kept, or a word that means no epoch.
    """
    kept, found = run.kept_epochs, set[int]()
    for word in wanted:
        if word not in ("first", "last", "all") and not word.isdecimal():
            raise DataError(f"epochs: expected numbers, 'first', 'last' or 'all', got {word!r}")
        if word in ("last", "all"):
            found.update(kept[-1:] if word == "last" else kept)
        else:
            found.add(0 if word == "first" else int(word))
    missing = sorted(found - set(kept))
    if missing or not kept:
        raise DataError(
            f"{run.path}: expected the weights of epoch {', '.join(map(str, missing)) or '0 or later'}, found those of "
            f"epochs: {', '.join(map(str, kept)) or 'none'}; record with RunRecorder(..., checkpoints='all') at "
            "the Trainer's checkpoint_every= (`neurosim train --checkpoint-every`), or with `neurosim reproduce "
            "--checkpoints all`"
        )
    return sorted(found)


def images_of(
    run: Run, split: str, examples: int | None, data_dir: str | Path | None, dataset: str | None
) -> tuple[Dataset, Split]:
    """A run's dataset, and the first so many images of one split."""
    data = dataset_of(run, data_dir, dataset)
    whole: Split = getattr(data, split)
    if examples is not None and not 1 <= examples <= len(whole):
        raise DataError(
            f"{run.path}: expected a number of examples from 1 to {len(whole)}, the {split} images of the run, "
            f"found {examples}"
        )
    return data, whole.first(min(examples or EXAMPLES, len(whole)))


@attrs.frozen(eq=False)
class _Plan:
    """What is to be written of one run, checked."""

    run: Run
    populations: tuple[str, ...]
    epochs: list[int]
    images: Split
    about: dict[str, str | int]

    @classmethod
    def of(
        cls,
        run: Run,
        populations: Sequence[str],
        epochs: Sequence[str],
        data: tuple[Dataset, Split],
        split: str,
        settings: EmbeddingSettings,
    ) -> _Plan:
        dataset, images = data
        refuse_few(len(images), settings)
        refuse_classes(images.labels.cpu().numpy())
        circuit = Circuit.from_json(run.circuit_json)
        about: dict[str, str | int] = {
            "run": run.path.as_posix(),
            "label": label(circuit),
            "title": title_of(str(run.attributes["dataset"]), circuit),
            "seed": int(run.attributes["seed"]),
            "config": json.dumps(run.config),
            "dataset": dataset.name,
            "dataset_fingerprint": str(run.attributes["dataset_fingerprint"]),
            "dataset_train_size": len(dataset.train),
            "class_names": json.dumps(dataset.class_names),
            "split": split,
            "examples": len(images),
        }
        names = populations_of(circuit, populations, where=str(run.path))
        return cls(run, names, epochs_of(run, epochs), images, about)

    def write(
        self, epoch: int, group: h5py.Group, activity: h5py.Group, device: str, settings: EmbeddingSettings
    ) -> Iterator[str]:
        """Everything of one epoch; yields each population's name when it is done."""
        group.attrs.update(self.about | {"epoch": epoch, "circuit": self.run.circuit_json})
        labels = self.images.labels.cpu().numpy()
        group.create_dataset("labels", data=labels, compression="gzip")
        simulator = simulator_of(self.run, device)
        put_back(simulator, self.run, epoch)
        save_activity(simulator, self.images, activity, self.populations)
        for name in self.populations:
            points = embed(activity[name]["activity"], settings)
            made = group.require_group(name).create_dataset("embedding", data=points.astype(np.float32))
            group[name].attrs["population"] = name
            made.attrs.update(attrs.asdict(settings) | {"openTSNE": version("openTSNE")})
            made.attrs["cluster_quality"] = cluster_quality(points, labels)
            made.attrs["cluster_quality_rms"] = cluster_quality(points, labels, squared=False)
            yield name


@contextmanager
def _appearing(path: Path) -> Iterator[h5py.File]:
    """A new file that takes its place when it is complete; what fails leaves the old one."""
    beside = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with h5py.File(beside, "w") as file:
            yield file
        beside.replace(path)
    except OSError as error:
        raise DataError(f"{path}: the file cannot be written: {error}") from error
    finally:
        with suppress(OSError):  # it is in its place, or its folder could not be made
            beside.unlink(missing_ok=True)


@contextmanager
def _scratch(path: Path, *, needed: bool) -> Iterator[h5py.File | None]:
    """Room on the same disk for activity that is not kept."""
    if not needed:
        yield None
        return
    place = path.with_name(f".{path.name}.{os.getpid()}.activity")
    try:
        with h5py.File(place, "w") as file:
            yield file
    finally:
        place.unlink(missing_ok=True)
