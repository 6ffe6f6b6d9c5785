"""Reads the hashes and sorted sets that the Redis sink writes."""

import asyncio
from collections.abc import Awaitable, Mapping, Sequence
from datetime import datetime
from typing import Final, TypeVar

from redis import exceptions
from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from api.reader import Page, StoreDown, Told, Totals, as_time, micro
from mobility.entities import ENTITIES, Entity
from mobility.keys import RedisKeys
from mobility.settings import Settings, Store
from mobility.status import EXPIRY

ANSWER_SECONDS: Final = 2.0

_CONNECT_SECONDS: Final = 1.0
_SIZE: Final = 16

T = TypeVar("T")


class RedisReader:
    """Reads one Redis, by keys and by an index. Connects at the first question.

    The totals of an id whose ledger has gone can't be trusted, so it counts as absent.
    """

    store: Final[Store] = "redis"

    def __init__(self, settings: Settings) -> None:
        self._keys = RedisKeys.of(settings)
        self._expiry = settings.redis_expiry
        # A store that fails is left to the next one: no retries. The pool itself notices
        # connections that the server has closed in the meantime.
        pool = BlockingConnectionPool.from_url(
            settings.redis,
            max_connections=_SIZE,
            timeout=_CONNECT_SECONDS,
            socket_connect_timeout=_CONNECT_SECONDS,
            socket_timeout=ANSWER_SECONDS,
            retry=Retry(NoBackoff(), retries=0),
            decode_responses=True,
        )
        self._redis = Redis.from_pool(pool)

    async def totals(self, entity: Entity, entity_id: str) -> Totals | None:
        """Return an id's totals, None where it has none."""
        return await self._answered(self._totals(entity, entity_id))

    async def page(self, entity: Entity, after: str, limit: int) -> Page:
        """Return up to `limit` ids that follow `after`, and the number of all."""
        return await self._answered(self._page(entity, after, limit))

    async def freshness(self) -> Mapping[str, datetime | None]:
        """Return each entity's watermark."""
        return await self._answered(self._freshness())

    async def statuses(self) -> Sequence[Told]:
        """Return what each process has said of itself within a minute."""
        return await self._answered(self._statuses())

    async def close(self) -> None:
        """Close the connections."""
        await self._redis.aclose()

    async def _totals(self, entity: Entity, entity_id: str) -> Totals | None:
        async with self._redis.pipeline(transaction=True) as questions:
            questions.hgetall(self._keys.totals(entity, entity_id))
            questions.exists(self._keys.ledger(entity, entity_id))
            questions.hvals(self._keys.progress(entity))
            fields, has_ledger, watermarks = await questions.execute()
        if not fields or not has_ledger:
            return None
        return Totals(
            trip_count=int(fields["trip_count"]),
            total_duration=micro(fields["total_duration"]),
            total_distance=micro(fields["total_distance"]),
            total_revenue=micro(fields["total_revenue"]),
            start_time=datetime.fromisoformat(start) if (start := fields["start_time"]) else None,
            as_of=_slowest(watermarks),
        )

    async def _page(self, entity: Entity, after: str, limit: int) -> Page:
        index = self._keys.index(entity)
        ids: list[tuple[str, int]] = []
        # One more than asked for tells whether there are more; the index may name expired ids.
        while len(ids) <= limit:
            start = f"({after}" if after else "-"
            names: list[str] = await self._redis.zrangebylex(  # type: ignore[assignment]
                index, start, "+", start=0, num=limit + 1
            )  # the types do not know of decode_responses
            if not names:
                break
            ids += await self._alive(entity, names)
            after = names[-1]
        return Page(tuple(ids[:limit]), await self._total(entity), has_more=len(ids) > limit)

    async def _total(self, entity: Entity) -> int:
        # The sink forgets expired ids at its next write; who reads before that counts them out.
        now, _ = await self._redis.time()
        seen = self._keys.seen(entity)
        total: int = await self._redis.zcount(seen, f"({now - self._expiry}", "+inf")
        return total

    async def _alive(self, entity: Entity, names: list[str]) -> list[tuple[str, int]]:
        async with self._redis.pipeline(transaction=False) as questions:
            for name in names:
                questions.hget(self._keys.totals(entity, name), "trip_count")
                questions.exists(self._keys.ledger(entity, name))
            answers = await questions.execute()
        found = zip(names, answers[::2], answers[1::2], strict=True)
        return [(name, int(count)) for name, count, has_ledger in found if count and has_ledger]

    async def _freshness(self) -> Mapping[str, datetime | None]:
        async with self._redis.pipeline(transaction=False) as questions:
            for entity in ENTITIES:
                questions.hvals(self._keys.progress(entity))
            answers = await questions.execute()
        return {
            entity.name: _slowest(watermarks)
            for entity, watermarks in zip(ENTITIES, answers, strict=True)
        }

    async def _statuses(self) -> Sequence[Told]:
        members: set[str] = await self._redis.smembers(self._keys.processes)  # type: ignore[assignment]
        processes = sorted(members)  # the types do not know of decode_responses
        async with self._redis.pipeline(transaction=True) as questions:
            for process in processes:
                questions.get(self._keys.status(process))
                questions.pttl(self._keys.status(process))
            answers = await questions.execute()
        found = zip(processes, answers[::2], answers[1::2], strict=True)
        return [Told(name, EXPIRY - left / 1_000, record) for name, record, left in found if record]

    async def _answered(self, question: Awaitable[T]) -> T:
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                return await question
        except (exceptions.RedisError, TimeoutError, OSError) as error:
            raise StoreDown(self.store, _reason(error)) from error


def _slowest(watermarks: list[str]) -> datetime | None:
    return as_time(min(map(int, watermarks), default=None))


def _reason(error: Exception) -> str:
    if isinstance(error, exceptions.AuthenticationError):
        return "does not accept the credentials"
    if isinstance(error, exceptions.BusyLoadingError):
        return "is still loading its data"
    if isinstance(error, TimeoutError | exceptions.TimeoutError):
        return "does not answer in time"
    if isinstance(error, exceptions.ConnectionError | OSError):
        return "cannot be reached"
    return "answers with an error"
