"""Measuring a step's costs: what it says on the terminal. Its numbers are in test_comparison.py."""

from __future__ import annotations

import os
import subprocess
import sys

MEASURE = """
import os
import torch
from neurosim.step_costs import allocated_peak
before = dict(os.environ)
for _ in range(2):
    print(allocated_peak(lambda: torch.ones(1000) + 1.0))
assert dict(os.environ) == before, "the level is left in the environment"
"""


def test_the_profiler_says_nothing():
    """In a process of its own, because torch asks for the level once; without it a line or more go to stderr.

    Other programs that the process starts inherit its environment, so that is as it was.
    """
    environment = {name: value for name, value in os.environ.items() if name != "KINETO_LOG_LEVEL"}
    done = subprocess.run([sys.executable, "-c", MEASURE], capture_output=True, text=True, env=environment)
    assert done.stderr == "" and all(int(peak) >= 4000 for peak in done.stdout.split())
