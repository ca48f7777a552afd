"""A rule, a circuit and a dataset that neurosim finds through the entry points in pyproject.toml."""

from neurosim_example.metaplastic import Metaplastic

__all__ = ["Metaplastic"]
