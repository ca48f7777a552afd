"""What other packages add: rules, circuits and datasets, found through entry points.

A name means one thing or nothing: ours are never replaced, and of two strangers that claim one name neither is used,
because the order in which packages are found differs between machines.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable
from importlib import metadata
from importlib.metadata import EntryPoint
from typing import Any

#: the distribution whose names nobody else may take
OURS = "neurosim-plasticity"

#: tells why a loaded object is no plug-in of its group, or None where it is one
Refusal = Callable[[Any], str | None]


class PluginWarning(UserWarning):
    """An entry point that is left out, and why; the others are not affected."""


def anything(found: Any) -> str | None:
    """Refuses nothing."""
    return None


def not_callable(found: Any) -> str | None:
    """Refuses what cannot be called."""
    return None if callable(found) else f"expected something to call, got {found!r}"


def load_entry_points(group: str, refusal: Refusal = anything) -> dict[str, Any]:
    """Load every entry point of ``group``: name -> object, ours before those of other packages.

    Left out, each with a :class:`PluginWarning` that names it and its package: a plug-in that fails to load, one that
    ``refusal`` refuses, one that claims a name of ours, and all that claim one name. None of them hides the others.

    Example:
        >>> sorted(load_entry_points("neurosim.rules"))[:3]
        ['bp', 'dfa', 'fa']
    """
    loaded, complaints = _loaded(group, refusal)
    for complaint in complaints:
        warnings.warn(f"{group}: {complaint}", PluginWarning, stacklevel=2)
    return loaded


def left_out(group: str, refusal: Refusal = anything) -> str:
    """What to add to the error about a name of ``group`` that nothing has: it may be that of a plug-in left out.

    Example:
        >>> left_out("neurosim.rules")
        ''
    """
    complaints = _loaded(group, refusal)[1]
    return f"; of the plug-ins of other packages, {'; '.join(complaints)}" if complaints else ""


def _loaded(group: str, refusal: Refusal) -> tuple[dict[str, Any], list[str]]:
    """What can be used, by name, and complaints about the rest."""
    loaded: dict[str, Any] = {}
    entries, complaints = _unambiguous(group)
    for entry in entries:
        try:
            found = entry.load()
            reason = refusal(found)
        except (Exception, SystemExit) as error:  # a stranger's module may fail in any way, or be a script that exits
            complaints.append(f"plug-in {_introduced(entry)} could not be loaded: {type(error).__name__}: {error}")
            continue
        if reason is None:
            loaded[entry.name] = found
        else:
            complaints.append(f"plug-in {_introduced(entry)} is left out: {reason}")
    return loaded, complaints


def _unambiguous(group: str) -> tuple[list[EntryPoint], list[str]]:
    """The entry points whose names mean one thing, and complaints about the others.

    Ours come first, so that no stranger's class can take the name of one of ours before ours is defined.
    """
    claims: dict[str, dict[str, EntryPoint]] = {}
    for entry in metadata.entry_points(group=group):
        claims.setdefault(entry.name, {}).setdefault(_introduced(entry), entry)
    kept: list[EntryPoint] = []
    complaints: list[str] = []
    for name, claimants in claims.items():
        ours = [entry for entry in claimants.values() if _is_ours(entry)]
        if len(claimants) == 1 or len(ours) == 1:
            kept += ours or claimants.values()
            complaints += [
                f"plug-in {who} is left out, because neurosim itself has '{name}'; register it under another name"
                for who, entry in claimants.items()
                if ours and not _is_ours(entry)
            ]
        else:
            complaints.append(
                f"{len(claimants)} plug-ins claim one name: {' and '.join(sorted(claimants))}; none of them is used, "
                f"uninstall or rename all but one"
            )
    return sorted(kept, key=lambda entry: not _is_ours(entry)), complaints


def _is_ours(entry: EntryPoint) -> bool:
    return entry.dist is not None and re.sub(r"[-_.]+", "-", entry.dist.name).lower() == OURS


def _introduced(entry: EntryPoint) -> str:
    origin = entry.dist.name if entry.dist is not None else "an unknown package"
    return f"'{entry.name}' of {origin} ({entry.value})"
