"""What is installed, as lines of text, none longer than a terminal is wide."""

from __future__ import annotations

import inspect
import textwrap
from collections.abc import Callable, Mapping
from functools import partial

from neurosim.circuit_library import available_circuits
from neurosim.connectivity import Connectivity
from neurosim.datasets import available_datasets
from neurosim.description import Description
from neurosim.gates import Gate
from neurosim.initializers import Initializer
from neurosim.optimizers import OPTIMIZERS
from neurosim.plasticity import Signal, available_rules
from neurosim.plotting.names import figure_lines
from neurosim.published import published_experiments
from neurosim.readout import Readout
from neurosim.relaxation import WeightRelaxation
from neurosim.vectorization import Group, Temporal

#: characters a line, before `neurosim list` indents it by two
WIDTH = 116
#: order of time bins -> what it means
_ORDERS = {
    "replay": "The same as temporal: the stimulus is presented until gates and errors are known.",
    "causal": "One presentation; a circuit that needs more is refused.",
}
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
        rows += [f"{name.ljust(width)}  {'  '.join(marks)}".rstrip(), *_indented(_first_line(rule))]
    legend = ", ".join(f"{text}: {signal.value}" for signal, text in _HEADINGS.items())
    return [
        f"{' ' * width}  {columns}",
        *rows,
        "What a synapse below the output must have access to, as the rule declares and neurosim.testing checks:",
        *textwrap.wrap(legend, WIDTH, break_on_hyphens=False),
    ]


def part_lines(kind: type[Description]) -> list[str]:
    """Class and hyperparameters of every part of a circuit of one kind, each with its first line below.

    Example:
        >>> [line for line in part_lines(WeightRelaxation) if not line.startswith(" ")]
        ['NoiseRelaxation(presentations=100, rate=1.0, every=100)', 'Relaxation(rate=1.0, every=1)']
    """
    parts = sorted(kind.known().items())
    return [line for name, made in parts for line in (f"{name}{_parameters(made)}", *_indented(_first_line(made)))]


def _parameters(made: type[Description]) -> str:
    """As in a call; defaults that have no words are left out."""
    plain = (bool, int, float, str, tuple, type(None))
    shown = [
        f"{part.name}={part.default!r}" if isinstance(part.default, plain) else part.name
        for part in inspect.signature(made).parameters.values()
    ]
    return f"({', '.join(shown)})"


def loss_lines() -> list[str]:
    """The losses that every code has, the default first: as in ``OneHot(10, loss="squared")``."""
    codes = {name: made for name, made in sorted(Readout.known().items()) if issubclass(made, Readout)}
    return _aligned({name: ", ".join(made.losses) for name, made in codes.items()})


def vectorization_lines() -> list[str]:
    """The names that ``--vectorization`` takes, the default first."""
    kinds = {made.name: _first_line(made) for made in (Group, Temporal)}
    return _aligned(kinds | {f"{Temporal.name}:{order}": text for order, text in _ORDERS.items()})


def optimizer_lines() -> list[str]:
    """The names that ``--optimizer`` takes, the default first."""
    return _aligned({name: _first_line(made) for name, made in OPTIMIZERS.items()})


def experiment_lines() -> list[str]:
    """Every published experiment with its test error in percent, those of one network in a line."""
    networks: dict[str, list[str]] = {}
    for name, each in published_experiments().items():
        networks.setdefault(name.rpartition("/")[0], []).append(f"{name} {each.test_error:.2f}")
    width = max((len(entry) for entries in networks.values() for entry in entries), default=0)
    return [
        "Published test errors in percent. The beginning of a name stands for all that begin so.",
        *("  ".join(entry.ljust(width) for entry in entries).rstrip() for entries in networks.values()),
    ]


#: what `neurosim list` knows
LISTS: Mapping[str, Callable[[], list[str]]] = {
    "circuits": circuit_lines,
    "connectivities": partial(part_lines, Connectivity),
    "rules": rule_lines,
    "gates": partial(part_lines, Gate),
    "initializers": partial(part_lines, Initializer),
    "codes": partial(part_lines, Readout),
    "losses": loss_lines,
    "relaxations": partial(part_lines, WeightRelaxation),
    "vectorizations": vectorization_lines,
    "optimizers": optimizer_lines,
    "datasets": dataset_lines,
    "experiments": experiment_lines,
    "figures": figure_lines,
}


def _aligned(rows: Mapping[str, str]) -> list[str]:
    """Two columns; what is too long goes on below."""
    width = max(map(len, rows), default=0)
    return [
        f"{head.ljust(width)}  {line}"
        for name, text in rows.items()
        for head, line in zip(
            [name, *[""] * len(text)], textwrap.wrap(text, WIDTH - width - 2, break_on_hyphens=False), strict=False
        )
    ]


def _indented(text: str) -> list[str]:
    return textwrap.wrap(text, WIDTH, initial_indent="    ", subsequent_indent="    ", break_on_hyphens=False)


def _first_line(thing: object) -> str:
    return ((thing.__doc__ or "").strip() or "(undocumented)").splitlines()[0]
