"""The dataset file: what NAME.h5 holds, how it is checked when read and how it is written in one piece.

Attributes `format = "neurosim-dataset"`, `version = 1`, `name`, `class_names`, `source`; datasets `train/images` and
`test/images`, uint8 `(N, channels, height, width)` or `(N, features)`, `train/labels` and `test/labels`, integers
`(N,)`. Optional, all three together: attribute `coarse_class_names`, datasets `train/coarse_labels` and
`test/coarse_labels`.
"""

from __future__ import annotations

import os
import secrets
from pathlib import Path

import h5py
import numpy as np
import torch
from torch import Tensor

from neurosim.datasets.dataset import Dataset, Split
from neurosim.errors import DataError

FORMAT = "neurosim-dataset"
VERSION = 1
SUFFIXES = (".h5", ".hdf5")


def read_dataset(path: str | os.PathLike[str]) -> Dataset:
    """Read a dataset file, whole arrays at once, into the cpu's memory.

    Raises:
        DataError: no such file, not HDF5, truncated, foreign, of a newer version, or any part missing or inconsistent;
            the message names the file, what was expected, what came and what to do.

    Example:
        >>> import tempfile
        >>> from neurosim.datasets import load_dataset
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = save_dataset(load_dataset("digits").subset(train=50, test=10), Path(folder, "mine.h5"))
        ...     read_dataset(path)
        Dataset('digits', 50 train + 10 test images of (1, 8, 8), 10 classes, cpu)
    """
    path = Path(path).expanduser()
    _check_signature(path)
    try:
        with h5py.File(path, "r") as file:
            _check_header(file)
            return _read_body(file)
    except DataError as error:
        raise DataError(f"{path}: {error}") from None
    except (OSError, RuntimeError, LookupError, TypeError, ValueError) as error:  # what h5py raises on damaged bytes
        raise DataError(
            f"{path}: expected a complete HDF5 file, but it is truncated or damaged ({error}); "
            "copy it again, or delete it if it can be downloaded again"
        ) from error


def _check_signature(path: Path) -> None:
    try:
        with path.open("rb") as raw:
            head = raw.read(8)
    except OSError as error:
        raise DataError(
            f"{path}: expected a readable dataset file, but it cannot be opened ({error.strerror}); check the path"
        ) from error
    if not h5py.is_hdf5(path):
        raise DataError(
            f"{path}: expected an HDF5 file, but it starts with {head!r}; "
            "write datasets with neurosim.datasets.save_dataset"
        )


def _check_header(file: h5py.File) -> None:
    kind = _text(file.attrs.get("format"))
    if not isinstance(kind, str) or kind != FORMAT:
        found = f"{kind!r}" if "format" in file.attrs else f"no such attribute beside {sorted(file.attrs)}"
        raise DataError(
            f"attribute format: expected {FORMAT!r}, found {found}; this file was written by something else, "
            "put its arrays into a Dataset and call neurosim.datasets.save_dataset"
        )
    version = file.attrs.get("version")
    if not isinstance(version, (int, np.integer)) or version < 1:
        raise DataError(f"attribute version: expected the integer {VERSION}, found {version!r}; write the file again")
    if version > VERSION:
        raise DataError(
            f"attribute version: expected at most {VERSION}, found {version}; a newer neurosim wrote this file, "
            "update neurosim to read it"
        )


def _read_body(file: h5py.File) -> Dataset:
    return Dataset(
        name=_read_text(file, "name"),
        class_names=_read_names(file, "class_names"),
        source=_read_text(file, "source"),
        train=_read_split(file, "train"),
        test=_read_split(file, "test"),
        coarse_class_names=_read_names(file, "coarse_class_names") if "coarse_class_names" in file.attrs else (),
    )


def _text(value: object) -> object:
    """Bytes, which is how other HDF5 writers store text, as str; anything else as it is."""
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else value


def _read_text(file: h5py.File, key: str) -> str:
    value = _text(file.attrs.get(key))
    if not isinstance(value, str):
        raise DataError(f"attribute {key}: expected a text, found {value!r}; add it")
    return value


