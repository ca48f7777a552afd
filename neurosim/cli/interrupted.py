"""Ctrl-C in one line that says what can be continued: a command notes it on the interruption, `main` prints it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def telling(words: Callable[[], str]) -> Iterator[None]:
    """Note on an interruption what the user should know; ``words`` is asked when it comes.

    Example:
        >>> try:
        ...     with telling(lambda: "nothing was recorded"):
        ...         raise KeyboardInterrupt
        ... except KeyboardInterrupt as stopped:
        ...     print(interruption_in(stopped))
        interrupted; nothing was recorded
    """
    try:
        yield
    except KeyboardInterrupt as stopped:
        stopped.add_note(words())
        raise


def interruption_in(ended: BaseException | None) -> str | None:
    """What to say where an interruption led here, else None: typer makes an exit of it, and says nothing."""
    while ended is not None and not isinstance(ended, KeyboardInterrupt):
        ended = ended.__cause__ or ended.__context__
    return None if ended is None else "; ".join(["interrupted", *getattr(ended, "__notes__", ())])
