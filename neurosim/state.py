"""A simulator's tensors as one flat table, and back: all or nothing."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from neurosim.errors import SimulationError

_MOST_NAMES = 5


def collect(
    weights: Mapping[str, Tensor],
    biases: Mapping[str, Tensor],
    gates: Mapping[str, Tensor],
    parameters: Mapping[str, Tensor],
    optimizer: torch.optim.Optimizer | None,
) -> dict[str, Tensor]:
    """``weights/GROUP``, ``biases/POPULATION``, ``gates/POPULATION/CONSTANT``, ``optimizer/SLOT/PARAMETER``."""
    state = {f"weights/{name}": tensor for name, tensor in weights.items()}
    state |= {f"biases/{name}": tensor for name, tensor in biases.items()}
    state |= {f"gates/{name}": tensor for name, tensor in gates.items()}
    if optimizer is not None:
        for name, parameter in parameters.items():
            for slot, value in optimizer.state.get(parameter, {}).items():
                if isinstance(value, Tensor):
                    state[f"optimizer/{slot}/{name}"] = value
    return state


def restore(
    state: Mapping[str, Tensor],
    weights: Mapping[str, Tensor],
    biases: Mapping[str, Tensor],
    gates: Mapping[str, Tensor],
    parameters: Mapping[str, Tensor],
    optimizer: torch.optim.Optimizer | None,
) -> None:
    """Copy ``state`` in place. The optimizer's state becomes exactly what ``state`` holds, nothing if it holds none.

    Raises:
        SimulationError: names missing or unknown, shapes that differ; then nothing has changed.
    """
    own = collect(weights, biases, gates, parameters, None)
    given = {name for name in state if not name.startswith("optimizer/")}
    _refuse("is missing", sorted(own.keys() - given))
    _refuse("does not belong to this circuit:", sorted(given - own.keys()))
    for name, tensor in own.items():
        if tensor.shape != state[name].shape:
            raise SimulationError(
                f"state '{name}': expected the shape {tuple(tensor.shape)}, got {tuple(state[name].shape)}; "
                f"the state belongs to another circuit"
            )
    slots = _optimizer_slots(state, parameters)
    with torch.no_grad():
        for name, tensor in own.items():
            tensor.copy_(state[name])
    if optimizer is not None:
        optimizer.state.clear()
        for name, values in slots.items():
            optimizer.state[parameters[name]] = values


def _optimizer_slots(state: Mapping[str, Tensor], parameters: Mapping[str, Tensor]) -> dict[str, dict[str, Tensor]]:
    slots: dict[str, dict[str, Tensor]] = {}
    for key, value in state.items():
        if not key.startswith("optimizer/"):
            continue
        _, slot, name = key.split("/", 2)
        if name not in parameters:
            raise SimulationError(f"state '{key}' is of an optimizer that changes '{name}', which does not learn here")
        parameter = parameters[name]
        if value.shape == parameter.shape:  # a moment: in the memory order of its parameter, as fused kernels expect
            slots.setdefault(name, {})[slot] = torch.empty_like(parameter).copy_(value)
        else:
            slots.setdefault(name, {})[slot] = value.to(device=parameter.device, copy=True)
    return slots


def _refuse(what: str, names: list[str]) -> None:
    if names:
        listed = ", ".join(f"'{name}'" for name in names[:_MOST_NAMES])
        more = f" and {len(names) - _MOST_NAMES} more" if len(names) > _MOST_NAMES else ""
        raise SimulationError(f"state: {what} {listed}{more}")
