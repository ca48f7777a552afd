"""Ready-made circuits by name, ours and those of other packages."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from neurosim.circuit import Circuit
from neurosim.errors import CircuitError, UnknownNameError
from neurosim.plugins import load_entry_points, not_callable

ENTRY_POINTS = "neurosim.circuits"


def available_circuits() -> dict[str, Callable[..., Circuit]]:
    """Every circuit that is installed: name -> the function that builds it.

    What cannot be used is left out, with a :class:`~neurosim.plugins.PluginWarning` that names it.
    """
    return dict(sorted(load_entry_points(ENTRY_POINTS, not_callable).items()))


def load(name: str, **options: Any) -> Circuit:
    """Build a ready-made circuit.

    Args:
        name: one of :func:`available_circuits`.
        options: passed on, for example ``sign="mixed"``.

    Raises:
        UnknownNameError: no such circuit; the message lists those installed.
        CircuitError: options that this circuit does not have, or a plug-in that builds something else.

    Example:
        >>> load("digits-fc").K
        10
    """
    circuits = available_circuits()
    if name not in circuits:
        raise UnknownNameError("circuit", name, circuits)
    try:
        built: object = circuits[name](**options)
    except TypeError as error:
        raise CircuitError(f"circuit '{name}': {error}") from error
    if not isinstance(built, Circuit):
        raise CircuitError(
            f"circuit plug-in '{name}': expected it to return a neurosim.Circuit, got {type(built).__name__}; "
            f"correct the plug-in"
        )
    return built
