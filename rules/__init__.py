"""Plasticity rules, one file each; every one is a plug-in like a stranger's would be."""

from neurosim.rules.bp import BP
from neurosim.rules.gevb import GEVB

__all__ = ["BP", "GEVB"]
