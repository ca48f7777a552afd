"""How a run lies in its HDF5 file, and why a process killed at any moment cannot spoil it.

HDF5 writes the structure of the file (superblock, groups, the places of all chunks) once, while the file is still a
temporary one beside its final name. From then on the structure never changes: every row of every dataset already has
its place on disk, nothing but raw bytes is written there, and HDF5 itself does not have the file open. So any HDF5
program opens the file at any moment, while it grows and after a kill. (HDF5's own single-writer mode leaves a mark in
a killed file that ordinary programs refuse to open.)

What of these places is valid is said by two slots of `commits`, written in turn as the last act of an epoch:

    rows      append, never overwritten    epochs/*, checkpoints/*, checkpoints/state/*, streams of other recorders
    state     two slots, written in turn   resume/*: everything that the simulator needs to continue
    commits   two slots, written in turn   checksum of the line, then JSON: epoch, rows of every dataset, state slot

A line or a state cut off in the middle fails its checksum, and the other slot holds the epoch before. Places that are
not reached yet take no space on disk (the file is sparse).
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import torch
from attrs import asdict, evolve, frozen
from torch import Tensor

from neurosim.errors import DataError, NeurosimError

FORMAT = "neurosim-run"
VERSION = 1
COMMITS = "commits"
RESUME = "resume"
CHECKPOINT_STATE = "checkpoints/state"
#: what a Recorder writes, and the attribute that tells its settings
RECORDED = "recorded"
RECORDERS = "recorders"
#: what an AlignmentRecorder writes, and the attribute that tells of how many examples
ALIGNMENT = "alignment"
ALIGNMENT_EXAMPLES = "alignment_examples"

ABOUT = (
    "One training run, written by neurosim and read by neurosim.runs.run.Run. Of every dataset in epochs, checkpoints "
    "and so on, the first rows are valid, as many as the newest line of 'commits' says; all, once the run is finished."
)

#: a chunk holds about this many bytes, and at least one row
CHUNK_BYTES = 1 << 16
#: HDF5 cannot index a chunk beyond 4 GiB; such rows lie in one piece
LARGEST_CHUNK = (1 << 32) - 1
COPY_BYTES = 1 << 24
LONGEST_REASON = 1000

Array = np.ndarray[Any, np.dtype[Any]]


@frozen
class Series:
    """A dataset `(capacity, *shape)` whose rows have their places from the start.

    Args:
        shape: the shape of one row.
        dtype: numpy's.
        capacity: number of places.
        about: meaning and unit, stored beside the data.
        torch_dtype: the tensor's, where numpy has no such type and the bytes are stored as integers (bfloat16).
    """

    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    capacity: int
    about: str = ""
    torch_dtype: str = ""

    @property
    def row_bytes(self) -> int:
        """Bytes of one row."""
        return int(np.prod(self.shape, dtype=np.int64)) * self.dtype.itemsize

    @property
    def chunk(self) -> tuple[int, ...] | None:
        """Shape of a chunk; None where HDF5 cannot chunk."""
        if not self.capacity or not self.row_bytes:
            return None
        rows = min(self.capacity, max(1, CHUNK_BYTES // self.row_bytes))
        return (rows, *self.shape) if rows * self.row_bytes <= LARGEST_CHUNK else None

    def fits(self, other: Series) -> bool:
        """Whether the other's rows can be rows of this."""
        return (self.shape, self.dtype, self.torch_dtype) == (other.shape, other.dtype, other.torch_dtype)


@frozen
class Commit:
    """What is valid in the file as of one moment.

    Args:
        sequence: grows by one each commit.
        epoch: epochs trained.
        status: `unfinished`, `finished` or `failed`.
        reason: why the run ended, in words.
        slot: which of the two state slots belongs to this moment; None: the state was left out.
        checksums: CRC-32 of each tensor of the state.
        rows: number of valid rows of each series, in the order in which they were declared.
    """

    sequence: int
    epoch: int
    status: str
    reason: str
    slot: int | None
    checksums: dict[str, int]
    rows: dict[str, int]

    def encode(self) -> bytes:
        """One line: checksum, then JSON."""
        shortened = evolve(self, reason=self.reason[:LONGEST_REASON])
        body = json.dumps(asdict(shortened), ensure_ascii=False).encode(errors="replace")
        return b"%08x %s" % (zlib.crc32(body), body)

    @classmethod
    def decode(cls, line: bytes) -> Commit | None:
        """The commit, or None where the line is empty, cut off or damaged."""
        checksum, _, body = line.partition(b" ")
        if not body or checksum != b"%08x" % zlib.crc32(body):
            return None
        return cls(**json.loads(body))


