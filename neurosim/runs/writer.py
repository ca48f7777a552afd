"""Writing a run file so that a kill at any moment leaves the last commit intact; `format` says how it lies."""

from __future__ import annotations

import os
from collections.abc import Mapping
from io import FileIO
from pathlib import Path

import numpy as np
from attrs import evolve
from numpy.typing import ArrayLike, DTypeLike
from torch import Tensor

from neurosim.errors import DataError, UnknownNameError
from neurosim.runs.format import (
    COMMITS,
    RESUME,
    Array,
    Commit,
    Series,
    checksum,
    copy_rows,
    create,
    damaged,
    line_bytes,
    opened,
    read_series,
    read_state,
    series_of,
    to_array,
)
from neurosim.runs.places import Places, hold, parts, refuse_target, remove_leftover


class RunWriter:
    """Appends rows to a run file and commits them together with the state to resume from.

    The file appears under its name with the first commit, in one piece; until then, and whenever the structure must
    grow, it is prepared beside it as `.NAME.part0` or `.NAME.part1`. Use :meth:`create` or :meth:`resume`.

    Example:
        >>> import tempfile, torch
        >>> from neurosim.runs.run import Run
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = Path(folder, "run.h5")
        ...     writer = RunWriter.create(path, {"seed": 0}, {"weights/w": torch.zeros(2)})
        ...     writer.declare("activity/f1", (3,), "f4", about="mean activity of each unit")
        ...     writer.append("activity/f1", [1.0, 2.0, 3.0])
        ...     writer.commit({"weights/w": torch.ones(2)}, epoch=1)
        ...     writer.close()
        ...     run = Run(path)
        ...     print(run.series("activity/f1"), run.weights("w"))
        [[1. 2. 3.]] [1. 1.]
    """

    def __init__(self, path: Path, attributes: Mapping[str, str | int], state: Mapping[str, Tensor]) -> None:
        self._path = path
        self.attributes = dict(attributes)
        self._series: dict[str, Series] = {}
        self._rows: dict[str, int] = {}
        self._state_series = {key: series_of(tensor, 2) for key, tensor in state.items()}
        self._places: Places | None = None  # the file being written
        self._source: Path | None = None  # the file to resume from, until the first commit replaces it
        self._held: FileIO | None = None  # keeps other writers off the file that the first commit will replace
        self._last: Commit | None = None
        self._committed = False  # by this object
        self._outdated = True  # the structure on disk lacks something that was declared

    @classmethod
    def create(
        cls,
        path: Path,
        attributes: Mapping[str, str | int],
        state: Mapping[str, Tensor],
        *,
        overwrite: bool = False,
    ) -> RunWriter:
        """Begin a new run file; an older file of that name stays until the first commit.

        Args:
            path: the file.
            attributes: go to the root of the file.
            state: tensors of the names, shapes and types that commits will have (they may change later, at a cost).
            overwrite: replace an existing file.

        Raises:
            DataError: the file exists, its folder does not, or another process is writing it.
        """
        refuse_target(path, overwrite=overwrite)
        writer = cls(path, attributes, state)
        writer._held = hold(path) if path.exists() else None
        return writer

    @classmethod
    def resume(cls, path: Path, attributes: Mapping[str, str | int]) -> tuple[RunWriter, dict[str, Tensor]]:
        """Continue after the last commit of a run file; rows beyond it are dropped, the rest is kept.

        Returns:
            The writer, and the state of that commit. Nothing is changed before the writer's next commit.

        Raises:
            DataError: not a run file, damaged, without a state, or another process has it open.
        """
        with opened(path):
            pass  # a file that is no run is refused for that reason
        held = hold(path)  # before anything is read that another writer could change
        try:
            with opened(path) as file:
                found, series = read_state(path, file), read_series(file)
            if found is None:
                raise damaged(path, DataError("no state passes its checksums"))
        except DataError:
            held.close()
            raise
        last, state = found
        writer = cls(path, attributes, state)
        writer._held, writer._source, writer._last = held, path, last
        writer._rows = dict(last.rows)
        writer._series = {name: series[name] for name in last.rows}
        return writer, state

    @property
    def last(self) -> Commit | None:
        """The last commit, None before the first."""
        return self._last

    def rows(self, name: str) -> int:
        """Rows written so far, committed or not.

        Raises:
            UnknownNameError: the name was not declared.
        """
        if name not in self._rows:
            raise UnknownNameError("series", name, self._rows)
        return self._rows[name]

    def declare(
        self,
        name: str,
        shape: tuple[int, ...],
        dtype: DTypeLike,
        *,
        capacity: int = 64,
        about: str = "",
        torch_dtype: str = "",
    ) -> None:
        """Make room for rows of one shape; a resumed file keeps the rows that it has.

        Args:
            name: path in the file, such as `alignment/f1`.
            shape: of one row.
            dtype: of one row.
            capacity: rows expected in all. More are possible; each doubling copies the file once.
            about: meaning and unit, stored beside the data.
            torch_dtype: see `format.Series`.

        Raises:
            DataError: the name is taken by rows of another shape or type, or cannot be one.
        """
        series = Series(tuple(shape), np.dtype(dtype), max(1, capacity), about, torch_dtype)
        before = self._series.get(name)
        if before is None:
            self._refuse_name(name)
            self._rows[name] = 0
        elif not series.fits(before):
            raise DataError(
                f"{self._path}: expected rows of {before.shape} {before.dtype} for '{name}', as declared before, found "
                f"{series.shape} {series.dtype}; give them another name"
            )
        else:
            series = evolve(series, capacity=max(series.capacity, before.capacity))
        self._outdated = self._outdated or series != before
        self._series[name] = series

    def _refuse_name(self, name: str) -> None:
        parts = name.split("/")
        taken = [n for n in (*self._series, COMMITS) if n.startswith(f"{name}/") or f"{name}/".startswith(f"{n}/")]
        if "" in parts or "." in parts or taken or parts[0] == RESUME:
            raise DataError(
                f"{self._path}: expected a path such as 'alignment/f1' that meets no other, found '{name}'"
                f"{f', which meets {taken[0]!r}' if taken else ''}; choose another name"
            )

    def earlier(self, name: str) -> Array:
        """The rows that the run to resume has of a series, before anything is appended; of a new run or series none."""
        if self._source is None or not self._rows.get(name):
            return np.empty(0)
        with opened(self._source) as file:
            return np.asarray(file[name][: self._rows[name]])

    def append(self, name: str, row: ArrayLike) -> None:
        """Write the next row; it counts from the next commit on.

        Raises:
            UnknownNameError: the name was not declared.
            DataError: a row of another shape.
        """
        if name not in self._series:
            raise UnknownNameError("series", name, self._series)
        series, array = self._series[name], np.asarray(row, dtype=self._series[name].dtype)
        if array.shape != series.shape:
            raise DataError(
                f"{self._path}: expected a row of shape {series.shape} for '{name}', found {array.shape}; "
                "declare it with the shape of one row"
            )
        if self._rows[name] == series.capacity:
            self._series[name] = evolve(series, capacity=max(64, 2 * series.capacity))
            self._outdated = True
        self._file().write(name, self._rows[name], array)
        self._rows[name] += 1

    def commit(
        self,
        state: Mapping[str, Tensor] | None,
        *,
        epoch: int,
        status: str = "unfinished",
        reason: str = "",
        sync: bool = False,
    ) -> None:
        """Make everything appended so far valid, together with the state to resume from.

        Args:
            state: everything that the simulator needs to continue; None leaves it out of the file for good.
            epoch: epochs trained.
            status: `unfinished` or `finished`.
            reason: why the run ended.
            sync: let the disk have rows and state before the line that vouches for them. A kill loses nothing either
                way; this is for power failures.
        """
        layout = {key: series_of(tensor, 2) for key, tensor in (state or {}).items()}
        self._outdated = self._outdated or layout != self._state_series
        self._state_series = layout
        places, last = self._file(), self._last
        slot = 1 - last.slot if last and last.slot is not None else 0
        checksums: dict[str, int] = {}
        for key, tensor in (state or {}).items():
            array = to_array(tensor)
            checksums[key] = checksum(array)
            places.write(f"{RESUME}/{key}", slot, array)
        sequence = last.sequence + 1 if last else 1
        kept = None if state is None else slot
        self._write_line(Commit(sequence, epoch, status, reason, kept, checksums, dict(self._rows)), sync)
        self._publish()

    def mark(self, status: str, reason: str) -> None:
        """Note how a run ended that cannot commit any more: the last commit stays, with another status and reason."""
        if self._last is None or not self._committed:
            return
        if self._places is None or self._places.path != self._path:
            self._discard()
            self._places, self._held = Places(self._path, self._held), None
        self._write_line(evolve(self._last, sequence=self._last.sequence + 1, status=status, reason=reason))

    def trim(self) -> None:
        """Give up the room that was not needed, at the next commit."""
        for name, series in self._series.items():
            if series.capacity != self._rows[name]:
                self._series[name] = evolve(series, capacity=self._rows[name])
                self._outdated = True

    def close(self) -> None:
        """Let go of the file; what was not committed is dropped."""
        self._discard()
        self._release()

    def _release(self) -> None:
        if self._held is not None:
            self._held.close()
            self._held = None

    def _discard(self) -> None:
        if self._places is not None:
            self._places.close()
            if self._places.path != self._path:
                self._places.path.unlink(missing_ok=True)
            self._places = None

    def _file(self) -> Places:
        """The file to write to, with a place for everything declared."""
        if self._places is None or self._outdated:
            self._rebuild()
        assert self._places is not None
        return self._places

    def _rebuild(self) -> None:
        """Prepare a file of the structure needed now, beside the present one, with its rows."""
        old = self._places
        source = self._source if old is None else old.path
        unused = [part for part in parts(self._path) if part != source]
        series = self._series | {f"{RESUME}/{key}": one for key, one in self._state_series.items()}
        series[COMMITS] = Series((), np.dtype(f"S{line_bytes(series)}"), 2, "the last two commits, written in turn")
        for part in unused:
            remove_leftover(part)
        target = unused[0]
        try:
            create(target, self.attributes, series)
            if source is not None:
                copy_rows(source, target, self._rows)
            self._places = Places(target)
        except BaseException:  # a full disk, for instance
            target.unlink(missing_ok=True)
            raise
        self._outdated = False
        if old is not None and old.path == self._path:
            self._held = old.raw  # still the run's file, until the next commit
        elif old is not None:
            old.close()
            old.path.unlink()

    def _write_line(self, commit: Commit, sync: bool = False) -> None:
        assert self._places is not None
        if sync:
            self._places.sync()  # the line must not reach the disk before what it vouches for
        self._places.write(COMMITS, commit.sequence % 2, np.asarray(commit.encode(), self._places.dtype(COMMITS)))
        self._last = commit

    def _publish(self) -> None:
        """Give the file its name, in one step, replacing the one that it continues or overwrites."""
        assert self._places is not None
        if self._places.path != self._path:
            if not self._committed and self._held is None:
                refuse_target(self._path, overwrite=False)  # it was free when the run began
            os.replace(self._places.path, self._path)
            self._places.path = self._path
        self._release()
        self._committed = True
