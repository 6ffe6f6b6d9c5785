"""A subscriber of live events, with a bounded queue."""

import asyncio
from collections.abc import Callable
from typing import Final

from api.live.stream_entry import HEARTBEAT, STREAM_START, StreamId

MAX_QUEUED: Final = 128
"""Events in the queue of a subscriber; one that falls further behind is dropped, and resumes."""

HEARTBEAT_SECONDS: Final = 15.0


class Subscriber:
    """Gets the events of an entity, or of one of its ids, in order; `drop` disconnects it."""

    def __init__(self, entity_id: str | None, drop: Callable[[], object]) -> None:
        self.entity_id = entity_id
        self.drop = drop
        self._queue: asyncio.Queue[tuple[StreamId | None, bytes]] = asyncio.Queue(MAX_QUEUED)
        self._skip_until = STREAM_START

    def offer(self, event: bytes, event_id: StreamId | None = None) -> bool:
        """Put an event into the queue; return False if the queue is full."""
        try:
            self._queue.put_nowait((event_id, event))
        except asyncio.QueueFull:
            return False
        return True

    def skip_until(self, event_id: StreamId) -> None:
        """Skip the events up to this id, which the subscriber already has."""
        self._skip_until = event_id

    async def next(self) -> bytes:
        """Return the next event, or a heartbeat if there is none for HEARTBEAT_SECONDS."""
        try:
            async with asyncio.timeout(HEARTBEAT_SECONDS):
                while True:
                    event_id, event = await self._queue.get()
                    if event_id is None or event_id > self._skip_until:
                        return event
        except TimeoutError:
            return HEARTBEAT
