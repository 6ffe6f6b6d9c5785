"""Redis as a follower of Postgres: the totals of ids. All else is in Postgres alone."""

import asyncio
import time
from collections.abc import Mapping, Sequence
from datetime import datetime
from itertools import islice
from typing import Any, Final

from redis.asyncio import Redis
from redis.asyncio.client import Pipeline
from redis.asyncio.cluster import ClusterPipeline, RedisCluster

from api.queries.contract import FollowerPosition, FollowerResult, Totals, TotalsBatch
from api.queries.redis_client import RedisServer
from api.queries.redis_queries import RedisQueries, to_totals
from api.queries.time_range import known_time
from mobility.entities import ENTITIES, Entity
from mobility.keys import LAST_WINDOW, RedisKeys
from mobility.settings import Settings
from redis_cluster.connection import masters
from redis_cluster.records import FollowerRecord, combined, to_record

_LOOK_SECONDS: Final = 1.0

_Stored = tuple[Mapping[str, str], FollowerPosition, datetime | None]
"""The hash of an id, and how far its entity was in Redis: position and watermark."""


class RedisFollower(RedisQueries[_Stored]):
    """Reads by keys. An answer says how far Redis was when it was read."""

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings)
        self._masters = _Masters(self._keys, self._server)

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

    async def _watermarks(self) -> Mapping[str, datetime | None]:
        records = await self._records()
        return {name: _to_watermark(record) for name, record in records.items()}

    async def _read(
        self, entity: Entity, ids: Sequence[str]
    ) -> tuple[dict[str, Mapping[str, str]], FollowerPosition, datetime | None]:
        client = await self._server.client()
        records = await self._masters.keys(client)
        async with client.pipeline(transaction=False) as pipeline:
            # Read first: the hashes then have at least what was written up to there.
            for keys in records:
                _queue_record(pipeline, keys, entity)
            for entity_id in ids:
                pipeline.hgetall(self._keys.totals(entity, entity_id))
            replies = iter(await pipeline.execute())
        record = self._masters.combine(client, [[*islice(replies, 4)] for _ in records])
        # A hash of an earlier release, which had a ledger beside it, is as good as none.
        stored = {
            entity_id: fields
            for entity_id, fields in zip(ids, replies, strict=True)
            if LAST_WINDOW in fields
        }
        return stored, _to_position(record), _to_watermark(record)

    async def _positions(self) -> Mapping[str, FollowerPosition]:
        records = await self._records()
        return {name: _to_position(record) for name, record in records.items()}

    async def _records(self) -> Mapping[str, FollowerRecord]:
        client = await self._server.client()
        records = await self._masters.keys(client)
        async with client.pipeline(transaction=False) as pipeline:
            for entity in ENTITIES:
                for keys in records:
                    _queue_record(pipeline, keys, entity)
            replies = iter(await pipeline.execute())
        return {
            entity.name: self._masters.combine(client, [[*islice(replies, 4)] for _ in records])
            for entity in ENTITIES
        }


class _Masters:
    """The keys of the records: one, or one for each master of a cluster."""

    def __init__(self, keys: RedisKeys, server: RedisServer) -> None:
        self._keys = keys
        self._server = server
        self._of_masters: list[RedisKeys] = []
        self._known_until = 0.0

    async def keys(self, client: Redis | RedisCluster) -> list[RedisKeys]:
        """Return the keys of each record; which masters there are is looked at once a second."""
        if not isinstance(client, RedisCluster):
            return [self._keys]
        if time.monotonic() >= self._known_until:
            self._known_until = time.monotonic() + _LOOK_SECONDS
            await client.initialize()
            found = await asyncio.to_thread(masters, client.nodes_manager)
            self._of_masters = [self._keys.of_master(each.tag) for each in found]
        return self._of_masters

    def combine(
        self, client: Redis | RedisCluster, replies: Sequence[Sequence[Any]]
    ) -> FollowerRecord:
        """Return what all records say together, from the replies for each."""
        if not isinstance(client, RedisCluster):
            [(meta, sequence, progress, _)] = replies
            return to_record(meta, sequence, progress, None)
        record = combined([to_record(*each) for each in replies])
        if not record.number:
            # Slots may have moved to a master that this client does not know.
            self._server.look_again()
        return record


def _queue_record(pipeline: Pipeline | ClusterPipeline, keys: RedisKeys, entity: Entity) -> None:
    pipeline.hmget(keys.meta, ["follows", keys.shards_field(entity)])
    pipeline.hgetall(keys.sequence(entity))
    pipeline.hgetall(keys.progress(entity))
    pipeline.hgetall(keys.slots(entity))


def _to_position(record: FollowerRecord) -> FollowerPosition:
    return FollowerPosition(record.follows, record.number)


def _to_watermark(record: FollowerRecord) -> datetime | None:
    """Return the lowest watermark over the shards; None where one is missing."""
    if len(record.progress) != record.shards:
        return None
    return known_time(min(record.progress.values(), default=None))


def _to_totals(stored: _Stored) -> Totals:
    fields, _, watermark = stored
    return to_totals(fields, watermark)
