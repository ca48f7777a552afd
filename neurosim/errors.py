"""Errors that say where, what was expected, what came, and what to do."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches


class NeurosimError(Exception):
    """Base of every error raised on purpose by neurosim."""


class CircuitError(NeurosimError, ValueError):
    """A circuit that cannot exist: a shape, cycle, rule or constraint that does not fit."""


class SimulationError(NeurosimError, ValueError):
    """A running simulator was given something it cannot use, or reached a non-finite number."""


class DataError(NeurosimError, ValueError):
    """A dataset or a file on disk is missing, foreign, truncated or inconsistent."""


class ConfigError(NeurosimError, ValueError):
    """Settings that do not make an experiment."""


def _near(name: str, names: list[str]) -> list[str]:
    """The known name that is most like another, as it is spelled, else whatever the case of its letters."""
    lower = {each.lower(): each for each in names}
    return get_close_matches(name, names, n=1) or [lower[e] for e in get_close_matches(name.lower(), lower, n=1)]


class UnknownNameError(NeurosimError, KeyError):
    """A name that nothing answers to; the message lists those that exist.

    >>> raise UnknownNameError("rule", "gevbb", ["bp", "gevb"])
    Traceback (most recent call last):
    ...
    neurosim.errors.UnknownNameError: unknown rule 'gevbb'; did you mean 'gevb'? Known: bp, gevb
    """

    def __init__(self, kind: str, name: object, known: Iterable[str], hint: str = "") -> None:
        names = sorted(known)
        near = _near(name, names) if isinstance(name, str) else []
        lead = f"did you mean '{near[0]}'? Known" if near else "known"
        given = f"'{name}'" if isinstance(name, str) else f"{name!r}, which is no text"
        self.message = f"unknown {kind} {given}; {lead}: {', '.join(names) or 'none'}{hint}"
        super().__init__(self.message)

    def __str__(self) -> str:  # KeyError would print the repr of the message
        return self.message
