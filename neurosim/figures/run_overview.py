"""One picture of a run: the circuit above, its learning curve below."""

from __future__ import annotations

import os
from typing import Any

from neurosim.circuit import Circuit
from neurosim.figures.circuit import add_axes, draw_diagram
from neurosim.figures.circuit_diagram import laid_out
from neurosim.figures.learning_curve import draw_learning_curves
from neurosim.runs.run import Run

#: height of the learning curve, its labels included, in inches
_CURVE = 3.6


def draw_run(path: str | os.PathLike[str]) -> Any:
    """A matplotlib figure of a run file; nothing is written."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    run = Run(path)
    circuit = Circuit.from_json(run.circuit_json)
    diagram = laid_out(circuit)
    width = max(6.0, diagram.size[0])
    height = diagram.height + _CURVE
    figure = Figure(figsize=(width, height))
    FigureCanvasAgg(figure)
    draw_diagram(diagram, add_axes(figure, diagram))
    below = figure.add_axes((0.65 / width, 0.5 / height, 1 - 0.85 / width, (_CURVE - 0.7) / height))
    rules = sorted({type(group.rule).__name__ for group in circuit.groups.values() if group.rule is not None})
    draw_learning_curves({" + ".join(rules) or "frozen": run.epochs}, ax=below)
    return figure
