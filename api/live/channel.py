"""The changes of one entity: read from Redis once, and handed to all readers."""

import asyncio
import logging
from collections import defaultdict, deque
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Final

from redis.exceptions import RedisError

from api.live.change_stream import ChangeLog
from api.live.stream_entry import NOTHING, Entry, StreamId, event
from api.live.subscriber import Reader

_KEPT: Final = 8 * 1024 * 1024
"""Bytes of entries that are kept for readers who resume."""

_PAUSE: Final = 1.0
_START_SECONDS: Final = 2.0

_log: Final = logging.getLogger(__name__)


class Channel:
    """Follows a stream from the first reader on, and remembers its newest entries.

    Whatever becomes of Redis, the channel goes on: readers are told when it is away and when it
    is back, and that there is a gap where entries were missed.
    """

    def __init__(self, log: ChangeLog, entity: str) -> None:
        self.dropped = 0
        self._log = log
        self._entity = entity
        self._all: set[Reader] = set()
        self._by_id: defaultdict[str, set[Reader]] = defaultdict(set)
        self._kept: deque[Entry] = deque()
        self._size = 0
        # What came up to here is either kept or can't be had any more.
        self._since = NOTHING
        self._position: StreamId | None = None
        self._settled = asyncio.Event()
        self._away: bytes | None = None
        self._following: asyncio.Task[None] | None = None

    @property
    def readers(self) -> int:
        """How many read now."""
        return len(self._all) + sum(map(len, self._by_id.values()))

    @contextmanager
    def reading(self, entity_id: str | None, drop: Callable[[], object]) -> Iterator[Reader]:
        """Give a reader all that comes from now on, until it leaves or is dropped."""
        reader = Reader(entity_id, drop)
        if self._away is not None:
            reader.offer(self._away)
        places = self._all if entity_id is None else self._by_id[entity_id]
        places.add(reader)
        if self._following is None:
            self._following = asyncio.create_task(self._follow())
        try:
            yield reader
        finally:
            places.discard(reader)
            if entity_id is not None and not places:
                self._by_id.pop(entity_id, None)

    async def settled(self) -> None:
        """Wait until it is known where the stream stands, or for a while, or that Redis is away.

        From then on a reader gets whatever comes, or is told of a gap.
        """
        with suppress(TimeoutError):
            async with asyncio.timeout(_START_SECONDS):
                await self._settled.wait()
        self._settled.set()

    async def missed(self, reader: Reader, last: str) -> AsyncIterator[bytes]:
        """Yield what a reader has missed since the event `last`; a gap where that is not known."""
        kept, position = list(self._kept), self._position
        try:
            seen = StreamId.of(last)
        except ValueError:
            yield _gap("where you left off is not known")
            return
        if position is not None and position < seen <= await self._newest():
            # Another process was quicker: what it has sent is on its way to us.
            reader.has_seen(seen)
            return
        if position is None or not self._since <= seen <= position:
            yield _gap("what came since is not kept any more")
            return
        reader.has_seen(position)
        for entry in kept:
            if entry.at > seen and (found := entry.event_for(reader.entity_id)):
                yield found
                # Others have waited for this one.
                await asyncio.sleep(0)

    def end(self) -> None:
        """Let go of all readers."""
        for places in (self._all, *self._by_id.values()):
            for reader in places:
                reader.drop()

    async def close(self) -> None:
        """Stop following."""
        if self._following is not None:
            self._following.cancel()
            await asyncio.gather(self._following, return_exceptions=True)
            self._following = None

    async def _follow(self) -> None:
        while True:
            try:
                await self._begin()
                while True:
                    await self._read()
            except (RedisError, OSError, TimeoutError) as error:
                self._lost(error)
            await asyncio.sleep(_PAUSE)

    async def _begin(self) -> None:
        """Find what is there already, and see whether it goes on where we were."""
        oldest, newest = await self._log.ends()
        if self._position is None:
            self._since = self._position = oldest
            await self._remember(newest)
            if self._settled.is_set():
                self._tell(_gap("Redis did not answer when you came"))
        elif not oldest <= self._position <= newest:
            self._forget(newest)
            self._tell(_gap("Redis has lost what came meanwhile"))
        if self._away is not None:
            self._away = None
            _log.warning("live events of %s go on", self._entity)
            self._tell(event("back", {}))
        self._settled.set()

    async def _newest(self) -> StreamId:
        with suppress(RedisError, OSError, TimeoutError):
            return (await self._log.ends())[1]
        return NOTHING

    async def _remember(self, newest: StreamId) -> None:
        """Keep what the stream holds up to an entry, as far as there is room.

        What comes after that is for those who read already.
        """
        while (position := self._position or NOTHING) < newest:
            found = [entry for entry in await self._log.after(position) if entry.at <= newest]
            for entry in found:
                self._keep(entry)
            if not found:
                self._position = newest

    async def _read(self) -> None:
        """Hand out what is new."""
        for entry in await self._log.following(self._position or NOTHING):
            self._keep(entry)
            self._hand_out(entry)
            # Others have waited for this one: readers, and requests.
            await asyncio.sleep(0)

    def _keep(self, entry: Entry) -> None:
        self._position = entry.at
        self._kept.append(entry)
        self._size += entry.size
        while self._size > _KEPT and len(self._kept) > 1:
            oldest = self._kept.popleft()
            self._size -= oldest.size
            self._since = oldest.at

    def _forget(self, newest: StreamId) -> None:
        self._kept.clear()
        self._size = 0
        self._since = self._position = newest

    def _hand_out(self, entry: Entry) -> None:
        if self._all:
            self._offer(self._all, entry.event, entry.at)
        if self._by_id:
            for entity_id, found in entry.events_of(self._by_id).items():
                self._offer(self._by_id[entity_id], found, entry.at)

    def _tell(self, said: bytes) -> None:
        for places in (self._all, *self._by_id.values()):
            self._offer(places, said)

    def _offer(self, places: set[Reader], said: bytes, at: StreamId | None = None) -> None:
        for reader in [reader for reader in places if not reader.offer(said, at)]:
            places.discard(reader)
            self.dropped += 1
            reader.drop()

    def _lost(self, error: Exception) -> None:
        if self._away is None:
            reason = " ".join(str(error).split()) or type(error).__name__
            _log.warning("live events of %s wait for Redis: %s", self._entity, reason)
            self._away = event("away", {"reason": "redis does not answer; the server tries again"})
            self._tell(self._away)
        self._settled.set()


def _gap(reason: str) -> bytes:
    return event("gap", {"reason": reason})
