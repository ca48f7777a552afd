"""Dataset names: those neurosim knows, those other packages register, and the files of the data folder.

Another package registers a callable `(data_dir: Path | None) -> Dataset` in its pyproject.toml; the first line of the
callable's docstring describes it, and `cached` keeps what it downloads:

    [project.entry-points."neurosim.datasets"]
    stripes = "my_package.stripes:load"
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType

import numpy as np
import torch
from attrs import field, frozen

from neurosim.datasets.dataset import Dataset, Split
from neurosim.datasets.hdf5 import SUFFIXES, read_dataset, save_dataset
from neurosim.datasets.torchvision_source import download
from neurosim.errors import DataError, UnknownNameError
from neurosim.plugins import PluginWarning, left_out, load_entry_points, not_callable

GROUP = "neurosim.datasets"
ENVIRONMENT = "NEUROSIM_DATA"
NUMERALS = tuple("0123456789")

Loader = Callable[[Path | None], Dataset]


@frozen
class DatasetEntry:
    """What is known about a dataset before any file is read.

    Args:
        description: one line.
        image_shape: `(channels, height, width)`.
        classes: the number of classes.
        load: makes the dataset, given the data folder or None.
    """

    description: str
    image_shape: tuple[int, int, int]
    classes: int
    load: Loader = field(repr=False)


def load_dataset(
    name_or_path: str | os.PathLike[str] = "digits", data_dir: str | os.PathLike[str] | None = None
) -> Dataset:
    """A dataset by name, or from a file in the format of `save_dataset`.

    A name is looked up among `DATASETS`, then as NAME.h5 in the data folder, then among the plug-ins of the group
    `neurosim.datasets`. Those of `DATASETS` that need files are read from NAME.h5 in the data folder; where that is
    missing, torchvision downloads and verifies them there and NAME.h5 is written, so that the next start is instant.

    Args:
        name_or_path: a name; or a path, which is anything with a folder in it or ending in `.h5`.
        data_dir: the data folder; by default the environment variable NEUROSIM_DATA.

    Returns:
        The dataset, on the cpu.

    Raises:
        UnknownNameError: nothing has this name.
        DataError: no data folder for a dataset that needs one, a failed download, or a bad file (see `read_dataset`).

    Example:
        >>> load_dataset("digits")
        Dataset('digits', 1437 train + 360 test images of (1, 8, 8), 10 classes, cpu)
    """
    if _is_path(name_or_path):
        return read_dataset(name_or_path)
    name, folder = str(name_or_path), _data_folder(data_dir)
    if name in DATASETS:
        return _checked(name, DATASETS[name], folder)
    if folder is not None and (folder / f"{name}.h5").is_file():
        return read_dataset(folder / f"{name}.h5")
    return _load_plugin(name, _loader_of(name), folder)


def refuse_unknown(name_or_path: str | os.PathLike[str], data_dir: str | os.PathLike[str] | None = None) -> None:
    """Refuse what `load_dataset` would not find, without reading or downloading anything.

    Raises:
        UnknownNameError: nothing has this name.
        DataError: no file at a path.

    Example:
        >>> refuse_unknown("mnst")
        Traceback (most recent call last):
        ...
        neurosim.errors.UnknownNameError: unknown dataset 'mnst'; did you mean 'mnist'? Known: cifar10, ...
    """
    if _is_path(name_or_path):
        if not Path(name_or_path).is_file():
            read_dataset(name_or_path)  # says what is wrong with it
        return
    name, folder = str(name_or_path), _data_folder(data_dir)
    if name not in DATASETS and not (folder is not None and (folder / f"{name}.h5").is_file()):
        _loader_of(name)


def available_datasets() -> dict[str, str]:
    """Every dataset that `load_dataset` knows by name, plug-ins included, with one line about each.

    A plug-in that cannot be imported is left out, with a `PluginWarning` that names it.

    Example:
        >>> available_datasets()["digits"]
        'handwritten digits embedded in scikit-learn, no files needed; (1, 8, 8), 10 classes'
    """
    lines = {
        name: f"{entry.description}; {entry.image_shape}, {entry.classes} classes" for name, entry in DATASETS.items()
    }
    for name, load in _plugins().items():
        lines[name] = next(iter((load.__doc__ or "").strip().splitlines()), "from a plug-in without a description")
    return lines


def cached(name: str, data_dir: Path | None, fetch: Callable[[Path], Dataset]) -> Dataset:
    """NAME.h5 of the data folder; where it is missing, what `fetch(folder)` returns, which becomes NAME.h5.

    For datasets that come from files, plug-ins included.

    Raises:
        DataError: there is no data folder, the file is bad or holds a dataset of another name, or writing it failed.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     first = cached("digits", Path(folder), lambda folder: load_dataset("digits"))
        ...     again = cached("digits", Path(folder), lambda folder: 1 / 0)
        >>> first.fingerprint == again.fingerprint
        True
    """
    if data_dir is None:
        raise DataError(
            f"dataset '{name}': expected a folder for its files, but none is set; set the environment variable "
            f"{ENVIRONMENT} or pass --data-dir (in Python: data_dir=), or use 'digits', which needs no files"
        )
    path = data_dir / f"{name}.h5"
    exists = path.exists()
    dataset = read_dataset(path) if exists else fetch(data_dir)
    if dataset.name != name:
        raise DataError(
            f"{path}: expected the dataset '{name}', found one named '{dataset.name}'; "
            "give the file its own name, or load it by its path"
        )
    if not exists:
        save_dataset(dataset, path, overwrite=True)  # another process may have written the same meanwhile
    return dataset


def _is_path(name_or_path: str | os.PathLike[str]) -> bool:
    if isinstance(name_or_path, os.PathLike):
        return True
    if not isinstance(name_or_path, str) or not name_or_path:
        raise DataError(f"expected the name of a dataset or the path of a dataset file, found {name_or_path!r}")
    return Path(name_or_path).suffix in SUFFIXES or Path(name_or_path).name != name_or_path


def _data_folder(data_dir: str | os.PathLike[str] | None) -> Path | None:
    folder = data_dir or os.environ.get(ENVIRONMENT)
    return Path(folder).expanduser() if folder else None


def _checked(name: str, entry: DatasetEntry, folder: Path | None) -> Dataset:
    """The entry's dataset; a file of the right name may still hold another shape than this name promises."""
    dataset = entry.load(folder)
    if (dataset.image_shape, dataset.classes) != (entry.image_shape, entry.classes):
        raise DataError(
            f"dataset '{name}': expected images of {entry.image_shape} in {entry.classes} classes, found "
            f"{dataset.image_shape} in {dataset.classes}; {name}.h5 in {folder} holds other data, "
            "rename it and load it by its path"
        )
    return dataset