def line_bytes(series: Mapping[str, Series]) -> int:
    """Room for the longest line that a run with these series can need."""
    longest = Commit(
        sequence=1 << 63,
        epoch=1 << 63,
        status="unfinished",
        reason="",
        slot=1,
        checksums={name: 1 << 32 for name in series},
        rows={name: 1 << 63 for name in series},
    )
    return len(longest.encode()) + 6 * LONGEST_REASON  # a character takes up to 4 bytes, or 6 where JSON escapes it


def to_array(tensor: Tensor) -> Array:
    """A tensor's numbers on the cpu; bfloat16, which numpy lacks, as integers of the same bytes."""
    plain = tensor.detach().to("cpu").contiguous()
    return (plain.view(torch.int16) if plain.dtype == torch.bfloat16 else plain).numpy()


def to_tensor(array: Array, torch_dtype: str) -> Tensor:
    """The inverse of `to_array`."""
    tensor = torch.from_numpy(np.array(array))  # a copy: what HDF5 returns for a 0-d dataset is no array
    return tensor.view(torch.bfloat16) if torch_dtype == "bfloat16" else tensor


def series_of(tensor: Tensor, capacity: int, about: str = "") -> Series:
    """The series whose rows are tensors like this one."""
    empty = to_array(torch.empty(0, dtype=tensor.dtype, device="cpu"))
    special = "bfloat16" if tensor.dtype == torch.bfloat16 else ""
    return Series(tuple(tensor.shape), empty.dtype, capacity, about, special)


def raw_bytes(array: Array) -> memoryview:
    """The bytes of an array, for writing and for checksums."""
    return np.ascontiguousarray(array).reshape(-1).view(np.uint8).data


def checksum(array: Array) -> int:
    """CRC-32 of an array's bytes."""
    return zlib.crc32(raw_bytes(array))


def create(path: Path, attributes: Mapping[str, str | int], series: Mapping[str, Series]) -> None:
    """Write a new file with its whole structure and room for all rows, and close it."""
    with h5py.File(path, "w") as file:
        file.attrs.update({"format": FORMAT, "version": VERSION, "about": ABOUT, **attributes})
        for name, one in series.items():
            dataset = _allocate(file, name, one)
            if one.about:
                dataset.attrs["about"] = one.about
            if one.torch_dtype:
                dataset.attrs["torch_dtype"] = one.torch_dtype


def _allocate(file: h5py.File, name: str, series: Series) -> h5py.Dataset:
    properties = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    properties.set_alloc_time(h5py.h5d.ALLOC_TIME_EARLY)  # every chunk gets its place now
    fill = _fill_value(series)
    properties.set_fill_time(h5py.h5d.FILL_TIME_NEVER if fill is None else h5py.h5d.FILL_TIME_ALLOC)
    return file.create_dataset(
        name, (series.capacity, *series.shape), series.dtype, chunks=series.chunk, fillvalue=fill, dcpl=properties
    )


def _fill_value(series: Series) -> float | None:
    """Rows of a table not reached yet read as nan or -1; anything larger is left as a hole in the file."""
    if series.shape or series.dtype.kind not in "if":
        return None
    return float("nan") if series.dtype.kind == "f" else -1


