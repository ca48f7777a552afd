"""Alignment while training: how good the rule's credit is, at every checkpoint, into the run file."""

from __future__ import annotations

import json

import numpy as np

from neurosim.analysis.credit_quality import (
    SIGN_EXAMPLES,
    credit_quality,
    hidden_populations,
    learning_groups,
)
from neurosim.circuit import Circuit
from neurosim.description import is_count
from neurosim.errors import DataError, SimulationError
from neurosim.observers import CheckpointRow, Observer, Training
from neurosim.runs.format import ALIGNMENT, ALIGNMENT_EXAMPLES
from neurosim.runs.recorder import run_writer
from neurosim.runs.writer import RunWriter
from neurosim.simulator import Simulator

#: examples that Figures 2 and 6 of the paper are measured on: the first so many of the training set
EXAMPLES = 128

_ABOUT = {
    "degrees": "mean angle in degrees between the credit of the rule that learns and the exact one (Appendix D)",
    "relative_std": "r = |sigma / mu| of the exact credit over the units (Eqs. 18-22), median over examples",
    "signs_per_example": "share of weights with a gradient whose update has its sign, each example by itself",
    "signs_per_batch": "share of weights with a gradient whose update has its sign, of the whole batch",
}


class AlignmentRecorder(Observer):
    """Measures :func:`~neurosim.analysis.credit_quality.credit_quality` of the rules that learn at every checkpoint.

    It goes into the run file of the trainer's :class:`~neurosim.runs.recording.RunRecorder`, a row beside every
    checkpoint, the first before any training. What a rule draws for a batch comes from a stream of the step's own, so
    measuring takes nothing away: the run is the same, bit for bit, with and without.

    Args:
        examples: the first so many training images; None for 128, or all where there are fewer.
        sign_examples: the first so many of them whose updates are compared one by one, weight by weight.
        allow_gaps: let a resumed run be measured though earlier checkpoints were not; ``neurosim show`` names them.

    Raises:
        SimulationError: no :class:`~neurosim.runs.recording.RunRecorder` among the observers, or nothing to measure in
            the circuit.
        DataError: a resumed run whose last checkpoint was not measured, or that was measured on other numbers of
            examples; fewer training images than ``examples``.

    Example:
        >>> import tempfile
        >>> from pathlib import Path
        >>> from neurosim import circuits
        >>> from neurosim.datasets import load_dataset
        >>> from neurosim.runs.recording import RunRecorder
        >>> from neurosim.runs.run import Run
        >>> from neurosim.training import Trainer
        >>> data, simulator = load_dataset("digits").subset(train=64, test=32), Simulator(circuits.load("digits-fc"))
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = Path(folder, "run.h5")
        ...     watch = [RunRecorder(path), AlignmentRecorder(sign_examples=4)]
        ...     _ = Trainer(simulator, data, epochs=2, observers=watch).run()
        ...     list(Run(path).alignment("degrees")), Run(path).alignment("signs_per_example")["fc1->fc2"].tolist()
        (['epoch', 'fc1', 'fc2'], [1.0, 1.0])
    """

    def __init__(
        self, examples: int | None = None, sign_examples: int = SIGN_EXAMPLES, *, allow_gaps: bool = False
    ) -> None:
        for name, value in (("examples", examples), ("sign_examples", sign_examples)):
            if not (is_count(value) or (value is None and name == "examples")):
                raise SimulationError(f"AlignmentRecorder: {name}= must be an integer of at least 1, got {value!r}")
        self.examples, self.sign_examples, self.allow_gaps = examples, sign_examples, allow_gaps
        self._writer: RunWriter | None = None
        self._number = 0

    def check(self, circuit: Circuit) -> None:
        """Raise where ``circuit`` has neither hidden populations nor learning groups."""
        if not hidden_populations(circuit) and not learning_groups(circuit):
            raise SimulationError(
                "AlignmentRecorder: this circuit has no hidden population and no group that learns, so there is "
                "nothing to measure; leave the recorder out"
            )

    def on_start(self, trainer: Training) -> None:
        """Make room for a row a checkpoint."""
        if not isinstance(trainer.simulator, Simulator):
            raise SimulationError(f"AlignmentRecorder: it measures a Simulator, got {type(trainer.simulator).__name__}")
        circuit = trainer.simulator.circuit
        self.check(circuit)
        if sum(isinstance(each, AlignmentRecorder) for each in trainer.observers) > 1:
            raise SimulationError("AlignmentRecorder: two of them write into one run file; leave one out")
        there = len(trainer.dataset.train)
        if self.examples is not None and self.examples > there:
            raise DataError(
                f"AlignmentRecorder: expected a number of examples from 1 to {there}, the training images, got "
                f"{self.examples}"
            )
        self._number = min(EXAMPLES, there) if self.examples is None else int(self.examples)
        writer = run_writer(trainer, "AlignmentRecorder")
        self._settle(writer)
        self._refuse_gap(writer)
        due = len({*range(0, trainer.epochs + 1, trainer.checkpoint_every), trainer.epochs})
        writer.declare(f"{ALIGNMENT}/epoch", (), np.int64, capacity=due, about="number of epochs trained")
        for measure, about in _ABOUT.items():
            names = learning_groups(circuit) if measure.startswith("signs") else hidden_populations(circuit)
            for name in names:
                writer.declare(f"{ALIGNMENT}/{measure}/{name}", (), np.float64, capacity=due, about=about)
        self._writer = writer

    def _settle(self, writer: RunWriter) -> None:
        """Note of how many examples the tables are, where an earlier part of the run may have noted its own."""
        if len(writer.earlier(f"{ALIGNMENT}/epoch")) and ALIGNMENT_EXAMPLES not in writer.attributes:
            return  # rows of a version that did not note it: of how many examples they are is not known
        now = {"examples": self._number, "sign_examples": min(int(self.sign_examples), self._number)}
        before = json.loads(str(writer.attributes.get(ALIGNMENT_EXAMPLES, json.dumps(now))))
        different = [
            f"{name}= was {before[name]}, is {number}" for name, number in now.items() if before[name] != number
        ]
        if different:
            raise DataError(
                f"AlignmentRecorder: the run to resume was measured on other examples: {'; '.join(different)}. Use the "
                f"same numbers"
            )
        writer.attributes[ALIGNMENT_EXAMPLES] = json.dumps(now)

    def _refuse_gap(self, writer: RunWriter) -> None:
        checkpoints, measured = (writer.earlier(f"{table}/epoch") for table in ("checkpoints", ALIGNMENT))
        if self.allow_gaps or not len(checkpoints) or (len(measured) and measured[-1] == checkpoints[-1]):
            return
        last = f"the last that was measured is of epoch {int(measured[-1])}" if len(measured) else "none was measured"
        raise DataError(
            f"AlignmentRecorder: the run to resume has checkpoints up to epoch {int(checkpoints[-1])}, of which "
            f"{last}, so rows would not connect. Measure kept checkpoints with `neurosim align`, or use "
            f"allow_gaps=True to go on from here"
        )

    def on_checkpoint(self, trainer: Training, row: CheckpointRow) -> None:
        """Measure the weights of this moment and append a row."""
        assert self._writer is not None and isinstance(trainer.simulator, Simulator)
        first = trainer.dataset.train.first(self._number)
        found = credit_quality(trainer.simulator, first.images, first.labels, sign_examples=self.sign_examples)
        self._writer.append(f"{ALIGNMENT}/epoch", row.epoch)
        for measure in _ABOUT:
            for name, value in getattr(found, measure).items():
                self._writer.append(f"{ALIGNMENT}/{measure}/{name}", value)

    def on_end(self, trainer: Training, reason: str, error: BaseException | None) -> None:
        """Let go of the run file."""
        self._writer = None
