"""Measures of why a rule learns."""

from neurosim.analysis.alignment import angle, gradient_alignment

__all__ = ["angle", "gradient_alignment"]
