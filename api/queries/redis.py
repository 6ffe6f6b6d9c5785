"""Redis as the only store: reads the hashes and sorted sets that its sink writes."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime

from api.errors import BeyondLedgerError
from api.queries.contract import (
    MAX_CHARACTER,
    Page,
    Series,
    Sums,
    Totals,
    TotalsBatch,
    WindowSpan,
)
from api.queries.redis_ledger import ledger_buckets
from api.queries.redis_queries import RedisQueries, min_watermark, to_sums, to_totals
from api.queries.time_range import to_datetime, to_epoch_ms
from mobility.entities import ENTITIES, Entity
from mobility.keys import LAST_WINDOW
from mobility.measures import SUMS
from mobility.settings import Settings

_StoredTotals = tuple[Mapping[str, str], datetime | None]
"""What is stored of an id: the hash of its totals, and the watermark."""


class RedisReader(RedisQueries[_StoredTotals]):
    """Reads by keys and by the index of ids.

    An id without a ledger counts as absent: its totals can't be trusted.
    """

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings)
        self._expiry = settings.redis_expiry
        self._retention = settings.redis_ledger_hours * 3_600_000

    async def totals(self, entity: Entity, entity_id: str) -> Totals | None:
        """Return the totals of an id; None if Redis does not have it."""
        stored = await self._lookups[entity.name].get(entity_id)
        return None if stored is None else to_totals(*stored)

    async def batch(self, entity: Entity, ids: Sequence[str]) -> TotalsBatch:
        """Return the totals of those ids that Redis has."""
        watermark, stored = await self._with_timeout(self._stored_totals(entity, ids))
        return TotalsBatch(
            {entity_id: to_totals(*one) for entity_id, one in stored.items()}, watermark
        )

    async def series(self, entity: Entity, entity_id: str, bounds: Sequence[int]) -> Series | None:
        """Return the series of an id between bucket bounds; None if Redis does not have the id."""
        return await self._with_timeout(self._series(entity, entity_id, bounds))

    async def page(self, entity: Entity, prefix: str, after: str, limit: int) -> Page:
        """Return up to `limit` ids with a prefix that follow the id `after`."""
        return await self._with_timeout(self._page(entity, prefix, after, limit))

    async def count(self, entity: Entity, prefix: str) -> int:
        """Return the number of ids with a prefix."""
        return await self._with_timeout(self._count(entity, prefix))

    async def span(self, _entity: Entity) -> WindowSpan | None:
        """Return None: Redis has no index by time."""
        return None

    async def _watermarks(self) -> Mapping[str, datetime | None]:
        async with (await self._server.client()).pipeline(transaction=False) as pipeline:
            for entity in ENTITIES:
                pipeline.hvals(self._keys.progress(entity))
            results = await pipeline.execute()
        return {
            entity.name: min_watermark(watermarks)
            for entity, watermarks in zip(ENTITIES, results, strict=True)
        }

    async def _look_up(self, entity: Entity, ids: Sequence[str]) -> Mapping[str, _StoredTotals]:
        return (await self._with_timeout(self._stored_totals(entity, ids)))[1]

    async def _stored_totals(
        self, entity: Entity, ids: Sequence[str]
    ) -> tuple[datetime | None, dict[str, _StoredTotals]]:
        async with (await self._server.client()).pipeline(transaction=False) as pipeline:
            # The watermark is read first: the totals, which only grow, contain all trips up to it.
            pipeline.hvals(self._keys.progress(entity))
            for entity_id in ids:
                pipeline.hgetall(self._keys.totals(entity, entity_id))
                pipeline.exists(self._keys.ledger(entity, entity_id))
            watermarks, *results = await pipeline.execute()
        watermark = min_watermark(watermarks)
        stored = zip(ids, results[::2], results[1::2], strict=True)
        return watermark, {
            entity_id: (fields, watermark)
            for entity_id, fields, has_ledger in stored
            if LAST_WINDOW in fields and has_ledger
        }

    async def _series(self, entity: Entity, entity_id: str, bounds: Sequence[int]) -> Series | None:
        async with (await self._server.client()).pipeline(transaction=True) as pipeline:
            pipeline.hvals(self._keys.progress(entity))
            pipeline.hget(self._keys.totals(entity, entity_id), LAST_WINDOW)
            pipeline.hgetall(self._keys.ledger(entity, entity_id))
            watermarks, newest_text, ledger = await pipeline.execute()
        if not newest_text or not ledger:
            return None
        newest = to_epoch_ms(datetime.fromisoformat(newest_text))
        reaches = newest - self._retention
        if bounds[0] < reaches:
            msg = "Without Postgres, the windows of this id"
            raise BeyondLedgerError(msg, to_datetime(reaches))
        return Series(ledger_buckets(ledger, bounds), newest, min_watermark(watermarks))

    async def _page(self, entity: Entity, prefix: str, after: str, limit: int) -> Page:
        watermarks = await (await self._server.client()).hvals(self._keys.progress(entity))
        found: list[tuple[str, Sums]] = []
        start = f"({after}" if after else f"[{prefix}"
        # One more than the limit tells whether others follow. The index may name expired ids.
        while len(found) <= limit:
            names: list[str] = await (await self._server.client()).zrangebylex(  # type: ignore[assignment]
                self._keys.index(entity), start, f"({prefix}{MAX_CHARACTER}", start=0, num=limit + 1
            )  # the types do not know of decode_responses
            if not names:
                break
            found += await self._existing(entity, names)
            start = f"({names[-1]}"
        return Page(found[:limit], len(found) > limit, min_watermark(watermarks))

    async def _count(self, entity: Entity, prefix: str) -> int:
        if prefix:
            count: int = await (await self._server.client()).zlexcount(
                self._keys.index(entity), f"[{prefix}", f"({prefix}{MAX_CHARACTER}"
            )
            return count
        # The sink removes expired ids at its next write; this leaves them out before that.
        now, _ = await (await self._server.client()).time()
        total: int = await (await self._server.client()).zcount(
            self._keys.seen(entity), f"({now - self._expiry}", "+inf"
        )
        return total

    async def _existing(self, entity: Entity, names: list[str]) -> Iterator[tuple[str, Sums]]:
        async with (await self._server.client()).pipeline(transaction=False) as pipeline:
            for name in names:
                pipeline.hmget(self._keys.totals(entity, name), SUMS)
                pipeline.exists(self._keys.ledger(entity, name))
            results = await pipeline.execute()
        stored = zip(names, results[::2], results[1::2], strict=True)
        return (
            (name, to_sums(dict(zip(SUMS, cells, strict=True))))
            for name, cells, has_ledger in stored
            if cells[0] and has_ledger
        )
