"""Ready-made circuits by name, ours and those of other packages."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

from neurosim.circuit import Circuit
from neurosim.errors import CircuitError, UnknownNameError
from neurosim.plugins import left_out, load_entry_points, not_callable

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
        UnknownNameError: no such circuit, or no such option of it; the message lists those that exist.
        CircuitError: options of a wrong type, or a plug-in that builds something else.

    Example:
        >>> load("digits-fc").K
        10
    """
    circuits = available_circuits()
    if name not in tuple(circuits):  # a name may be anything, also what has no hash
        raise UnknownNameError("circuit", name, circuits, left_out(ENTRY_POINTS, not_callable))
    known = _options(circuits[name])
    for option in options:
        if known is not None and option not in known:
            raise UnknownNameError(f"option of circuit '{name}'", option, known)
    try:
        built: object = circuits[name](**options)
    except TypeError as error:
        taken = f"; its options and what they are by default: {', '.join(known.values())}" if known else ""
        raise CircuitError(f"circuit '{name}': {error}{taken}") from error
    if not isinstance(built, Circuit):
        raise CircuitError(
            f"circuit plug-in '{name}': expected it to return a neurosim.Circuit, got {type(built).__name__}; "
            f"correct the plug-in"
        )
    return built


def _options(build: Callable[..., Circuit]) -> dict[str, str] | None:
    """Option -> how it is written with its default; None where it takes any, or does not say."""
    try:
        parameters = inspect.signature(build).parameters.values()
    except (TypeError, ValueError):  # something to call that does not say how
        return None
    if any(each.kind is each.VAR_KEYWORD for each in parameters):
        return None
    return {p.name: p.name if p.default is p.empty else f"{p.name}={p.default!r}" for p in parameters}
