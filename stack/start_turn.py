"""Systems start one after the other, as each needs ports that are free until it listens on them."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import IO, Final

from mobility.files import try_file_lock

_POLL_SECONDS: Final = 0.1


@asynccontextmanager
async def start_turn(folder: Path, on_wait: Callable[[str], None]) -> AsyncIterator[None]:
    """Wait until no other system that uses this folder starts, and keep others waiting.

    Two that start at once could choose the same port: one of them would not get it, and take the
    server of the other for its own.
    """
    if (lock := _try_lock(folder)) is None:
        on_wait("another system is starting: waiting until it has its ports")
    while lock is None:
        await asyncio.sleep(_POLL_SECONDS)
        lock = _try_lock(folder)
    with lock:
        yield


def _try_lock(folder: Path) -> IO[str] | None:
    folder.mkdir(parents=True, exist_ok=True)
    return try_file_lock(folder / "start.lock")
