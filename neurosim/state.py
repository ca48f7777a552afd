"""A simulator's tensors as one flat table, and back: all or nothing."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from neurosim.errors import SimulationError

_MOST_NAMES = 5


def collect(
    tensors: Mapping[str, Tensor],
    parameters: Mapping[str, Tensor],
    optimizer: torch.optim.Optimizer | None,
) -> dict[str, Tensor]:
    """``weights/GROUP``, ``biases/POPULATION``, ``gates/...``, ``feedback/...``, ``optimizer/SLOT/PARAMETER``."""
    state = dict(tensors)
    if optimizer is not None:
        for name, parameter in parameters.items():
            for slot, value in optimizer.state.get(parameter, {}).items():
                if isinstance(value, Tensor):
                    state[f"optimizer/{slot}/{name}"] = value
    return state


def check(
    state: Mapping[str, Tensor],
    tensors: Mapping[str, Tensor],
    parameters: Mapping[str, Tensor],
    optimizer: torch.optim.Optimizer | None,
) -> None:
    """Raise unless :func:`restore` can restore all of ``state``.

    Raises:
        SimulationError: names missing or unknown, shapes that differ, what another optimizer keeps.
    """
    given = {name for name in state if not name.startswith("optimizer/")}
    _refuse("is missing", sorted(tensors.keys() - given))
    _refuse("does not belong to this circuit:", sorted(given - tensors.keys()))
    for name, tensor in tensors.items():
        if tensor.shape != state[name].shape:
            raise SimulationError(
                f"state '{name}': expected the shape {tuple(tensor.shape)}, got {tuple(state[name].shape)}; "
                f"the state belongs to another circuit"
            )
    slots = _optimizer_slots(state, parameters)
    if optimizer is not None and slots:
        _check_optimizer(slots, parameters, optimizer)


def restore(
    state: Mapping[str, Tensor],
    tensors: Mapping[str, Tensor],
    parameters: Mapping[str, Tensor],
    optimizer: torch.optim.Optimizer | None,
) -> None:
    """Copy ``state`` in place. The optimizer's state becomes exactly what ``state`` holds, nothing if it holds none."""
    slots = _optimizer_slots(state, parameters)
    with torch.no_grad():
        for name, tensor in tensors.items():
            tensor.copy_(state[name])
    if optimizer is not None:
        optimizer.state.clear()
        for name, values in slots.items():
            optimizer.state[parameters[name]] = values


def _check_optimizer(
    slots: Mapping[str, Mapping[str, Tensor]], parameters: Mapping[str, Tensor], optimizer: torch.optim.Optimizer
) -> None:
    """Refuse the state of another optimizer, which torch would notice at the next step, or never."""
    names = {id(parameter): name for name, parameter in parameters.items()}
    for options in optimizer.param_groups:
        for parameter in options["params"]:
            name = names[id(parameter)]
            kept, found = _kept_by(optimizer, options, parameter), slots.get(name, {})
            if {slot: value.ndim for slot, value in found.items()} != kept:
                wanted, given = (", ".join(sorted(table)) or "nothing" for table in (kept, found))
                raise SimulationError(
                    f"state of '{name}': the optimizer {type(optimizer).__name__} keeps {wanted} for it, the state has "
                    f"{given}; it was saved with another optimizer or is incomplete"
                )


def _kept_by(optimizer: torch.optim.Optimizer, options: Mapping[str, Any], parameter: Tensor) -> dict[str, int]:
    """The tensors that an optimizer keeps for a parameter, with their number of axes: seen in a step of a small one."""
    small = torch.zeros([1] * parameter.ndim, dtype=parameter.dtype, device=parameter.device)
    small.grad = torch.zeros_like(small)
    trial = type(optimizer)([{**options, "params": [small]}], **optimizer.defaults)
    trial.step()
    return {slot: value.ndim for slot, value in trial.state[small].items() if isinstance(value, Tensor)}


def _optimizer_slots(state: Mapping[str, Tensor], parameters: Mapping[str, Tensor]) -> dict[str, dict[str, Tensor]]:
    slots: dict[str, dict[str, Tensor]] = {}
    for key, value in state.items():
        if not key.startswith("optimizer/"):
            continue
        if key.count("/") < 2:
            raise SimulationError(f"state '{key}' is not named optimizer/SLOT/PARAMETER")
        _, slot, name = key.split("/", 2)
        if name not in parameters:
            raise SimulationError(f"state '{key}' is of an optimizer that changes '{name}', which does not learn here")
        parameter = parameters[name]
        if value.shape == parameter.shape:  # a moment: in the memory order of its parameter, as fused kernels expect
            slots.setdefault(name, {})[slot] = torch.empty_like(parameter).copy_(value)
        elif all(n in (1, m) for n, m in zip(value.shape[::-1], parameter.shape[::-1], strict=False)):
            slots.setdefault(name, {})[slot] = value.to(device=parameter.device, copy=True)
        else:
            raise SimulationError(
                f"state '{key}': a shape of {tuple(value.shape)} does not fit a parameter of {tuple(parameter.shape)}"
            )
    return slots


def _refuse(what: str, names: list[str]) -> None:
    if names:
        listed = ", ".join(f"'{name}'" for name in names[:_MOST_NAMES])
        more = f" and {len(names) - _MOST_NAMES} more" if len(names) > _MOST_NAMES else ""
        raise SimulationError(f"state: {what} {listed}{more}")
