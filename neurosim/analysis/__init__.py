"""Measures of why a rule learns, and of what a circuit gets wrong."""

from neurosim.analysis.alignment import angle, gradient_alignment
from neurosim.analysis.code_errors import CodeErrors, code_errors

__all__ = ["CodeErrors", "angle", "code_errors", "gradient_alignment"]
