"""Reads the hashes and sorted sets that the Redis sink writes."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from functools import partial
from typing import Final, Generic, TypeVar

from redis.exceptions import RedisError

from api.errors import BeyondLedgerError, StoreUnavailableError
from api.queries.contract import (
    MAX_CHARACTER,
    Extremes,
    Page,
    Series,
    StatusRecord,
    Sums,
    Totals,
    TotalsBatch,
)
from api.queries.redis_client import connect_redis, failure_reason
from api.queries.redis_ledger import STATE_FIELD, ledger_buckets
from api.queries.time_range import known_time, to_datetime
from mobility.entities import ENTITIES, Entity
from mobility.keys import RedisKeys
from mobility.measures import AMOUNTS, MEASURES, SUMS
from mobility.records import MICRO
from mobility.settings import Settings, Store
from mobility.status import EXPIRY

QUERY_SECONDS: Final = 2.0

MAX_LOOKUPS: Final = 200
"""Ids of one query: few enough that no caller waits long for the others' ids."""

_CONNECTIONS: Final = 16
_NEWEST_WINDOW: Final = 8
"""Index of the newest window's start in the state of a ledger."""

T = TypeVar("T")

_Waiting = list[tuple[str, asyncio.Future[T | None]]]
_StoredTotals = tuple[Mapping[str, str], str, datetime | None]
"""What is stored of an id: the hash of its totals, its ledger's state, and the watermark."""


class LookupBatcher(Generic[T]):
    """Batches lookups of single ids: those that arrive during a query share the next one.

    One query runs at a time. The more callers there are, the more ids a query has and the less
    each id costs.
    """

    def __init__(self, query: Callable[[Sequence[str]], Awaitable[Mapping[str, T]]]) -> None:
        """Take the query of several ids; its result lacks those that are not known."""
        self._query = query
        self._waiting: _Waiting[T] = []
        self._running: asyncio.Task[None] | None = None

    async def get(self, entity_id: str) -> T | None:
        """Return the result for an id; None if there is none.

        If the query fails, the error is raised for all callers, those that wait for the next query
        too: otherwise each of them would wait for the same failure.
        """
        future: asyncio.Future[T | None] = asyncio.get_running_loop().create_future()
        self._waiting.append((entity_id, future))
        if self._running is None or self._running.done():
            self._running = asyncio.create_task(self._run_queries())
        return await future

    async def close(self) -> None:
        """Stop; callers that still wait are cancelled."""
        if self._running is not None:
            self._running.cancel()
            await asyncio.gather(self._running, return_exceptions=True)
        for _, future in self._pop(len(self._waiting)):
            future.cancel()

    async def _run_queries(self) -> None:
        while self._waiting:
            ids = [entity_id for entity_id, _ in self._waiting[:MAX_LOOKUPS]]
            try:
                found = await self._query(list(dict.fromkeys(ids)))
            except Exception as error:  # noqa: BLE001 - it is raised in the callers
                for _, future in self._pop(len(self._waiting)):
                    future.set_exception(error)
            else:
                for entity_id, future in self._pop(len(ids)):
                    future.set_result(found.get(entity_id))

    def _pop(self, number: int) -> _Waiting[T]:
        """Remove the first callers from the list; return those that still wait."""
        first, self._waiting = self._waiting[:number], self._waiting[number:]
        return [(entity_id, future) for entity_id, future in first if not future.done()]


