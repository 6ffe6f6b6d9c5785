"""Waiting for what other processes and threads do.

A deadline bounds how long a test hangs. It says nothing about speed, so it is far beyond what a
loaded machine takes.
"""

import asyncio
import time
from collections.abc import Callable
from typing import Final, NoReturn, TypeVar

T = TypeVar("T")

DEADLINE: Final = 180.0
"""Seconds."""

_PAUSE: Final = 0.05


def until(
    look: Callable[[], T],
    what: str,
    is_so: Callable[[T], object] = bool,
    *,
    seconds: float = DEADLINE,
) -> T:
    """Return the first value of `look` that `is_so` accepts.

    Raises AssertionError after so many seconds: it says `what` was waited for, and what was seen
    last.
    """
    deadline = time.monotonic() + seconds
    while not is_so(found := look()):
        if time.monotonic() > deadline:
            _give_up(what, seconds, found)
        time.sleep(_PAUSE)
    return found


async def until_async(
    look: Callable[[], T],
    what: str,
    is_so: Callable[[T], object] = bool,
    *,
    seconds: float = DEADLINE,
) -> T:
    """Do the same while the event loop runs."""
    deadline = time.monotonic() + seconds
    while not is_so(found := look()):
        if time.monotonic() > deadline:
            _give_up(what, seconds, found)
        await asyncio.sleep(_PAUSE / 5)
    return found


def _give_up(what: str, seconds: float, found: object) -> NoReturn:
    msg = f"waited {seconds:.0f} s for {what}; seen last: {found!r}"
    raise AssertionError(msg)
