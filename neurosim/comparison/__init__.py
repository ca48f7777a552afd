"""Comparing settings of one circuit: what varies, how it is trained, the report."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from neurosim.comparison.comparison import Comparison as Comparison
    from neurosim.comparison.setting import Setting as Setting

#: public name -> module; loaded when first used, because the tables alone are read and drawn without what trains
_HOME = {"Comparison": "comparison", "Setting": "setting"}

__all__ = [*_HOME]  # noqa: PLE0604


def __getattr__(name: str) -> Any:
    if name in _HOME:
        return getattr(import_module(f"neurosim.comparison.{_HOME[name]}"), name)
    raise AttributeError(f"module 'neurosim.comparison' has no attribute '{name}'")
