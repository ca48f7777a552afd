"""What other packages add: rules, circuits and datasets, found through entry points."""

from __future__ import annotations

import warnings
from importlib import metadata
from typing import Any


class PluginWarning(UserWarning):
    """An entry point that could not be loaded; the others are not affected."""


def load_entry_points(group: str) -> dict[str, Any]:
    """Load every entry point of ``group``: name -> object.

    A plug-in that fails to load is named in a :class:`PluginWarning` and left out; it does not hide the others.

    Example:
        >>> sorted(load_entry_points("neurosim.rules"))[:2]
        ['bp', 'gevb']
    """
    loaded: dict[str, Any] = {}
    for entry in metadata.entry_points(group=group):
        try:
            loaded[entry.name] = entry.load()
        except Exception as error:  # a stranger's module may fail in any way
            origin = entry.dist.name if entry.dist else "an unknown package"
            warnings.warn(
                f"{group}: plug-in '{entry.name}' of {origin} ({entry.value}) could not be loaded: "
                f"{type(error).__name__}: {error}",
                PluginWarning,
                stacklevel=2,
            )
    return loaded
