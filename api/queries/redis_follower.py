"""Redis as a follower of Postgres: the totals of ids. All else is in Postgres alone."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from itertools import islice

from redis.asyncio.client import Pipeline

from api.queries.contract import FollowerPosition, FollowerResult, Totals, TotalsBatch
from api.queries.redis_queries import RedisQueries, min_watermark, to_totals
from mobility.entities import ENTITIES, Entity
from mobility.keys import LAST_WINDOW

_Stored = tuple[Mapping[str, str], FollowerPosition, datetime | None]
"""The hash of an id, and how far its entity was in Redis: position and watermark."""


class RedisFollower(RedisQueries[_Stored]):
    """Reads by keys. An answer says how far Redis was when it was read."""

    async def totals(self, entity: Entity, entity_id: str) -> FollowerResult[Totals] | None:
        """Return the totals of an id; None if Redis does not have it."""
        stored = await self._lookups[entity.name].get(entity_id)
        return None if stored is None else FollowerResult(_to_totals(stored), stored[1])

    async def batch(self, entity: Entity, ids: Sequence[str]) -> FollowerResult[TotalsBatch]:
        """Return the totals of those ids that Redis has."""
        stored, position, watermark = await self._with_timeout(self._read(entity, ids))
        found = {
            entity_id: _to_totals((fields, position, watermark))
            for entity_id, fields in stored.items()
        }
        return FollowerResult(TotalsBatch(found, watermark), position)

    async def positions(self) -> Mapping[str, FollowerPosition]:
        """Return the position of each entity, by name."""
        return await self._with_timeout(self._positions())

    async def _look_up(self, entity: Entity, ids: Sequence[str]) -> Mapping[str, _Stored]:
        stored, position, watermark = await self._with_timeout(self._read(entity, ids))
        return {entity_id: (fields, position, watermark) for entity_id, fields in stored.items()}

    async def _read(
        self, entity: Entity, ids: Sequence[str]
    ) -> tuple[dict[str, Mapping[str, str]], FollowerPosition, datetime | None]:
        async with self._redis.pipeline(transaction=False) as pipeline:
            # Read first: the hashes then have at least what was written up to there.
            self._queue_position(pipeline, entity)
            for entity_id in ids:
                pipeline.hgetall(self._keys.totals(entity, entity_id))
            progress, numbers, meta, *hashes = await pipeline.execute()
        # A hash of an earlier release, which had a ledger beside it, is as good as none.
        stored = {
            entity_id: fields
            for entity_id, fields in zip(ids, hashes, strict=True)
            if LAST_WINDOW in fields
        }
        return stored, _to_position(numbers, meta), _to_watermark(progress, meta)

    async def _positions(self) -> Mapping[str, FollowerPosition]:
        async with self._redis.pipeline(transaction=False) as pipeline:
            for entity in ENTITIES:
                self._queue_position(pipeline, entity)
            found = iter(await pipeline.execute())
        return {entity.name: _to_position(*islice(found, 1, 3)) for entity in ENTITIES}

    def _queue_position(self, pipeline: Pipeline, entity: Entity) -> None:
        pipeline.hgetall(self._keys.progress(entity))
        pipeline.hgetall(self._keys.sequence(entity))
        pipeline.hmget(self._keys.meta, ["follows", self._keys.shards_field(entity)])


def _to_position(
    numbers: Mapping[str, str], meta: tuple[str | None, str | None]
) -> FollowerPosition:
    """Return the position of an entity: the lowest number over its shards, 0 without any."""
    follows, shards = meta
    every = (int(numbers.get(str(shard), 0)) for shard in range(int(shards or 0)))
    return FollowerPosition(follows, min(every, default=0))


def _to_watermark(
    progress: Mapping[str, str], meta: tuple[str | None, str | None]
) -> datetime | None:
    """Return the lowest watermark over the shards; None where one is missing."""
    _, shards = meta
    return min_watermark(progress.values()) if len(progress) == int(shards or 0) else None


def _to_totals(stored: _Stored) -> Totals:
    fields, _, watermark = stored
    return to_totals(fields, watermark)
