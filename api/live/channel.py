"""The changes of one entity: read from Redis once, and sent to all subscribers."""

import asyncio
import logging
from collections import defaultdict, deque
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Final

from api.live.change_stream import ChangeStream
from api.live.stream_entry import STREAM_START, StreamEntry, StreamId, encode_event
from api.live.subscriber import Subscriber
from api.queries.redis_client import FAILURES

_MAX_KEPT_BYTES: Final = 8 * 1024 * 1024
"""Size of the entries that are kept for subscribers that resume."""

_RETRY_SECONDS: Final = 1.0
_START_SECONDS: Final = 2.0

_log: Final = logging.getLogger(__name__)


class Channel:
    """Follows a stream once it has a subscriber, and keeps its newest entries.

    It continues after failures of Redis: subscribers get an event when Redis is away and when it is
    back, and a gap if entries were missed.
    """

    def __init__(self, stream: ChangeStream, entity: str) -> None:
        self.dropped = 0
        self._stream = stream
        self._entity = entity
        self._for_all: set[Subscriber] = set()
        self._by_id: defaultdict[str, set[Subscriber]] = defaultdict(set)
        self._kept: deque[StreamEntry] = deque()
        self._size = 0
        # Entries after this id are kept; those up to it are not.
        self._kept_after = STREAM_START
        self._position: StreamId | None = None
        self._started = asyncio.Event()
        self._away_event: bytes | None = None
        self._follower: asyncio.Task[None] | None = None

    @property
    def subscribers(self) -> int:
        """The number of subscribers."""
        return len(self._for_all) + sum(map(len, self._by_id.values()))

    @contextmanager
    def subscribe(self, entity_id: str | None, drop: Callable[[], object]) -> Iterator[Subscriber]:
        """Yield a subscriber of the events from now on; `drop` is called if it is too slow."""
        subscriber = Subscriber(entity_id, drop)
        if self._away_event is not None:
            subscriber.offer(self._away_event)
        group = self._for_all if entity_id is None else self._by_id[entity_id]
        group.add(subscriber)
        if self._follower is None:
            self._follower = asyncio.create_task(self._follow())
        try:
            yield subscriber
        finally:
            group.discard(subscriber)
            if entity_id is not None and not group:
                self._by_id.pop(entity_id, None)

    async def wait_until_started(self) -> None:
        """Wait for the position in the stream, until a timeout, or until Redis is away.

        After that, a subscriber gets every change or a gap.
        """
        with suppress(TimeoutError):
            async with asyncio.timeout(_START_SECONDS):
                await self._started.wait()
        self._started.set()

    async def missed_events(self, subscriber: Subscriber, last_id: str) -> AsyncIterator[bytes]:
        """Yield the events after `last_id` for a subscriber, or a gap if they are not kept."""
        kept, position = list(self._kept), self._position
        try:
            last = StreamId.parse(last_id)
        except ValueError:
            yield _gap("the Last-Event-ID is not valid")
            return
        if position is not None and position < last <= await self._newest_id():
            # Another process was ahead of this one: what it has sent will arrive here.
            subscriber.skip_until(last)
            return
        if position is None or not self._kept_after <= last <= position:
            yield _gap("the events after the Last-Event-ID are not kept any more")
            return
        subscriber.skip_until(position)
        for entry in kept:
            if entry.id > last and (found := entry.event_for(subscriber.entity_id)):
                yield found
                # Let other tasks run.
                await asyncio.sleep(0)

    def drop_all(self) -> None:
        """Drop all subscribers."""
        for group in (self._for_all, *self._by_id.values()):
            for subscriber in group:
                subscriber.drop()

    async def close(self) -> None:
        """Stop following the stream."""
        if self._follower is not None:
            self._follower.cancel()
            await asyncio.gather(self._follower, return_exceptions=True)
            self._follower = None

    async def _follow(self) -> None:
        while True:
            try:
                await self._start()
                while True:
                    await self._read()
            except FAILURES as error:
                self._stream.look_again()
                self._report_away(error)
            await asyncio.sleep(_RETRY_SECONDS)

    async def _start(self) -> None:
        """Keep the existing entries at the first start; later, check for a gap."""
        oldest, newest = await self._stream.bounds()
        if self._position is None:
            self._kept_after = self._position = oldest
            await self._keep_until(newest)
            if self._started.is_set():
                self._broadcast(_gap("Redis did not answer when this stream began"))
        elif not oldest <= self._position <= newest:
            self._clear(newest)
            self._broadcast(_gap("Redis has lost the events in between"))
        if self._away_event is not None:
            self._away_event = None
            _log.warning("live events of %s continue", self._entity)
            self._broadcast(encode_event("back", {}))
        self._started.set()

    async def _newest_id(self) -> StreamId:
        with suppress(*FAILURES):
            return (await self._stream.bounds())[1]
        return STREAM_START

    async def _keep_until(self, newest: StreamId) -> None:
        """Keep the entries up to this id, as far as the limit allows.

        Later entries also go to the subscribers.
        """
        while (position := self._position or STREAM_START) < newest:
            found = [one for one in await self._stream.read_after(position) if one.id <= newest]
            for entry in found:
                self._keep(entry)
            if not found:
                self._position = newest

    async def _read(self) -> None:
        """Send new entries to the subscribers."""
        for entry in await self._stream.wait_after(self._position or STREAM_START):
            self._keep(entry)
            self._send(entry)
            # Let other tasks run: subscribers, and requests.
            await asyncio.sleep(0)

    def _keep(self, entry: StreamEntry) -> None:
        self._position = entry.id
        self._kept.append(entry)
        self._size += entry.size
        while self._size > _MAX_KEPT_BYTES and len(self._kept) > 1:
            oldest = self._kept.popleft()
            self._size -= oldest.size
            self._kept_after = oldest.id

    def _clear(self, newest: StreamId) -> None:
        self._kept.clear()
        self._size = 0
        self._kept_after = self._position = newest

    def _send(self, entry: StreamEntry) -> None:
        if self._for_all:
            self._offer(self._for_all, entry.event, entry.id)
        if entry.is_gap:
            for group in [*self._by_id.values()]:
                self._offer(group, entry.event, entry.id)
        elif self._by_id:
            for entity_id, found in entry.events_by_id(self._by_id).items():
                self._offer(self._by_id[entity_id], found, entry.id)

    def _broadcast(self, event: bytes) -> None:
        for group in (self._for_all, *self._by_id.values()):
            self._offer(group, event)

    def _offer(self, group: set[Subscriber], event: bytes, at: StreamId | None = None) -> None:
        for subscriber in [one for one in group if not one.offer(event, at)]:
            group.discard(subscriber)
            self.dropped += 1
            subscriber.drop()

    def _report_away(self, error: Exception) -> None:
        if self._away_event is None:
            reason = " ".join(str(error).split()) or type(error).__name__
            _log.warning("live events of %s wait for Redis: %s", self._entity, reason)
            self._away_event = encode_event(
                "away", {"reason": "Redis does not answer; the server tries again"}
            )
            self._broadcast(self._away_event)
        self._started.set()


def _gap(reason: str) -> bytes:
    return encode_event("gap", {"reason": reason})
