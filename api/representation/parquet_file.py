"""One Parquet file of many frames, in parts."""

import asyncio
import io
import queue
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from contextlib import suppress
from typing import IO, TYPE_CHECKING, Final, cast

import polars as pl
from polars.io.plugins import register_io_source

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

_ROW_GROUP_ROWS: Final = 100_000
"""What is in memory of a file: Parquet is read by row groups, which should not be small."""

_Frames = queue.Queue[pl.DataFrame | None]


async def write_parquet(
    frames: AsyncIterator[pl.DataFrame], schema: pl.Schema
) -> AsyncGenerator[bytes, None]:
    """Yield the parts of a file with these frames.

    Polars writes it in a thread that asks for the frames; it never waits for a client.
    """
    waiting: _Frames = queue.Queue(maxsize=1)
    parts = _Parts()
    writing = asyncio.create_task(asyncio.to_thread(_write, waiting, schema, parts))
    try:
        async for frame in frames:
            await asyncio.to_thread(waiting.put, frame)
            if part := parts.take():
                yield part
    finally:
        await asyncio.to_thread(waiting.put, None)
        await writing
    yield parts.take()


class _Parts(io.RawIOBase):
    """A file that keeps what is written until it is taken."""

    def __init__(self) -> None:
        self._kept: deque[bytes] = deque()

    def writable(self) -> bool:
        """Return that it is written."""
        return True

    def write(self, data: "ReadableBuffer", /) -> int:
        """Keep a copy of the data."""
        part = bytes(data)
        self._kept.append(part)
        return len(part)

    def take(self) -> bytes:
        """Return what was written since the last time; another thread may write meanwhile."""
        taken = []
        with suppress(IndexError):
            while True:
                taken.append(self._kept.popleft())
        return b"".join(taken)


def _write(waiting: _Frames, schema: pl.Schema, file: _Parts) -> None:
    """Write the frames until None."""
    frames = _until_none(waiting)
    try:
        source = register_io_source(lambda *_: frames, schema=schema)
        source.sink_parquet(cast("IO[bytes]", file), row_group_size=_ROW_GROUP_ROWS)
    finally:
        # After an error: who puts frames must not wait for ever.
        for _ in frames:
            pass


def _until_none(waiting: _Frames) -> Iterator[pl.DataFrame]:
    while (frame := waiting.get()) is not None:
        yield frame
