"""Reading back what a :class:`~neurosim.runs.recorder.Recorder` wrote into a run file."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from attrs import frozen

from neurosim.errors import UnknownNameError
from neurosim.runs.format import RECORDED, RECORDERS, Array, opened, read_commits


@frozen(eq=False)
class Recording(Mapping[str, Array]):
    """What one recorder wrote: variable -> ``(rows, *shape of a row)``, read from the file when asked for.

    Attributes:
        path: the run file.
        name: of the recorder.
        target: population, synapse group or ``"bias of POPULATION"``.
        variables: in the order of the recorder.
        every: steps between rows.
        indices: the units or weights that were kept, a tuple of coordinates each; None: all.
        reduce: what a row was reduced to, see :class:`~neurosim.runs.recorder.Recorder`.
        rows: how many were committed when this was made; a run under way may have more by now.
        learned: steps that the run had learned by then.
    """

    path: Path
    name: str
    target: str
    variables: tuple[str, ...]
    every: int
    indices: tuple[tuple[int, ...], ...] | None
    reduce: str | None
    rows: int
    learned: int

    @property
    def gaps(self) -> tuple[tuple[int, int], ...]:
        """First and last step of every stretch that was due and has no row, in order; none where all is there.

        A recorder that joins a run when it is resumed, or is left out then, leaves one.
        """
        due = np.arange(0, self.learned, self.every)
        missing = np.setdiff1d(due, self.steps)
        ends = np.flatnonzero(np.diff(missing) != self.every) + 1
        return tuple((int(part[0]), int(part[-1])) for part in np.split(missing, ends) if len(part))

    @property
    def steps(self) -> Array:
        """``(rows,)``: how many steps had been learned before the batch of each row."""
        return self.read("step")

    def __getitem__(self, variable: str) -> Array:
        if variable not in self.variables:
            raise UnknownNameError(f"variable recorded of '{self.name}'", variable, self.variables)
        return self.read(variable)

    def __iter__(self) -> Iterator[str]:
        return iter(self.variables)

    def __len__(self) -> int:
        return len(self.variables)

    def read(self, variable: str, start: int = 0, stop: int | None = None) -> Array:
        """Some rows of a variable, or of ``"step"``, where all of them would not fit in memory."""
        rows = range(self.rows)[start:stop]
        with opened(self.path) as file:
            return np.asarray(file[f"{RECORDED}/{self.name}/{variable}"][rows.start : rows.stop])

    def __str__(self) -> str:
        what = {None: "", "norm": ", norm"}.get(self.reduce, f", {self.reduce}")
        target = "" if self.name == self.target else f" of {self.target}"
        chosen = "" if self.indices is None else f", {len(self.indices)} chosen"
        every = "every step" if self.every == 1 else f"every {self.every} steps"
        rows = f"{self.rows} rows"
        if gaps := self.gaps:
            rows += f" from step {self.steps[0]} on" if self.rows else ""
            rows += f", missing steps: {', '.join(in_range(first, last) for first, last in gaps)}"
        return f"{self.name}: {', '.join(self.variables)}{target}{chosen}{what}, {every}, {rows}"


def in_range(first: int, last: int) -> str:
    """``first to last``, one number where they are the same."""
    return f"{first}" if first == last else f"{first} to {last}"


def read_recordings(path: Path) -> dict[str, Recording]:
    """Everything that recorders wrote into a run file, by name."""
    with opened(path) as file:
        noted = json.loads(file.attrs.get(RECORDERS, "{}"))
        commit = read_commits(path, file)[0]
        batch_size = json.loads(file.attrs["config"])["batch_size"] if noted else 1
        learned = commit.epoch * math.ceil(int(file.attrs["dataset_train_size"]) / batch_size) if noted else 0
    return {name: _recording(path, name, about, commit.rows, learned) for name, about in noted.items()}


def _recording(path: Path, name: str, about: dict[str, Any], rows: dict[str, int], learned: int) -> Recording:
    indices = about["indices"]
    return Recording(
        path=path,
        name=name,
        target=about["target"],
        variables=tuple(about["variables"]),
        every=about["every"],
        indices=None if indices is None else tuple(map(tuple, indices)),
        reduce=about["reduce"],
        rows=rows.get(f"{RECORDED}/{name}/step", 0),
        learned=learned,
    )
