"""What is read from Redis alike, whether it is the only store or follows Postgres."""

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from functools import partial
from typing import Final, Generic, TypeVar

from api.errors import StoreUnavailableError
from api.queries.contract import Extremes, StatusRecord, Sums, Totals
from api.queries.redis_client import FAILURES, RedisServer, failure_reason
from api.queries.time_range import known_time, to_epoch_ms
from mobility.entities import ENTITIES, Entity
from mobility.keys import LAST_WINDOW, RedisKeys
from mobility.measures import AMOUNTS, EXTREMES, STARTS, SUBSTITUTES, SUMS
from mobility.records import MICRO
from mobility.settings import Settings, Store
from mobility.status import EXPIRY

QUERY_SECONDS: Final = 2.0

MAX_LOOKUPS: Final = 200
"""Ids of one query: few enough that no caller waits long for the others' ids."""

_CONNECTIONS: Final = 16

T = TypeVar("T")
R = TypeVar("R")
V = TypeVar("V")

_Waiting = list[tuple[str, asyncio.Future[T | None]]]


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


class RedisQueries(ABC, Generic[T]):
    """Queries of one Redis; T is what it has of an id. Connects at the first query."""

    store: Final[Store] = "redis"

    def __init__(self, settings: Settings) -> None:
        self._keys = RedisKeys.of(settings)
        self._server = RedisServer(
            settings.redis, _CONNECTIONS, QUERY_SECONDS, decode_responses=True
        )
        self._lookups = {
            entity.name: LookupBatcher(partial(self._look_up, entity)) for entity in ENTITIES
        }

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
        await self._server.close()

    @abstractmethod
    async def _watermarks(self) -> Mapping[str, datetime | None]:
        """Return the watermark of each entity, by name."""

    @abstractmethod
    async def _look_up(self, entity: Entity, ids: Sequence[str]) -> Mapping[str, T]:
        """Return what Redis has of those ids that it has."""

    async def _statuses(self) -> Sequence[StatusRecord]:
        client = await self._server.client()
        members: set[str] = await client.smembers(self._keys.processes)  # type: ignore[assignment]
        processes = sorted(members)  # the types do not know of decode_responses
        async with client.pipeline(transaction=False) as pipeline:
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

    async def _with_timeout(self, query: Awaitable[R]) -> R:
        try:
            async with asyncio.timeout(QUERY_SECONDS):
                return await query
        except FAILURES as error:
            self._server.look_again()
            raise StoreUnavailableError(self.store, failure_reason(error)) from error


def to_totals(fields: Mapping[str, str], watermark: datetime | None) -> Totals:
    """Return the totals in a hash of totals, which contain all trips up to a watermark."""
    newest = to_epoch_ms(datetime.fromisoformat(fields[LAST_WINDOW]))
    return Totals(to_sums(fields), _to_extremes(fields), newest, watermark)


def to_sums(fields: Mapping[str, str]) -> Sums:
    """Return the sums in a hash of totals, whose amounts are decimal texts in units."""
    texts = {name: stored_sum(fields, name) for name in SUMS}
    return {
        name: int(Decimal(text) * MICRO) if name in AMOUNTS else int(text)
        for name, text in texts.items()
    }


def stored_sum(fields: Mapping[str, V], name: str) -> V:
    """Return what Redis has of a sum, or of its substitute, if an earlier release has stored it."""
    found = fields.get(name)
    return fields[SUBSTITUTES.get(name, name)] if found is None else found


def _to_extremes(fields: Mapping[str, str]) -> Extremes:
    """Return the minima and maxima in a hash of totals, which are '' or absent without trips."""
    texts = {name: fields.get(name, "") for name in EXTREMES}
    return {name: _to_extreme(name, text) if text else None for name, text in texts.items()}


def _to_extreme(name: str, text: str) -> int | datetime:
    return datetime.fromisoformat(text) if name in STARTS else int(Decimal(text) * MICRO)


def min_watermark(watermarks: Iterable[str | bytes]) -> datetime | None:
    """Return the lowest of the watermarks of shards (epoch ms); None while it is not known."""
    return known_time(min(map(int, watermarks), default=None))
