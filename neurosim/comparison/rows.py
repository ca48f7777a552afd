"""What a finished run of a comparison came to: its curve, its weights beside another's, and the errors of its code."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import Any

from torch import Tensor

from neurosim.analysis.code_errors import CodeErrors, code_errors
from neurosim.datasets import Split
from neurosim.runs.run import Run
from neurosim.simulator import Simulator

#: of epochs 0, 1, ...; None where nothing was recorded
Curve = tuple[float | None, ...]

_COMPARED = ("weights/", "biases/")


def curve(path: Path) -> tuple[float, ...]:
    """Test error in percent, epoch by epoch."""
    return tuple(round(100 * error, 6) for error in Run(path).epochs["test_error"].tolist())


def final_code_errors(simulator: Simulator, path: Path, split: Split) -> CodeErrors:
    """Errors of class, coarse class and every component of the code, with the last weights of a run.

    Args:
        simulator: of the run's circuit; is given the run's state.
        path: of the run.
        split: what the errors are of.
    """
    simulator.load_state_dict(Run(path).state())
    return code_errors(simulator, split)


def weight_differences(pairs: Sequence[tuple[Path, Path]], K: int, reference_K: int) -> dict[str, Any]:
    """What a row of the comparison says of weights: fields of :class:`~neurosim.comparison.table.Row`.

    Args:
        pairs: runs of the reference and of the setting, from the same seed.
        K, reference_K: components of the setting's units and of the reference's.
    """
    found = [largest_difference(_parameters(one), _parameters(other)) for one, other in pairs]
    comparable = [one for one in found if one is not None]
    other = f"K = {K}" if K != reference_K else "other shapes"
    return {
        "differences": tuple(value for value, _ in comparable),
        "differs_at": max(comparable)[1] if comparable else "",
        "incomparable": other if len(comparable) < len(found) else "",
    }


def spreads(runs: Sequence[Mapping[str, Curve]]) -> dict[str, tuple[Curve, ...]]:
    """Group by group, one curve a run, of what was found run by run.

    Example:
        >>> spreads([{"a->b": (0.0, 0.2)}, {"a->b": (0.0, 0.4)}])
        {'a->b': ((0.0, 0.2), (0.0, 0.4))}
    """
    return {group: tuple(run[group] for run in runs if group in run) for group in dict.fromkeys(chain(*runs))}


def _parameters(path: Path) -> dict[str, Tensor]:
    return {key: tensor for key, tensor in Run(path).state().items() if key.startswith(_COMPARED)}


def largest_difference(one: Mapping[str, Tensor], other: Mapping[str, Tensor]) -> tuple[float, str] | None:
    """The largest absolute difference of any number, and the name where it is; None where shapes differ.

    Untied weights ``(K, *weight)`` are compared with a tied weight one by one.

    Args:
        one, other: by names such as ``weights/fc1->fc2``; the first part is left out of the answer.

    Example:
        >>> import torch
        >>> tied, untied = {"weights/a->b": torch.zeros(2)}, {"weights/a->b": torch.tensor([[0.0, 1.0], [3.0, 0.0]])}
        >>> largest_difference(tied, untied)
        (3.0, 'a->b')
    """
    largest = (0.0, "")
    if one.keys() != other.keys():
        return None
    for key, tensor in one.items():
        partner = other[key]
        if partner.shape not in (tensor.shape, tensor.shape[1:]) and partner.shape[1:] != tensor.shape:
            return None
        value = float((tensor.double() - partner.double()).abs().max())
        largest = max(largest, (value, key.partition("/")[2] if value else ""))
    return largest
