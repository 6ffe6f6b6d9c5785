"""The stream of changes of one entity, as Redis keeps it."""

from collections.abc import Iterable, Iterator
from typing import Any, Final

from redis.asyncio import Redis

from api.live.stream_entry import NOTHING, Entry, StreamId
from mobility.entities import Entity

BLOCK_SECONDS: Final = 2.0
"""How long Redis may keep us waiting when there is nothing new."""

_READ: Final = 8
"""Entries of one answer: whoever waits for something else does not wait for more."""


class ChangeLog:
    """Reads entries; raises RedisError, OSError or TimeoutError where Redis is away."""

    def __init__(self, redis: Redis, key: str, entity: Entity, window_ms: int) -> None:
        self._redis = redis
        self._key = key
        self._entity = entity
        self._window_ms = window_ms

    async def ends(self) -> tuple[StreamId, StreamId]:
        """Return the ids of the oldest and the newest entry, NOTHING where there is none."""
        async with self._redis.pipeline(transaction=True) as questions:
            questions.xrange(self._key, count=1)
            questions.xrevrange(self._key, count=1)
            oldest, newest = await questions.execute()
        return _id_of(oldest), _id_of(newest)

    async def after(self, position: StreamId) -> list[Entry]:
        """Return the next entries that are there already."""
        found: Any = await self._redis.xrange(self._key, f"({position}", count=_READ)
        return self._entries(found)

    async def following(self, position: StreamId) -> list[Entry]:
        """Return the next entries, after a little waiting where there are none."""
        block = round(BLOCK_SECONDS * 1_000)
        answer: Any = await self._redis.xread({self._key: str(position)}, _READ, block)
        return [entry for _, found in answer or () for entry in self._entries(found)]

    def _entries(self, found: Iterable[Any]) -> list[Entry]:
        return list(self._read(found))

    def _read(self, found: Iterable[Any]) -> Iterator[Entry]:
        for at, fields in found:
            raw = (fields or {}).get(b"w", b"[]")
            yield Entry(self._entity, self._window_ms, StreamId.of(at.decode()), raw)


def _id_of(found: list[Any]) -> StreamId:
    return StreamId.of(found[0][0].decode()) if found else NOTHING
