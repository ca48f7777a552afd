"""Reading back what a :class:`~neurosim.runs.recorder.Recorder` wrote into a run file."""

from __future__ import annotations

import json
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
    """

    path: Path
    name: str
    target: str
    variables: tuple[str, ...]
    every: int
    indices: tuple[tuple[int, ...], ...] | None
    reduce: str | None
    rows: int

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
        return f"{self.name}: {', '.join(self.variables)}{target}{chosen}{what}, {every}, {self.rows} rows"


def read_recordings(path: Path) -> dict[str, Recording]:
    """Everything that recorders wrote into a run file, by name."""
    with opened(path) as file:
        noted = json.loads(file.attrs.get(RECORDERS, "{}"))
        rows = read_commits(path, file)[0].rows
    return {name: _recording(path, name, about, rows) for name, about in noted.items()}


def _recording(path: Path, name: str, about: dict[str, Any], rows: dict[str, int]) -> Recording:
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
    )
