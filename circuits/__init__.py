"""Ready-made circuits, by name."""

from __future__ import annotations

from neurosim.circuit_library import available_circuits, load

__all__ = ["available_circuits", "load"]
