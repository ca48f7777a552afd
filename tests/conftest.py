"""Settings of the whole test run."""

from __future__ import annotations

import os

import jaxtyping
import pytest
from hypothesis import HealthCheck, settings

os.environ.setdefault("MPLBACKEND", "Agg")  # figures are drawn without a display

# The same examples on every machine and no verdict by the clock. `HYPOTHESIS_PROFILE=explore` looks for new ones.
settings.register_profile(
    "reproducible", derandomize=True, deadline=None, database=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.register_profile("explore", deadline=None, max_examples=1000, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "reproducible"))


@pytest.fixture
def wrong_types_allowed(monkeypatch: pytest.MonkeyPatch) -> None:
    """For tests of refusals: an argument that contradicts its annotation reaches the function, and its own message."""
    monkeypatch.setattr(jaxtyping.config, "jaxtyping_disable", True)
