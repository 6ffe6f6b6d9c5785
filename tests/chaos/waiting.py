"""Waiting for what other processes do."""

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

_PAUSE = 0.05


def until(look: Callable[[], T], what: str, seconds: float = 90) -> T:
    """Return the first true value that `look` gives; fail, naming `what`, when none comes."""
    deadline = time.monotonic() + seconds
    while not (found := look()):
        assert time.monotonic() < deadline, f"waited {seconds:.0f} s in vain for {what}"
        time.sleep(_PAUSE)
    return found
