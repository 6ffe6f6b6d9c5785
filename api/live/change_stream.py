"""The Redis stream of an entity's changes."""

from collections.abc import Iterable, Iterator
from typing import Any, Final

from api.live.stream_entry import STREAM_START, StreamEntry, StreamId
from api.queries.redis_client import RedisServer
from mobility.entities import Entity

BLOCK_SECONDS: Final = 2.0
"""How long Redis blocks a read if there are no new entries."""

_COUNT: Final = 8
"""Entries of one read: few, so that other tasks do not wait long while they are handled."""


class ChangeStream:
    """Reads entries; raises one of redis_client.FAILURES if Redis does not answer."""

    def __init__(self, server: RedisServer, key: str, entity: Entity, window_ms: int) -> None:
        self._server = server
        self._key = key
        self._entity = entity
        self._window_ms = window_ms

    async def bounds(self) -> tuple[StreamId, StreamId]:
        """Return the ids of the oldest and the newest entry; STREAM_START if there is none."""
        async with (await self._server.client()).pipeline(transaction=True) as pipeline:
            pipeline.xrange(self._key, count=1)
            pipeline.xrevrange(self._key, count=1)
            oldest, newest = await pipeline.execute()
        return _first_id(oldest), _first_id(newest)

    def look_again(self) -> None:
        """Find out again where the stream is, after a failure."""
        self._server.look_again()

    async def read_after(self, position: StreamId) -> list[StreamEntry]:
        """Return the next entries that exist already."""
        client = await self._server.client()
        found: Any = await client.xrange(self._key, f"({position}", count=_COUNT)
        return list(self._decode(found))

    async def wait_after(self, position: StreamId) -> list[StreamEntry]:
        """Return the next entries; wait for up to BLOCK_SECONDS if there are none."""
        block = round(BLOCK_SECONDS * 1_000)
        client = await self._server.client()
        answer: Any = await client.xread({self._key: str(position)}, _COUNT, block)
        return [entry for _, found in answer or () for entry in self._decode(found)]

    def _decode(self, found: Iterable[Any]) -> Iterator[StreamEntry]:
        for entry_id, fields in found:
            at = StreamId.parse(entry_id.decode())
            raw = None if b"gap" in (fields or {}) else (fields or {}).get(b"w", b"[]")
            yield StreamEntry(self._entity, self._window_ms, at, raw)


def _first_id(found: list[Any]) -> StreamId:
    return StreamId.parse(found[0][0].decode()) if found else STREAM_START