def copy_rows(source: Path, target: Path, rows: Mapping[str, int]) -> None:
    """Copy the first rows of each series from one run file into the new structure of another."""
    with h5py.File(source, "r") as old, h5py.File(target, "r+") as new:
        for name in (name for name, count in rows.items() if count):  # one that is new has no rows to copy
            count, before, after = rows[name], old[name], new[name]
            block = max(1, COPY_BYTES // max(1, before.nbytes // max(1, len(before))))
            for start in range(0, count, block):
                after[start : min(start + block, count)] = before[start : min(start + block, count)]


def read_series(file: h5py.File) -> dict[str, Series]:
    """The series of an open run file, without `commits` and the states to resume from."""
    found: dict[str, Series] = {}

    def visit(name: str, item: object) -> None:
        if isinstance(item, h5py.Dataset) and name != COMMITS and not name.startswith(f"{RESUME}/"):
            about = str(item.attrs.get("about", ""))
            found[name] = Series(item.shape[1:], item.dtype, len(item), about, torch_type(item))

    file.visititems(visit)
    return found


@contextmanager
def opened(path: Path) -> Iterator[h5py.File]:
    """A run file for reading, checked.

    Raises:
        DataError: no such file, not HDF5, truncated or damaged, not a run file, of a newer version, nothing committed.
    """
    if path.is_dir():
        raise DataError(
            f"{path}: expected a run file, found a folder; name run files one by one, or see what a folder of "
            f"`neurosim reproduce` holds with `neurosim reproduce --report --out {path}`"
        )
    if not path.is_file():
        raise DataError(f"{path}: expected a run file, but there is no such file; check the path")
    try:
        if not h5py.is_hdf5(path):
            raise DataError(f"{path}: expected a run file (HDF5), found a file of another format; choose a run's file")
        file = h5py.File(path, "r")
    except OSError as error:
        raise damaged(path, error) from error
    with file:
        try:
            _check_header(path, file)
            yield file
        except NeurosimError:
            raise
        except (OSError, RuntimeError, LookupError, TypeError) as error:  # what h5py raises on damaged bytes
            raise damaged(path, error) from error


def damaged(path: Path, error: Exception) -> DataError:
    """The error that a truncated or damaged file deserves."""
    return DataError(
        f"{path}: expected a complete run file, but it is truncated or damaged ({error}); "
        "copy it again from where it was written"
    )


def _check_header(path: Path, file: h5py.File) -> None:
    found = file.attrs.get("format")
    if isinstance(found, str) and found == "neurosim-representations":
        raise DataError(
            f"{path}: expected a run file, found what `neurosim represent` recorded; draw it with `neurosim plot "
            f"figure-3a {path}`, or name the run that it was made from"
        )
    if not isinstance(found, str) or found != FORMAT:
        raise DataError(
            f"{path}: expected attribute format = {FORMAT!r}, found {found!r}; this HDF5 file is not a neurosim run"
        )
    version = file.attrs.get("version")
    if version != VERSION:
        raise DataError(
            f"{path}: expected version {VERSION} of the run format, found {version}; "
            "read it with the version of neurosim that wrote it"
        )


def read_commits(path: Path, file: h5py.File) -> list[Commit]:
    """The valid commits, newest first.

    Raises:
        DataError: there is none.
    """
    lines = [Commit.decode(bytes(line)) for line in file[COMMITS][:]]
    commits = sorted((c for c in lines if c is not None), key=lambda c: c.sequence, reverse=True)
    if not commits:
        raise damaged(path, DataError("no valid commit"))
    return commits


def read_state(
    path: Path, file: h5py.File, keys: Collection[str] | None = None
) -> tuple[Commit, dict[str, Tensor]] | None:
    """The newest state that is whole, and the commit that it belongs to.

    Args:
        path: for messages.
        file: open for reading. What HDF5 has read once it may not read again: open anew to see later commits.
        keys: only these tensors, None: all.

    Returns:
        None where no state passes its checksums: damage, or two commits since the file was opened.

    Raises:
        DataError: the state was left out of the file.
    """
    commits = read_commits(path, file)
    if commits[0].slot is None:
        raise DataError(
            f"{path}: expected the simulator's state, but this run was recorded with checkpoints='none', which leaves "
            "it out at the end; train again with checkpoints='last' or 'all'"
        )
    for commit in commits:
        wanted = commit.checksums if keys is None else [key for key in keys if key in commit.checksums]
        datasets = {key: file[f"{RESUME}/{key}"] for key in wanted}
        arrays = {key: np.asarray(dataset[commit.slot]) for key, dataset in datasets.items()}
        if all(checksum(array) == commit.checksums[key] for key, array in arrays.items()):
            return commit, {key: to_tensor(array, torch_type(datasets[key])) for key, array in arrays.items()}
    return None


def torch_type(dataset: h5py.Dataset) -> str:
    """The tensor's type where numpy has none of that name, else empty."""
    return str(dataset.attrs.get("torch_dtype", ""))