def _read_names(file: h5py.File, key: str) -> tuple[str, ...]:
    value = file.attrs.get(key)
    names = [_text(name) for name in value.tolist()] if isinstance(value, np.ndarray) and value.ndim == 1 else []
    if not names or not all(isinstance(name, str) for name in names):
        raise DataError(f"attribute {key}: expected a list of texts, one for each class, found {value!r}; add it")
    return tuple(str(name) for name in names)


def _read_split(file: h5py.File, name: str) -> Split:
    images = _read_array(file, f"{name}/images", (2, 4))
    labels = _read_array(file, f"{name}/labels", (1,))
    coarse_key = f"{name}/coarse_labels"
    coarse = _read_array(file, coarse_key, (1,)) if coarse_key in file else None
    try:
        return Split(images, labels, coarse)
    except DataError as error:
        raise DataError(f"{name}/{error}") from None


def _read_array(file: h5py.File, key: str, axes: tuple[int, ...]) -> Tensor:
    """One dataset as a tensor: uint8 images (4 or 2 axes) or int64 labels (1 axis); refused before it is read."""
    node = file.get(key)
    is_labels = axes == (1,)
    wanted = "integers (N,)" if is_labels else "uint8 (N, channels, height, width) or (N, features)"
    if not isinstance(node, h5py.Dataset):
        found = "a group" if isinstance(node, h5py.Group) else "nothing"
        raise DataError(f"dataset {key}: expected {wanted}, found {found}; add it")
    fits = node.dtype.kind in "iu" if is_labels else node.dtype == np.uint8
    if not fits or node.shape is None or len(node.shape) not in axes:
        raise DataError(f"dataset {key}: expected {wanted}, found {node.dtype} {node.shape}; convert it")
    array = node[()]
    return torch.from_numpy(array.astype(np.int64) if is_labels else array)


def save_dataset(dataset: Dataset, path: str | os.PathLike[str], overwrite: bool = False) -> Path:
    """Write a dataset in the format that `load_dataset` reads, in one piece: whole, or not at all.

    Arrays are stored uncompressed, so that they load as fast as the disk reads.

    Args:
        dataset: on any device.
        path: a file name that ends in `.h5`, in a folder that exists.
        overwrite: replace a file that is there.

    Returns:
        The path written.

    Raises:
        DataError: another suffix, a file that is already there, a missing folder or a failing disk. What was at
            `path` before is then still there.

    Example:
        See `read_dataset`.
    """
    target = Path(path).expanduser()
    if target.suffix not in SUFFIXES:
        raise DataError(f"{target}: expected a file name that ends in .h5, found {target.suffix!r}; rename it")
    if target.exists() and not overwrite:
        raise DataError(f"{target}: expected no such file, but there is one; pass overwrite=True or another path")
    # not tempfile: its files are readable by their owner alone, and data folders are shared
    temporary = target.with_name(f".{target.name}.{os.getpid()}-{secrets.token_hex(4)}.tmp")
    try:
        _write(dataset, temporary)
        os.replace(temporary, target)
    except (OSError, RuntimeError, ValueError) as error:  # h5py reports a full disk as either of the first two
        raise DataError(
            f"{target}: expected to write a dataset file here, but it failed ({error}); "
            "check that the folder exists, is writable and has space"
        ) from error
    finally:
        temporary.unlink(missing_ok=True)
    return target


def _write(dataset: Dataset, path: Path) -> None:
    # from v108 on an attribute may exceed 64 KB (thousands of class names); v110 files open in every current reader
    with h5py.File(path, "x", libver=("v108", "v110")) as file:
        file.attrs["format"] = FORMAT
        file.attrs["version"] = VERSION
        file.attrs["name"] = dataset.name
        file.attrs["source"] = dataset.source
        for key in ("class_names", "coarse_class_names"):
            if names := getattr(dataset, key):
                file.attrs[key] = np.array(names, dtype=h5py.string_dtype())
        for name, split in (("train", dataset.train), ("test", dataset.test)):
            for key in ("images", "labels", "coarse_labels"):
                if (tensor := getattr(split, key)) is not None:
                    file[f"{name}/{key}"] = tensor.cpu().numpy()
    with path.open("rb+") as raw:
        os.fsync(raw.fileno())  # a power cut after the rename must not leave an empty file