def _plugins() -> dict[str, Loader]:
    """What other packages register, by name, except under a name of ours."""
    found: dict[str, Loader] = load_entry_points(GROUP, not_callable)
    for name in found.keys() & DATASETS.keys():
        warnings.warn(
            f"{GROUP}: plug-in '{name}' is left out, because neurosim itself has a dataset of this name; "
            "register it under another one",
            PluginWarning,
            stacklevel=3,
        )
        del found[name]
    return found


def _loader_of(name: str) -> Loader:
    plugins = _plugins()
    if name not in plugins:
        raise UnknownNameError("dataset", name, [*DATASETS, *plugins], left_out(GROUP, not_callable))
    return plugins[name]


def _load_plugin(name: str, load: Loader, folder: Path | None) -> Dataset:
    dataset: object = load(folder)
    if not isinstance(dataset, Dataset):
        raise DataError(
            f"dataset plug-in '{name}': expected it to return a neurosim.datasets.Dataset, found "
            f"{type(dataset).__name__}; correct the plug-in"
        )
    return dataset


def _load_digits(data_dir: Path | None) -> Dataset:
    """scikit-learn's digits: pixels 0..16 as 0..255, 36 images of each class for testing, the other 1,437 to learn."""
    from sklearn.datasets import load_digits  # here: importing it takes a second that other datasets need not pay

    bunch = load_digits()
    images = np.rint(bunch.images * (255 / 16)).astype(np.uint8)[:, None]
    labels = bunch.target.astype(np.int64)
    # A private RandomState, not a named stream: numpy guarantees its numbers for ever, and the split is no run's draw.
    random = np.random.RandomState(0)
    order = random.permutation(len(labels))
    test = np.zeros(len(labels), dtype=bool)
    for digit in range(10):
        test[np.flatnonzero(labels[order] == digit)[:36]] = True

    def split(members: np.ndarray) -> Split:
        chosen = random.permutation(members)  # again: the choice above took each class from the front
        return Split(torch.from_numpy(images[chosen]), torch.from_numpy(labels[chosen]))

    source = "scikit-learn's copy of the UCI optical recognition of handwritten digits, fixed stratified split"
    return Dataset("digits", NUMERALS, source, split(order[~test]), split(order[test]))


def _from_torchvision(
    name: str, kind: str, image_shape: tuple[int, int, int], classes: int, description: str
) -> DatasetEntry:
    """An entry for `torchvision.datasets.<kind>`, kept in NAME.h5 of the data folder."""
    class_names = NUMERALS if kind == "MNIST" else None  # torchvision says "0 - zero"

    def load(data_dir: Path | None) -> Dataset:
        return cached(name, data_dir, lambda folder: download(name, kind, folder, class_names))

    return DatasetEntry(description, image_shape, classes, load)


_DIGITS = "handwritten digits embedded in scikit-learn, no files needed"
_MNIST = "handwritten digits, 60,000 train + 10,000 test images"
_FASHION = "grey images of clothing, 60,000 train + 10,000 test images"
_CIFAR10 = "colour images of animals and vehicles, 50,000 train + 10,000 test images"
_CIFAR100 = "colour images in 100 classes and 20 superclasses, 50,000 train + 10,000 test images"

DATASETS: Mapping[str, DatasetEntry] = MappingProxyType(
    {
        "digits": DatasetEntry(_DIGITS, (1, 8, 8), 10, _load_digits),
        "mnist": _from_torchvision("mnist", "MNIST", (1, 28, 28), 10, _MNIST),
        "fashion-mnist": _from_torchvision("fashion-mnist", "FashionMNIST", (1, 28, 28), 10, _FASHION),
        "cifar10": _from_torchvision("cifar10", "CIFAR10", (3, 32, 32), 10, _CIFAR10),
        "cifar100": _from_torchvision("cifar100", "CIFAR100", (3, 32, 32), 100, _CIFAR100),
    }
)
