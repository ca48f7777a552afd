"""Independent runs, one after the other or several at a time in processes of their own."""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from multiprocessing.connection import wait
from threading import Thread
from typing import TypeVar

import torch

from neurosim.errors import NeurosimError

Task = TypeVar("Task")


def run_each(
    work: Callable[[Task], str], tasks: Sequence[Task], jobs: int = 1, caught: type[NeurosimError] = NeurosimError
) -> Iterator[tuple[Task, str | None, str | None]]:
    """What every task came to, as they end: the task, its answer, and None or why it failed.

    Args:
        work: a function of a module, for processes import it; it answers in text.
        tasks: plain data or frozen objects, for they are sent to the processes.
        jobs: how many at a time, which share the cores; 1 uses no other process.
        caught: errors that make one task fail; other errors of neurosim end it all.

    Example:
        >>> list(run_each(str.upper, ["a", "b"]))
        [('a', 'A', None), ('b', 'B', None)]
    """
    if jobs == 1:
        for task in tasks:
            yield task, *_answer(work, task, caught)
        return
    threads = max(1, (os.cpu_count() or 1) // jobs)
    context = multiprocessing.get_context("spawn")  # a forked process may hang in torch's threads
    with ProcessPoolExecutor(jobs, context, initializer=_begin, initargs=(threads,)) as pool:
        waiting = {pool.submit(_answer, work, task, caught): task for task in tasks}
        for done in as_completed(waiting):
            error = done.exception()
            if isinstance(error, NeurosimError):
                pool.shutdown(cancel_futures=True)
                raise error
            answer = done.result() if error is None else (None, f"{type(error).__name__}: {error}")
            yield waiting[done], *answer


def _begin(threads: int) -> None:
    """In every process: Ctrl-C, which reaches all of them, ends it without a traceback; what it committed stays."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    torch.set_num_threads(threads)
    Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    """Killed, a parent tells its workers nothing: they would train on, unseen, in the way of whoever resumes."""
    parent = multiprocessing.parent_process()
    assert parent is not None  # only workers run this
    wait([parent.sentinel])
    os._exit(1)  # what was committed stays; sys.exit would end this thread alone


def _answer(work: Callable[[Task], str], task: Task, caught: type[NeurosimError]) -> tuple[str | None, str | None]:
    """Errors as text, because not every error survives being sent."""
    try:
        return work(task), None
    except caught as error:
        return None, str(error)
