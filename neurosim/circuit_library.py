"""Ready-made circuits by name, ours and those of other packages."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from neurosim.circuit import Circuit
from neurosim.errors import CircuitError, UnknownNameError
from neurosim.plugins import load_entry_points

ENTRY_POINTS = "neurosim.circuits"


def available_circuits() -> dict[str, Callable[..., Circuit]]:
    """Every circuit that is installed: name -> the function that builds it."""
    return dict(sorted(load_entry_points(ENTRY_POINTS).items()))


def load(name: str, **options: Any) -> Circuit:
    """Build a ready-made circuit.

    Args:
        name: one of :func:`available_circuits`.
        options: passed on, for example ``sign="mixed"``.

    Raises:
        UnknownNameError: no such circuit; the message lists those installed.
        CircuitError: options that this circuit does not have.

    Example:
        >>> load("digits-fc").K
        10
    """
    circuits = available_circuits()
    if name not in circuits:
        raise UnknownNameError("circuit", name, circuits)
    try:
        return circuits[name](**options)
    except TypeError as error:
        raise CircuitError(f"circuit '{name}': {error}") from error
