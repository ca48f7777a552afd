"""Fair timing on a machine that is never quite quiet: contestants take turns, and every round is a comparison."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping, Sequence


def interleaved(contestants: Mapping[str, Callable[[], object]], rounds: int, calls: int) -> dict[str, list[float]]:
    """Seconds of one call, for every round and contestant.

    In each round every contestant warms the caches with one call and then makes ``calls`` timed ones, of which the
    median counts. Every other round runs backwards, so that a drift of the machine's speed favours nobody.
    """
    seconds: dict[str, list[float]] = {name: [] for name in contestants}
    for number in range(rounds):
        names = list(contestants)
        for name in names if number % 2 == 0 else reversed(names):
            contestants[name]()
            seconds[name].append(statistics.median(timed(contestants[name]) for _ in range(calls)))
    return seconds


def timed(call: Callable[[], object]) -> float:
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def spread(values: Sequence[float]) -> dict[str, float]:
    """Median, smallest and largest."""
    return {"median": statistics.median(values), "min": min(values), "max": max(values)}


def pairwise(above: Sequence[float], below: Sequence[float]) -> dict[str, float]:
    """The ratio of two contestants, round by round."""
    return spread([a / b for a, b in zip(above, below, strict=True)])
