"""A reader of live events: a bounded queue, and the right to be dropped."""

import asyncio
from collections.abc import Callable
from typing import Final

from api.live.stream_entry import HEARTBEAT, NOTHING, StreamId

QUEUE: Final = 128
"""Events that may wait for a reader; who falls further behind is dropped, and resumes."""

HEARTBEAT_SECONDS: Final = 15.0


class Reader:
    """Events of one entity, or of one of its ids, in their order; `drop` ends the reader."""

    def __init__(self, entity_id: str | None, drop: Callable[[], object]) -> None:
        self.entity_id = entity_id
        self.drop = drop
        self._queue: asyncio.Queue[tuple[StreamId | None, bytes]] = asyncio.Queue(QUEUE)
        self._seen = NOTHING

    def offer(self, event: bytes, at: StreamId | None = None) -> bool:
        """Let an event wait for the reader; False where too many do."""
        try:
            self._queue.put_nowait((at, event))
        except asyncio.QueueFull:
            return False
        return True

    def has_seen(self, at: StreamId) -> None:
        """Pass over what came up to an entry: the reader has it from elsewhere."""
        self._seen = at

    async def next(self) -> bytes:
        """Return the next event, or a heartbeat when nothing has come for a while."""
        try:
            async with asyncio.timeout(HEARTBEAT_SECONDS):
                while True:
                    at, event = await self._queue.get()
                    if at is None or at > self._seen:
                        return event
        except TimeoutError:
            return HEARTBEAT
