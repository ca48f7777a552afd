"""A run file as bytes: the place of every row, whole writes, and keeping other writers off."""

from __future__ import annotations

import os
import sys
import time
from io import FileIO
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from neurosim.errors import DataError
from neurosim.runs.format import Array, raw_bytes

if sys.platform != "win32":
    import fcntl

#: seconds that a writer waits for those who read its file; another writer holds it for longer
PATIENCE = 2.0


class Places:
    """An open run file as bytes: where each row of each dataset lies."""

    def __init__(self, path: Path, raw: FileIO | None = None) -> None:
        self.path = path
        self._starts: dict[str, tuple[Array, int]] = {}
        self._dtypes: dict[str, np.dtype[Any]] = {}
        with h5py.File(path, "r") as file:
            file.visititems(self._locate)
        self.raw = raw or hold(path)

    def _locate(self, name: str, item: object) -> None:
        if not isinstance(item, h5py.Dataset):
            return
        self._dtypes[name] = item.dtype
        rows = item.chunks[0] if item.chunks else max(1, len(item))
        if item.chunks:
            rest = (0,) * (item.ndim - 1)
            corners = [item.id.get_chunk_info_by_coord((i, *rest)).byte_offset for i in range(0, len(item), rows)]
        else:
            corners = [item.id.get_offset() or 0]
        self._starts[name] = np.asarray(corners, dtype=np.int64), rows

    def dtype(self, name: str) -> np.dtype[Any]:
        """The type of a dataset's numbers."""
        return self._dtypes[name]

    def write(self, name: str, row: int, array: Array) -> None:
        """Put a row in its place."""
        starts, rows = self._starts[name]
        data = raw_bytes(array)
        write_all(self.raw, int(starts[row // rows]) + row % rows * len(data), data)

    def sync(self) -> None:
        """Wait for the disk."""
        os.fsync(self.raw.fileno())

    def close(self) -> None:
        """Let go of the file."""
        self.raw.close()


def write_all(raw: FileIO, offset: int, data: memoryview) -> None:
    """Write bytes at an offset; a single call to the system may take only a part of them."""
    raw.seek(offset)
    while data:
        data = data[raw.write(data) :]


def refuse_target(path: Path, *, overwrite: bool) -> None:
    """Raise a DataError where a new run file cannot be written."""
    if not path.parent.is_dir():
        raise DataError(f"{path}: expected an existing folder, found none at {path.parent}; create it first")
    if not os.access(path.parent, os.W_OK):
        raise DataError(f"{path}: expected a folder that can be written, found {path.parent} read-only")
    if path.is_dir():
        raise DataError(f"{path}: expected a file name, found a folder; add a name such as run.h5")
    if path.exists() and not overwrite:
        raise DataError(
            f"{path}: this file exists already; continue it with --resume (in Python resume=True), replace it with "
            "--overwrite (overwrite=True), or choose another name"
        )


def parts(path: Path) -> tuple[Path, Path]:
    return path.with_name(f".{path.name}.part0"), path.with_name(f".{path.name}.part1")


def remove_leftover(part: Path) -> None:
    """A killed process may have left a file being prepared; one that is still being written is not touched."""
    if part.exists():
        hold(part).close()
        part.unlink()


def hold(path: Path) -> FileIO:
    """Open a file for writing bytes and keep other writers off, but let HDF5 programs read it.

    A program that reads just now, such as a report of a folder whose run is being resumed, is waited for a moment.

    Raises:
        DataError: another process has it open, and does not let go of it.
    """
    try:
        raw = FileIO(path, "r+")
    except OSError as error:
        raise DataError(f"{path}: expected a file that can be written ({error.strerror}); choose another") from error
    try:
        _lock_when_free(raw)
    except BlockingIOError as error:
        raw.close()
        raise DataError(
            f"{path}: expected a file that nobody else uses, but another process is writing or reading it; "
            "wait for it, end it, or choose another name"
        ) from error
    return raw


def _lock_when_free(raw: FileIO) -> None:
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            return _lock(raw)
        except BlockingIOError:
            if time.monotonic() >= deadline:
                raise
            time.sleep(0.02)


def _lock(raw: FileIO) -> None:
    if sys.platform == "win32":  # two writers of one file are not noticed there
        return
    try:
        fcntl.flock(raw, fcntl.LOCK_EX | fcntl.LOCK_NB)
        fcntl.flock(raw, fcntl.LOCK_SH)  # HDF5 readers take a shared lock too, so they are welcome from now on
    except BlockingIOError:
        raise
    except OSError:  # a file system without locks
        return
