"""What a step of learning costs: time by the clock, time of the processor, and memory beyond what it finds.

Memory is measured in two ways:

- :func:`allocated_peak`: the highest sum of the tensors that torch allocated during a step and had not freed.
- :func:`resident_peak`: by how much the process outgrew its size before the step (VmHWM - VmRSS, Linux alone). This
  also sees the matrix libraries' own buffers and what the allocator keeps; memory that an earlier step left free is
  returned first.
"""

from __future__ import annotations

import ctypes
import itertools
import json
import math
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Hashable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

import torch
from attrs import frozen
from torch.profiler import ProfilerActivity, profile

WARM_UP = 2  # steps, after which gradients and the optimizer's state exist
_ROUND_SECONDS, _MOST_CALLS = 0.05, 50
_LONG_SECONDS = 2.0  # a step that takes longer is timed once: it averages over what disturbs it by itself

Name = TypeVar("Name", bound=Hashable)


@frozen
class StepCost:
    """One step of learning.

    Attributes:
        wall_seconds: median over the rounds.
        cpu_seconds: of all threads together, median over the rounds; other programs disturb it less.
        peak_bytes: allocated beyond what was there before the step; None where the device cannot tell.
    """

    wall_seconds: float
    cpu_seconds: float
    peak_bytes: int | None


def step_costs(
    steps: Mapping[Name, Callable[[], object]], device: torch.device | str = "cpu", rounds: int = 5
) -> dict[Name, StepCost]:
    """The costs of several steps, which take turns, so that what else the machine does hits all alike.

    Args:
        steps: name -> makes one step.
        device: on which they compute.
        rounds: in which each runs for about 50 ms, at least once; in none where a single step takes over 2 s.

    Example:
        >>> cost = step_costs({"sum": lambda: torch.ones(1000, device="cpu") + 1.0}, rounds=1)["sum"]
        >>> cost.peak_bytes >= 4000, cost.wall_seconds > 0
        (True, True)
    """
    device = torch.device(device)
    for step in steps.values():
        for _ in range(WARM_UP):
            step()
    peaks = {name: peak_bytes(step, device) for name, step in steps.items()}
    once = {name: _seconds(step, 1, device) for name, step in steps.items()}
    calls = {
        name: max(1, min(_MOST_CALLS, math.ceil(_ROUND_SECONDS / max(wall, 1e-6)))) for name, (wall, _) in once.items()
    }
    seconds = {name: [first] if first[0] > _LONG_SECONDS else [] for name, first in once.items()}
    short = [name for name, measured in seconds.items() if not measured]
    for turn in range(rounds):
        for name in short[:: -1 if turn % 2 else 1]:
            seconds[name].append(_seconds(steps[name], calls[name], device))
    costs = {}
    for name, measured in seconds.items():
        wall, processor = (statistics.median(column) for column in zip(*measured, strict=True))
        costs[name] = StepCost(wall, processor, peaks[name])
    return costs


def _seconds(step: Callable[[], object], calls: int, device: torch.device) -> tuple[float, float]:
    """Wall and cpu time of one of ``calls`` steps."""
    _wait(device)
    wall, cpu = time.perf_counter(), time.process_time()
    for _ in range(calls):
        step()
    _wait(device)
    return (time.perf_counter() - wall) / calls, (time.process_time() - cpu) / calls


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def peak_bytes(step: Callable[[], object], device: torch.device) -> int | None:
    """Allocated during a step, at most, beyond what was there before; None where the device cannot tell."""
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
        before = torch.cuda.memory_allocated(device)
        step()
        return torch.cuda.max_memory_allocated(device) - before
    return allocated_peak(step) if device.type == "cpu" else None


def allocated_peak(step: Callable[[], object]) -> int:
    """Bytes: the highest level of torch's cpu allocator during a step, over the level that the step leaves.

    The profiler follows only what is allocated under its eyes, so gradients that a step frees and allocates anew must
    be freed before; they are then what the step leaves. Whatever else is left is taken off as well, so keep nothing of
    the step, such as the :class:`~neurosim.step.Step` that it returns.

    Example:
        >>> ones, kept = torch.ones(1000, device="cpu"), []
        >>> allocated_peak(lambda: ones.exp()), allocated_peak(lambda: kept.append(ones.exp()))
        (4000, 0)
    """
    with _silent_profiler(), profile(activities=[ProfilerActivity.CPU], profile_memory=True) as recorded:
        step()
    with tempfile.TemporaryDirectory() as folder:
        trace = Path(folder) / "trace.json"
        recorded.export_chrome_trace(str(trace))
        events = json.loads(trace.read_text(encoding="utf-8"))["traceEvents"]
    changes = sorted((e["args"]["Ev Idx"], e["args"]["Bytes"]) for e in events if e["name"] == "[memory]")
    levels: list[int] = list(itertools.accumulate(change for _, change in changes))
    return max(levels) - levels[-1]


@contextmanager
def _silent_profiler() -> Iterator[None]:
    """Else it talks to the terminal. It reads its level once, when the first profile of the process starts, so it stays
    silent after the environment, which other programs inherit, is put back.
    """
    given = "KINETO_LOG_LEVEL" in os.environ
    os.environ.setdefault("KINETO_LOG_LEVEL", "99")
    try:
        yield
    finally:
        if not given:
            os.environ.pop("KINETO_LOG_LEVEL", None)


def resident_peak(step: Callable[[], object]) -> int | None:
    """Bytes: the largest resident size during a step, over the size before it; None where the system cannot tell."""
    try:
        ctypes.CDLL(None).malloc_trim(0)
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")  # VmHWM starts anew
        before = _status("VmRSS")
        step()
        return _status("VmHWM") - before
    except (AttributeError, OSError, TypeError):
        return None


def _status(field: str) -> int:
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    sizes = dict(line.split(":", 1) for line in lines)
    return 1024 * int(sizes[field].split()[0])