class RedisReader:
    """Reads one Redis, by keys and by the index of ids. Connects at the first query.

    An id without a ledger counts as absent: its totals can't be trusted.
    """

    store: Final[Store] = "redis"

    def __init__(self, settings: Settings) -> None:
        self._keys = RedisKeys.of(settings)
        self._expiry = settings.redis_expiry
        self._retention = settings.redis_ledger_hours * 3_600_000
        self._redis = connect_redis(
            settings.redis, _CONNECTIONS, QUERY_SECONDS, decode_responses=True
        )
        self._lookups = {
            entity.name: LookupBatcher(partial(self._look_up, entity)) for entity in ENTITIES
        }

    async def totals(self, entity: Entity, entity_id: str) -> Totals | None:
        """Return the totals of an id; None if Redis does not have it."""
        stored = await self._lookups[entity.name].get(entity_id)
        return None if stored is None else _to_totals(stored)

    async def batch(self, entity: Entity, ids: Sequence[str]) -> TotalsBatch:
        """Return the totals of those ids that Redis has."""
        watermark, stored = await self._with_timeout(self._stored_totals(entity, ids))
        return TotalsBatch(
            {entity_id: _to_totals(one) for entity_id, one in stored.items()}, watermark
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

    async def watermarks(self) -> Mapping[str, datetime | None]:
        """Return the watermark of each entity, by name."""
        return await self._with_timeout(self._watermarks())

    async def statuses(self) -> Sequence[StatusRecord]:
        """Return the status records of the last minute, sorted by process."""
        return await self._with_timeout(self._statuses())

    async def close(self) -> None:
        """Close the connections."""
        for lookups in self._lookups.values():
            await lookups.close()
        await self._redis.aclose()

    async def _look_up(self, entity: Entity, ids: Sequence[str]) -> Mapping[str, _StoredTotals]:
        return (await self._with_timeout(self._stored_totals(entity, ids)))[1]

    async def _stored_totals(
        self, entity: Entity, ids: Sequence[str]
    ) -> tuple[datetime | None, dict[str, _StoredTotals]]:
        async with self._redis.pipeline(transaction=False) as pipeline:
            # The watermark is read first: the totals, which only grow, contain all trips up to it.
            pipeline.hvals(self._keys.progress(entity))
            for entity_id in ids:
                pipeline.hgetall(self._keys.totals(entity, entity_id))
                pipeline.hget(self._keys.ledger(entity, entity_id), STATE_FIELD)
            watermarks, *results = await pipeline.execute()
        watermark = _min_watermark(watermarks)
        stored = zip(ids, results[::2], results[1::2], strict=True)
        return watermark, {
            entity_id: (fields, state, watermark)
            for entity_id, fields, state in stored
            if fields and state
        }

    async def _series(self, entity: Entity, entity_id: str, bounds: Sequence[int]) -> Series | None:
        async with self._redis.pipeline(transaction=True) as pipeline:
            pipeline.hvals(self._keys.progress(entity))
            pipeline.exists(self._keys.totals(entity, entity_id))
            pipeline.hgetall(self._keys.ledger(entity, entity_id))
            watermarks, has_totals, ledger = await pipeline.execute()
        if not has_totals or not ledger:
            return None
        reaches = _newest_window(ledger[STATE_FIELD]) - self._retention
        if bounds[0] < reaches:
            raise BeyondLedgerError(to_datetime(reaches))
        return Series(ledger_buckets(ledger, bounds), _min_watermark(watermarks))

    async def _page(self, entity: Entity, prefix: str, after: str, limit: int) -> Page:
        watermarks = await self._redis.hvals(self._keys.progress(entity))
        found: list[tuple[str, Sums]] = []
        start = f"({after}" if after else f"[{prefix}"
        # One more than the limit tells whether others follow. The index may name expired ids.
        while len(found) <= limit:
            names: list[str] = await self._redis.zrangebylex(  # type: ignore[assignment]
                self._keys.index(entity), start, f"({prefix}{MAX_CHARACTER}", start=0, num=limit + 1
            )  # the types do not know of decode_responses
            if not names:
                break
            found += await self._existing(entity, names)
            start = f"({names[-1]}"
        return Page(found[:limit], len(found) > limit, _min_watermark(watermarks))

    async def _count(self, entity: Entity, prefix: str) -> int:
        if prefix:
            count: int = await self._redis.zlexcount(
                self._keys.index(entity), f"[{prefix}", f"({prefix}{MAX_CHARACTER}"
            )
            return count
        # The sink removes expired ids at its next write; this leaves them out before that.
        now, _ = await self._redis.time()
        total: int = await self._redis.zcount(
            self._keys.seen(entity), f"({now - self._expiry}", "+inf"
        )
        return total

    async def _existing(self, entity: Entity, names: list[str]) -> Iterator[tuple[str, Sums]]:
        async with self._redis.pipeline(transaction=False) as pipeline:
            for name in names:
                pipeline.hmget(self._keys.totals(entity, name), SUMS)
                pipeline.exists(self._keys.ledger(entity, name))
            results = await pipeline.execute()
        stored = zip(names, results[::2], results[1::2], strict=True)
        return (
            (name, _to_sums(dict(zip(SUMS, cells, strict=True))))
            for name, cells, has_ledger in stored
            if cells[0] and has_ledger
        )

    async def _watermarks(self) -> Mapping[str, datetime | None]:
        async with self._redis.pipeline(transaction=False) as pipeline:
            for entity in ENTITIES:
                pipeline.hvals(self._keys.progress(entity))
            results = await pipeline.execute()
        return {
            entity.name: _min_watermark(watermarks)
            for entity, watermarks in zip(ENTITIES, results, strict=True)
        }

    async def _statuses(self) -> Sequence[StatusRecord]:
        members: set[str] = await self._redis.smembers(self._keys.processes)  # type: ignore[assignment]
        processes = sorted(members)  # the types do not know of decode_responses
        async with self._redis.pipeline(transaction=True) as pipeline:
            for process in processes:
                pipeline.get(self._keys.status(process))
                pipeline.pttl(self._keys.status(process))
            results = await pipeline.execute()
        found = zip(processes, results[::2], results[1::2], strict=True)
        return [
            StatusRecord(name, EXPIRY - left / 1_000, record)
            for name, record, left in found
            if record
        ]

    async def _with_timeout(self, query: Awaitable[T]) -> T:
        try:
            async with asyncio.timeout(QUERY_SECONDS):
                return await query
        except (RedisError, TimeoutError, OSError) as error:
            raise StoreUnavailableError(self.store, failure_reason(error)) from error


def _to_sums(fields: Mapping[str, str]) -> Sums:
    return {
        name: int(Decimal(fields[name]) * MICRO) if name in AMOUNTS else int(fields[name])
        for name in SUMS
    }


def _to_extremes(fields: Mapping[str, str]) -> Extremes:
    # The first release did not write the start of the latest trip: see `Measure.substitute`.
    starts = {
        each.name: fields[each.name if each.name in fields else each.substitute or each.name]
        for each in MEASURES
        if each.unit == "time"
    }
    return {name: datetime.fromisoformat(text) if text else None for name, text in starts.items()}


def _to_totals(stored: _StoredTotals) -> Totals:
    fields, state, watermark = stored
    return Totals(_to_sums(fields), _to_extremes(fields), _newest_window(state), watermark)


def _newest_window(state: str) -> int:
    """Return the start of the newest window (epoch ms) from the state of a ledger."""
    return int(state.split(" ", _NEWEST_WINDOW + 1)[_NEWEST_WINDOW])


def _min_watermark(watermarks: Iterable[str | bytes]) -> datetime | None:
    return known_time(min(map(int, watermarks), default=None))
