"""What can be recorded of a circuit: the variables of populations, synapse groups and biases."""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterable
from typing import SupportsIndex

import numpy as np
import torch
from torch import Tensor

from neurosim.circuit import INPUT, OUTPUT, Circuit
from neurosim.errors import SimulationError
from neurosim.simulator import Simulator
from neurosim.step import Step, bias_name


def recordable(circuit: Circuit) -> dict[str, tuple[str, ...]]:
    """Everything that can be recorded: population, group or ``"bias of POPULATION"`` -> its variables.

    Example:
        >>> from neurosim import circuits
        >>> found = recordable(circuits.load("digits-fc"))
        >>> found["fc1"], found["input->fc1"], found["bias of fc1"]
        (('activity', 'pre_activations', 'gates', 'credit'), ('weights', 'updates'), ('weights', 'updates'))
    """
    found = {name: _of_population(circuit, name) for name in circuit.populations}
    for name, group in circuit.groups.items():
        if group.connectivity.has_weights:
            found[name] = _of_parameter(group.rule is not None)
    for name, population in circuit.populations.items():
        if population.bias is not None:
            found[bias_name(name)] = _of_parameter(circuit.bias_rule(name) is not None)
    return found


def _of_parameter(learns: bool) -> tuple[str, ...]:
    return ("weights", "updates") if learns else ("weights",)


def _of_population(circuit: Circuit, name: str) -> tuple[str, ...]:
    population = circuit.populations[name]
    has = {
        "activity": True,
        "pre_activations": name != INPUT,
        "gates": population.gate is not None,
        "credit": not population.scalar and population.relay_of is None and len(_rules_into(circuit, name)) == 1,
        "error": name == OUTPUT,
    }
    return tuple(variable for variable, there in has.items() if there)


def _rules_into(circuit: Circuit, population: str) -> set[str]:
    return {str(group.rule) for group in circuit.into(population) if group.rule is not None}


def why_not(circuit: Circuit, target: str, variable: str) -> str:
    """A sentence more about a variable that other targets have."""
    if variable == "updates":
        return f"; '{target}' does not learn"
    if variable == "credit" and target in circuit.populations and target != INPUT:
        rules = _rules_into(circuit, target)
        return f"; its groups learn by {', '.join(sorted(rules))}" if rules else "; no rule delivers credit to it"
    return ""


def parameter(simulator: Simulator, target: str) -> Tensor:
    if target in simulator.circuit.groups:
        return simulator.weights[target]
    return simulator.biases[target.removeprefix(bias_name(""))]


#: variable -> its values of a whole batch, before anything is chosen or reduced
READ: dict[str, Callable[[str, Step, Simulator], Tensor]] = {
    "activity": lambda target, step, simulator: step.activity.activations[target],
    "pre_activations": lambda target, step, simulator: step.activity.pre_activations[target],
    "gates": lambda target, step, simulator: step.activity.gates[target],
    "credit": lambda target, step, simulator: step.credit(target),
    "error": lambda target, step, simulator: step.error,
    "weights": lambda target, step, simulator: parameter(simulator, target),
    "updates": lambda target, step, simulator: step.updates[target],
}


def named(name: str, variables: str | Iterable[str]) -> tuple[str, ...]:
    """The variables that a recorder is asked for, each once."""
    if isinstance(variables, str):
        return (variables,)
    listed = tuple(variables) if isinstance(variables, Iterable) else ()  # once: an iterator gives them only once
    if not isinstance(variables, Iterable) or not all(isinstance(each, str) for each in listed):
        raise SimulationError(
            f"Recorder '{name}': variables= must be the name of a variable or several, such as 'activity', got "
            f"{variables!r}"
        )
    return tuple(dict.fromkeys(listed))


def coordinates(name: str, indices: Iterable[SupportsIndex | Iterable[SupportsIndex]]) -> tuple[tuple[int, ...], ...]:
    """The indices that a recorder is asked for, each as a tuple of numbers."""
    if not isinstance(indices, Iterable) or getattr(indices, "ndim", 1) == 0:  # an array of one number is no row
        raise SimulationError(
            f"Recorder '{name}': indices= must be several numbers or tuples of numbers, such as [3], got {indices!r}"
        )
    return tuple(_coordinates(name, index) for index in indices)


def _coordinates(name: str, index: SupportsIndex | Iterable[SupportsIndex]) -> tuple[int, ...]:
    try:
        return (_number(name, index),)  # type: ignore[arg-type]
    except TypeError:  # also of arrays and tensors, which have an __index__ for the case that they hold one number
        pass
    try:
        return tuple(_number(name, number) for number in index)  # type: ignore[union-attr]
    except TypeError:
        raise SimulationError(f"Recorder '{name}': indices= are numbers or tuples of numbers, got {index!r}") from None


def _number(name: str, value: SupportsIndex) -> int:
    # True is 1 to operator.index: a mask would record units 1 and 0 over and over
    if isinstance(value, bool | np.bool_) or (isinstance(value, Tensor) and value.dtype == torch.bool):
        raise SimulationError(
            f"Recorder '{name}': indices= are numbers or tuples of numbers, got {value!r} as of a mask; use "
            f"numpy.flatnonzero(mask), or numpy.argwhere(mask) where it has several axes"
        )
    return operator.index(value)
