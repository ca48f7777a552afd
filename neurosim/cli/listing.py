"""What is installed, as lines of text."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from functools import partial

from neurosim.circuit_library import available_circuits
from neurosim.datasets import available_datasets
from neurosim.description import Description
from neurosim.gates import Gate
from neurosim.plasticity import Signal, available_rules
from neurosim.plotting.names import figure_lines
from neurosim.published import published_experiments
from neurosim.readout import Readout
from neurosim.relaxation import WeightRelaxation

#: signal -> heading of its column; presynaptic activity and the gate first, because every rule uses them
_HEADINGS = {
    Signal.PRESYNAPTIC: "pre",
    Signal.GATE: "gate",
    Signal.POSTSYNAPTIC: "post",
    Signal.ERROR: "error",
    Signal.SCALAR: "scalar",
    Signal.TARGET: "target",
    Signal.NOISE: "noise",
    Signal.FEEDBACK: "feedback",
    Signal.WEIGHTS: "weights",
}


def circuit_lines() -> list[str]:
    """Name and first line of every ready-made circuit."""
    return _aligned({name: _first_line(made) for name, made in available_circuits().items()})


def dataset_lines() -> list[str]:
    """Name and description of every dataset."""
    return _aligned(available_datasets())


def rule_lines() -> list[str]:
    """Every rule with the signals that a synapse must have access to."""
    rules = available_rules()
    width = max(map(len, rules))
    columns = "  ".join(_HEADINGS.values())
    rows = []
    for name, rule in rules.items():
        marks = (("x" if signal in rule.uses else ".").center(len(text)) for signal, text in _HEADINGS.items())
        rows.append(f"{name.ljust(width)}  {'  '.join(marks)}  {_first_line(rule)}")
    legend = ", ".join(f"{text}: {signal.value}" for signal, text in _HEADINGS.items())
    return [
        f"{' ' * width}  {columns}",
        *rows,
        "What a synapse below the output must have access to, as the rule declares and neurosim.testing checks:",
        legend,
    ]


def part_lines(kind: type[Description]) -> list[str]:
    """Class, hyperparameters and first line of every part of a circuit of one kind.

    Example:
        >>> part_lines(WeightRelaxation)[1].partition("  ")[0]
        'Relaxation(rate=1.0, every=1)'
    """
    return _aligned({f"{name}{_parameters(made)}": _first_line(made) for name, made in sorted(kind.known().items())})


def _parameters(made: type[Description]) -> str:
    """As in a call; defaults that have no words are left out."""
    plain = (bool, int, float, str, tuple, type(None))
    shown = [
        f"{part.name}={part.default!r}" if isinstance(part.default, plain) else part.name
        for part in inspect.signature(made).parameters.values()
    ]
    return f"({', '.join(shown)})"


def experiment_lines() -> list[str]:
    """Every published experiment with its test error."""
    return _aligned({name: f"test error {each.test_error:5.2f} %" for name, each in published_experiments().items()})


#: what `neurosim list` knows
LISTS: Mapping[str, Callable[[], list[str]]] = {
    "circuits": circuit_lines,
    "rules": rule_lines,
    "gates": partial(part_lines, Gate),
    "codes": partial(part_lines, Readout),
    "relaxations": partial(part_lines, WeightRelaxation),
    "datasets": dataset_lines,
    "experiments": experiment_lines,
    "figures": figure_lines,
}


def _aligned(rows: Mapping[str, str]) -> list[str]:
    width = max(map(len, rows), default=0)
    return [f"{name.ljust(width)}  {line}" for name, line in rows.items()]


def _first_line(thing: object) -> str:
    return ((thing.__doc__ or "").strip() or "(undocumented)").splitlines()[0]
