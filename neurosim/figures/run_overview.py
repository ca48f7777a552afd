"""One picture of a run: the circuit above, its learning curve below."""

from __future__ import annotations

import os
from typing import Any

from neurosim.circuit import Circuit
from neurosim.figures.circuit import draw_circuit
from neurosim.figures.learning_curve import draw_learning_curves
from neurosim.runs.run import Run


def draw_run(path: str | os.PathLike[str]) -> Any:
    """A matplotlib figure of a run file; nothing is written."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    run = Run(path)
    circuit = Circuit.from_json(run.circuit_json)
    figure = Figure(figsize=(max(6.0, 1.4 * len(circuit.populations)), 5.5), layout="constrained")
    FigureCanvasAgg(figure)
    above, below = figure.subplots(2, 1, height_ratios=[1, 1.7])
    draw_circuit(circuit, ax=above)
    rules = sorted({type(group.rule).__name__ for group in circuit.groups.values() if group.rule is not None})
    draw_learning_curves({" + ".join(rules) or "frozen": run.epochs}, ax=below)
    return figure
