"""Tensors by name that are written in place: ``sim.weights["f1->output"] = array``."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor

from neurosim.errors import SimulationError, UnknownNameError


def project(tensor: Tensor, limit: str) -> None:
    """Set what a sign constraint does not allow to 0, in place."""
    if limit == "nonnegative":
        tensor.clamp_(min=0)
    elif limit == "nonpositive":
        tensor.clamp_(max=0)


class NamedTensors(Mapping[str, Tensor]):
    """A fixed set of named tensors; assignment copies values in and never replaces a tensor.

    Example:
        >>> table = NamedTensors("weight", {"a->b": torch.zeros(2, device="cpu")})
        >>> table["a->b"] = [1.0, 2.0]
        >>> table["a->b"]
        tensor([1., 2.])
        >>> table["a->c"]
        Traceback (most recent call last):
        ...
        neurosim.errors.UnknownNameError: unknown weight 'a->c'; did you mean 'a->b'? Known: a->b
    """

    def __init__(self, what: str, tensors: dict[str, Tensor], limits: Mapping[str, str] | None = None) -> None:
        self._what = what
        self._tensors = tensors
        self._limits = limits or {}

    def __getitem__(self, name: str) -> Tensor:
        if name not in self._tensors:
            raise UnknownNameError(self._what, name, self._tensors)
        return self._tensors[name]

    def __setitem__(self, name: str, value: Any) -> None:
        tensor = self[name]
        given = torch.as_tensor(value, dtype=tensor.dtype, device=tensor.device)
        if given.shape != tensor.shape:
            raise SimulationError(
                f"{self._what} '{name}' has the shape {tuple(tensor.shape)}, got {tuple(given.shape)}"
            )
        if not bool(torch.isfinite(given).all()):
            raise SimulationError(f"{self._what} '{name}' must be finite; the given values are not")
        if given is not tensor:  # not `tensors[name] -= 1`, which has changed the tensor already
            self.check_sign(name, given)
        with torch.no_grad():
            tensor.copy_(given)
            project(tensor, self._limits.get(name, "mixed"))

    def check_sign(self, name: str, given: Tensor) -> None:
        """Raise where ``given`` has values that the constraint on ``name`` does not allow; reads them."""
        limit = self._limits.get(name, "mixed")
        wrong = given.clamp(min=0) != given if limit == "nonnegative" else given.clamp(max=0) != given  # NaN included
        if limit != "mixed" and bool(wrong.any()):
            raise SimulationError(f"{self._what} '{name}' is constrained to be {limit}; the given values are not")

    def __iter__(self) -> Iterator[str]:
        return iter(self._tensors)

    def __len__(self) -> int:
        return len(self._tensors)

    def __repr__(self) -> str:
        rows = [f"  {name}: {tuple(tensor.shape)}" for name, tensor in self._tensors.items()]
        return "\n".join([f"{len(rows)} tensors of kind {self._what}", *rows])
