"""Recording what goes on in a circuit while it learns: activity, gates, credit, weights, updates."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Sequence
from functools import partial
from numbers import Integral
from types import EllipsisType
from typing import SupportsIndex

import numpy as np
import torch
from torch import Tensor

from neurosim.circuit import Circuit
from neurosim.errors import DataError, SimulationError, UnknownNameError
from neurosim.forward import Keep
from neurosim.observers import Observer, Training
from neurosim.runs.format import RECORDED, RECORDERS
from neurosim.runs.recordable import READ, coordinates, named, parameter, recordable, why_not
from neurosim.runs.recording import RunRecorder
from neurosim.runs.writer import RunWriter
from neurosim.simulator import Simulator
from neurosim.step import Step, Watch

REDUCTIONS = ("mean", "std", "norm")
STEP = "step"


class Recorder(Observer):
    """Records one population, synapse group or bias while it learns, into the run file of a :class:`RunRecorder`.

    Row n belongs to one step of learning: the batch as it was presented, with the weights that it met, and the update
    that it led to, before that update was made. So the first row, of step 0, shows the circuit as it was drawn. Rows
    are chosen and reduced on the device, copied from it once a row, written at once and kept by nobody; the run is the
    same, bit for bit, with and without.

    ====================  =====================  =========================================================
    target                variable               shape of a batch's values
    ====================  =====================  =========================================================
    population            ``activity``           ``(batch, K, *units)``, of scalar populations ``(batch, *units)``
    ..                    ``pre_activations``    the same, before the gate
    ..                    ``gates``              ``(batch, *units)``
    ..                    ``credit``             ``(batch, *units)``; ``(batch, K, *units)`` if it is per component
    ``"output"``          ``error``              ``(batch, K, *units)``
    group, or ``"bias     ``weights``            of the weight or bias
    of POPULATION"``      ``updates``            the same: the gradient that the optimizer descends
    ====================  =====================  =========================================================

    Args:
        target: name of a population, of a synapse group, or ``"bias of POPULATION"``.
        variables: one or several of those above.
        every: steps between rows; the batches of all epochs are counted, from 0.
        indices: which units to keep, or which weights; None: all. A unit of a population of shape ``(n,)`` is a
            number, one of another shape a tuple of a number per axis; so is a weight. Of a mask
            ``numpy.flatnonzero(mask)`` or ``numpy.argwhere(mask)`` gives them. ``*units``, or the weight's
            shape, becomes one axis ``(len(indices),)``.
        reduce: what is left of a row. ``"mean"`` and ``"std"`` (without Bessel's correction): over the examples of
            the batch, one number for each component and unit; of weights and updates, which have no examples, over
            all of them, one number. ``"norm"``: the Euclidean norm over components and units, the mean of it over the
            examples; of weights and updates over all of them: one number. None: everything, ``(batch, ...)``, NaN
            where the last batch of an epoch is shorter.
        name: under which the run file keeps it, by default the target's; two recorders of one target need names.
        allow_gaps: let a resumed run be recorded though steps that it learned before have no row, because this
            recorder was not there. :attr:`~neurosim.runs.recorded.Recording.gaps` and ``neurosim show`` name them.

    Raises:
        SimulationError, UnknownNameError: when training starts: no such population, group, variable or unit, or no
            :class:`RunRecorder` among the observers. The message lists those that exist.
        DataError: a resumed run that was recorded with other settings under this name, or in which the rows would not
            connect.

    Example:
        >>> import tempfile
        >>> from pathlib import Path
        >>> from neurosim import Simulator, circuits
        >>> from neurosim.datasets import load_dataset
        >>> from neurosim.runs.run import Run
        >>> from neurosim.training import Trainer
        >>> data = load_dataset("digits").subset(train=64, test=32)
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = Path(folder, "run.h5")
        ...     watch = [RunRecorder(path), Recorder("fc1", ["activity", "gates"], every=2, indices=range(5))]
        ...     trainer = Trainer(Simulator(circuits.load("digits-fc")), data, epochs=3, batch_size=32, observers=watch)
        ...     result, recording = trainer.run(), Run(path).recorded("fc1")
        ...     recording.steps.tolist(), recording["activity"].shape, recording["gates"].shape
        ([0, 2, 4], (3, 10, 5), (3, 5))
    """

    def __init__(
        self,
        target: str,
        variables: str | Iterable[str],
        *,
        every: SupportsIndex = 10,
        indices: Iterable[SupportsIndex | Iterable[SupportsIndex]] | None = None,
        reduce: str | None = "mean",
        name: str | None = None,
        allow_gaps: bool = False,
    ) -> None:
        if not isinstance(target, str):
            raise SimulationError(f"Recorder: target= must be the name of a population or a group, got {target!r}")
        self.target, self.name = target, target if name is None else name
        self.variables = named(str(self.name), variables)
        self.reduce, self.allow_gaps = reduce, allow_gaps
        self.indices = None if indices is None else coordinates(str(self.name), indices)
        if not self.variables or self.indices == ():
            raise SimulationError(f"Recorder '{self.name}': expected at least one variable and one index, got none")
        if isinstance(every, bool) or not isinstance(every, Integral) or int(every) < 1:
            raise SimulationError(f"Recorder '{self.name}': every= must be a number of steps, 1 or more, got {every!r}")
        self.every = int(every)  # of numpy's integers too; it is kept in the run file as plain data
        if reduce is not None and reduce not in REDUCTIONS:
            raise UnknownNameError("reduction", str(reduce), [*REDUCTIONS, "None"])
        if not isinstance(self.name, str) or not self.name or "/" in self.name or self.name == ".":
            raise SimulationError(f"Recorder: name= must be a text without '/', got {self.name!r}")
        self._next = 0
        self._writer: RunWriter | None = None

    def check(self, circuit: Circuit) -> None:
        """Raise where ``circuit`` has no such target or variable."""
        known = recordable(circuit)
        if self.target not in known:
            raise UnknownNameError("population or synapse group to record", self.target, known)
        for variable in self.variables:
            if variable not in known[self.target]:
                why = why_not(circuit, self.target, variable)
                raise UnknownNameError(f"variable of '{self.target}'", variable, known[self.target], why)

    def on_start(self, trainer: Training) -> None:
        """Find out the shape of a row, and make room for all rows."""
        simulator, recorders = trainer.simulator, [each for each in trainer.observers if isinstance(each, Recorder)]
        if not isinstance(simulator, Simulator):
            raise SimulationError(f"Recorder '{self.name}': it watches a Simulator, got {type(simulator).__name__}")
        if [each.name for each in recorders].count(self.name) > 1:
            raise SimulationError(
                f"Recorder '{self.name}': two recorders of that name; record all variables of a target with one, or "
                f"give one of them another name="
            )
        self.check(simulator.circuit)
        writer = run_writer(trainer, f"Recorder '{self.name}'")
        self._settle(writer)
        self._next = trainer.epoch * trainer.steps_per_epoch
        self._refuse_gap(writer)
        first = trainer.dataset.train.first(1)
        probed = simulator.probe(first.images, first.labels)
        self._keep = self._wanted()
        self._chosen = self._choice(simulator)
        self._batch = min(trainer.batch_size, len(trainer.dataset.train))
        due = math.ceil(trainer.epochs * trainer.steps_per_epoch / self.every)
        writer.declare(f"{self._place}/{STEP}", (), np.int64, capacity=due, about="steps learned before this batch")
        for variable in self.variables:
            row = self._row(variable, probed, simulator)
            kind = torch.empty(0, dtype=row.dtype, device="cpu").numpy().dtype
            name, about = f"{self._place}/{variable}", self._about(variable)
            writer.declare(name, tuple(row.shape), kind, capacity=due, about=about)
        self._writer = writer

    def watch(self, trainer: Training) -> Watch | None:
        """Count; look at every so many steps."""
        number, self._next = self._next, self._next + 1
        if number % self.every:
            return None
        assert isinstance(trainer.simulator, Simulator)
        return Watch(self._keep, partial(self._see, number, trainer.simulator))

    def on_end(self, trainer: Training, reason: str, error: BaseException | None) -> None:
        """Let go of the run file."""
        self._writer = None

    @property
    def settings(self) -> dict[str, object]:
        """What was asked for, as plain data; a resumed run must ask for the same."""
        indices = None if self.indices is None else [list(index) for index in self.indices]
        return {
            "target": self.target, "variables": list(self.variables), "every": self.every, "indices": indices,
            "reduce": self.reduce,
        }  # fmt: skip

    @property
    def _place(self) -> str:
        return f"{RECORDED}/{self.name}"

    def _settle(self, writer: RunWriter) -> None:
        """Note the settings in the file's attributes, where an earlier part of the run may have left its own."""
        noted = json.loads(str(writer.attributes.get(RECORDERS, "{}")))
        before = noted.setdefault(self.name, self.settings)
        now = self.settings.items()
        different = [f"{key} was {before[key]!r}, is {value!r}" for key, value in now if before[key] != value]
        if different:
            raise DataError(
                f"Recorder '{self.name}': the run to resume was recorded with other settings: {'; '.join(different)}. "
                f"Use the same ones, or another name="
            )
        writer.attributes[RECORDERS] = json.dumps(noted)

    def _refuse_gap(self, writer: RunWriter) -> None:
        """Raise where the run to resume has learned steps that are due and were not recorded."""
        due = range(0, self._next, self.every)
        recorded = writer.earlier(f"{self._place}/{STEP}")
        if self.allow_gaps or not due or (len(recorded) and recorded[-1] == due[-1]):
            return
        last = f"the last row is of step {int(recorded[-1])}" if len(recorded) else "none was recorded"
        raise DataError(
            f"Recorder '{self.name}': the run to resume has learned {self._next} steps, of which {last}, so rows would "
            f"not connect. Record a run from its beginning, or use allow_gaps=True to go on from here"
        )

    def _wanted(self) -> Keep:
        """What the step must keep. Credit needs nothing of its own, but in time it is seen in a pass with the gates."""
        named = {variable: frozenset([self.target]) for variable in self.variables}
        gates = named.get("gates", frozenset[str]()) | named.get("credit", frozenset())
        return Keep(named.get("activity", frozenset()), gates, named.get("pre_activations", frozenset()))

    def _choice(self, simulator: Simulator) -> tuple[Tensor, ...] | None:
        """One tensor of coordinates for each axis of the units or of the weight."""
        if self.indices is None:
            return None
        shape = self._entries(simulator)
        for index in self.indices:
            if len(index) != len(shape) or not all(0 <= i < n for i, n in zip(index, shape, strict=True)):
                kind = "a number" if len(shape) == 1 else f"a tuple of {len(shape)} numbers"
                raise SimulationError(
                    f"Recorder '{self.name}': '{self.target}' has the shape {tuple(shape)}; each of indices= is {kind} "
                    f"within it, counted from 0, got {index[0] if len(index) == 1 else index}"
                )
        return tuple(torch.tensor(axis, device=simulator.device) for axis in zip(*self.indices, strict=True))

    def _entries(self, simulator: Simulator) -> Sequence[int]:
        populations = simulator.circuit.populations
        if self.target in populations:
            return populations[self.target].shape
        return parameter(simulator, self.target).shape

    def _row(self, variable: str, step: Step, simulator: Simulator) -> Tensor:
        """A row as the file keeps it, on the device."""
        examples = variable not in ("weights", "updates")
        values = READ[variable](self.target, step, simulator)
        if self._chosen is not None:
            place: tuple[EllipsisType | Tensor, ...] = (..., *self._chosen)
            values = values[place]
        if self.reduce is not None:
            return _reduced(values, self.reduce, examples)
        if examples and len(values) < self._batch:
            padding = values.new_full((self._batch - len(values), *values.shape[1:]), torch.nan)
            return torch.cat([values, padding])
        return values

    @torch.no_grad()
    def _see(self, number: int, simulator: Simulator, step: Step) -> None:
        rows = [self._row(variable, step, simulator) for variable in self.variables]
        assert self._writer is not None
        self._writer.append(f"{self._place}/{STEP}", number)
        for variable, row in zip(self.variables, _to_host(rows), strict=True):
            self._writer.append(f"{self._place}/{variable}", row.numpy())

    def _about(self, variable: str) -> str:
        """A line for people who open the file with another program."""
        examples = variable not in ("weights", "updates")
        over = "the examples of the batch" if examples else "all entries"
        reduced = {
            None: "",
            "mean": f", mean over {over}",
            "std": f", standard deviation over {over}",
            "norm": ", Euclidean norm" + (" of each example, mean over the batch" if examples else ""),
        }[self.reduce]
        chosen = "" if self.indices is None else f", of {len(self.indices)} chosen entries"
        return f"{variable} of '{self.target}'{chosen}{reduced}, before the update of the step"


def run_writer(trainer: Training, who: str) -> RunWriter:
    """What the run file of the trainer's :class:`RunRecorder` is written with.

    Raises:
        SimulationError: there is no RunRecorder among the observers.
    """
    for observer in trainer.observers:
        if isinstance(observer, RunRecorder):
            return observer.writer
    raise SimulationError(
        f"{who}: it writes into a run file, but nothing records the run; add RunRecorder('run.h5') to the trainer's "
        f"observers"
    )


def _reduced(values: Tensor, reduce: str, examples: bool) -> Tensor:
    reduced: Tensor
    if reduce == "norm":
        axes = tuple(range(int(examples), values.ndim))
        reduced = torch.linalg.vector_norm(values, dim=axes).mean()
    else:
        axes = (0,) if examples else tuple(range(values.ndim))
        reduced = values.mean(axes) if reduce == "mean" else values.std(axes, correction=0)
    return reduced


def _to_host(rows: Sequence[Tensor]) -> Sequence[Tensor]:
    """On the cpu, in one copy."""
    if rows[0].device.type == "cpu":
        return rows
    sizes = [row.numel() for row in rows]
    parts = torch.cat([row.reshape(-1) for row in rows]).to("cpu").split(sizes)
    return [part.view(row.shape) for part, row in zip(parts, rows, strict=True)]
