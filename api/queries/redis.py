"""Reads the hashes and sorted sets that the Redis sink writes."""

import asyncio
from collections.abc import Awaitable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from functools import partial
from typing import Final, TypeVar

from redis import exceptions
from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from api.errors import BeyondLedger
from api.queries.contract import (
    LAST,
    Batch,
    Page,
    Series,
    StoreDown,
    Sums,
    Told,
    Totals,
    as_time,
    micro,
)
from api.queries.lookup_batcher import Together
from api.queries.redis_ledger import STATE, newest_of, parts_of
from api.queries.times import time_of
from api.representation.amounts import NAMES
from mobility.entities import ENTITIES, Entity
from mobility.keys import RedisKeys
from mobility.settings import Settings, Store
from mobility.status import EXPIRY

ANSWER_SECONDS: Final = 2.0

_CONNECT_SECONDS: Final = 1.0
_SIZE: Final = 16

T = TypeVar("T")

_Held = tuple[Mapping[str, str], str, datetime | None]
"""What is held of an id: the hash of its totals, its ledger's state, and the watermark."""


def client(url: str, size: int, seconds: float, *, decode_responses: bool) -> Redis:
    """Return a client with up to `size` connections, each of which waits so long for an answer.

    A Redis that fails is left to whoever asks: no retries. The pool itself notices connections that
    the server has closed in the meantime.
    """
    pool = BlockingConnectionPool.from_url(
        url,
        max_connections=size,
        timeout=_CONNECT_SECONDS,
        socket_connect_timeout=_CONNECT_SECONDS,
        socket_timeout=seconds,
        retry=Retry(NoBackoff(), retries=0),
        decode_responses=decode_responses,
    )
    return Redis.from_pool(pool)


class RedisReader:
    """Reads one Redis, by keys and by an index. Connects at the first question.

    The totals of an id whose ledger has gone can't be trusted, so it counts as absent.
    """

    store: Final[Store] = "redis"

    def __init__(self, settings: Settings) -> None:
        self._keys = RedisKeys.of(settings)
        self._expiry = settings.redis_expiry
        self._retention = settings.redis_ledger_hours * 3_600_000
        self._redis = client(settings.redis, _SIZE, ANSWER_SECONDS, decode_responses=True)
        self._together = {
            entity.name: Together(partial(self._held_of, entity)) for entity in ENTITIES
        }

    async def totals(self, entity: Entity, entity_id: str) -> Totals | None:
        """Return an id's totals, None where it has none."""
        held = await self._together[entity.name].one(entity_id)
        return None if held is None else _totals(held)

    async def batch(self, entity: Entity, ids: Sequence[str]) -> Batch:
        """Return the totals of those ids that are here."""
        as_of, held = await self._answered(self._held(entity, ids))
        return Batch({entity_id: _totals(each) for entity_id, each in held.items()}, as_of)

    async def series(self, entity: Entity, entity_id: str, edges: Sequence[int]) -> Series | None:
        """Return an id's trips in the spans between edges, None where it is not here."""
        return await self._answered(self._series(entity, entity_id, edges))

    async def page(self, entity: Entity, prefix: str, after: str, limit: int) -> Page:
        """Return up to `limit` ids that follow an id."""
        return await self._answered(self._page(entity, prefix, after, limit))

    async def count(self, entity: Entity, prefix: str) -> int:
        """Return how many ids begin with a prefix."""
        return await self._answered(self._count(entity, prefix))

    async def freshness(self) -> Mapping[str, datetime | None]:
        """Return each entity's watermark."""
        return await self._answered(self._freshness())

    async def statuses(self) -> Sequence[Told]:
        """Return what each process has said of itself within a minute."""
        return await self._answered(self._statuses())

    async def close(self) -> None:
        """Close the connections."""
        for together in self._together.values():
            await together.close()
        await self._redis.aclose()

    async def _held_of(self, entity: Entity, ids: Sequence[str]) -> Mapping[str, _Held]:
        return (await self._answered(self._held(entity, ids)))[1]

    async def _held(
        self, entity: Entity, ids: Sequence[str]
    ) -> tuple[datetime | None, dict[str, _Held]]:
        async with self._redis.pipeline(transaction=False) as questions:
            # The watermark first: totals only move on, so it promises no more than they hold.
            questions.hvals(self._keys.progress(entity))
            for entity_id in ids:
                questions.hgetall(self._keys.totals(entity, entity_id))
                questions.hget(self._keys.ledger(entity, entity_id), STATE)
            watermarks, *answers = await questions.execute()
        as_of = _slowest(watermarks)
        held = zip(ids, answers[::2], answers[1::2], strict=True)
        return as_of, {
            entity_id: (fields, state, as_of)
            for entity_id, fields, state in held
            if fields and state
        }

    async def _series(self, entity: Entity, entity_id: str, edges: Sequence[int]) -> Series | None:
        async with self._redis.pipeline(transaction=True) as questions:
            questions.hvals(self._keys.progress(entity))
            questions.exists(self._keys.totals(entity, entity_id))
            questions.hgetall(self._keys.ledger(entity, entity_id))
            watermarks, has_totals, ledger = await questions.execute()
        if not has_totals or not ledger:
            return None
        reaches = newest_of(ledger[STATE]) - self._retention
        if edges[0] < reaches:
            raise BeyondLedger(time_of(reaches))
        return Series(parts_of(ledger, edges), _slowest(watermarks))

    async def _page(self, entity: Entity, prefix: str, after: str, limit: int) -> Page:
        watermarks = await self._redis.hvals(self._keys.progress(entity))
        as_of = _slowest(watermarks)
        found: list[tuple[str, Sums]] = []
        start = f"({after}" if after else f"[{prefix}"
        # One more than asked for tells whether there are more; the index may name expired ids.
        while len(found) <= limit:
            names: list[str] = await self._redis.zrangebylex(  # type: ignore[assignment]
                self._keys.index(entity), start, f"({prefix}{LAST}", start=0, num=limit + 1
            )  # the types do not know of decode_responses
            if not names:
                break
            found += await self._alive(entity, names)
            start = f"({names[-1]}"
        return Page(found[:limit], len(found) > limit, as_of)

    async def _count(self, entity: Entity, prefix: str) -> int:
        if prefix:
            count: int = await self._redis.zlexcount(
                self._keys.index(entity), f"[{prefix}", f"({prefix}{LAST}"
            )
            return count
        # The sink forgets expired ids at its next write; who reads before that counts them out.
        now, _ = await self._redis.time()
        total: int = await self._redis.zcount(
            self._keys.seen(entity), f"({now - self._expiry}", "+inf"
        )
        return total

    async def _alive(self, entity: Entity, names: list[str]) -> Iterator[tuple[str, Sums]]:
        async with self._redis.pipeline(transaction=False) as questions:
            for name in names:
                questions.hmget(self._keys.totals(entity, name), NAMES)
                questions.exists(self._keys.ledger(entity, name))
            answers = await questions.execute()
        held = zip(names, answers[::2], answers[1::2], strict=True)
        return (
            (name, _sums(dict(zip(NAMES, cells, strict=True))))
            for name, cells, has_ledger in held
            if cells[0] and has_ledger
        )

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


def _sums(fields: Mapping[str, str]) -> Sums:
    count, *amounts = (fields[name] for name in NAMES)
    return Sums(int(count), *map(micro, amounts))


def _totals(held: _Held) -> Totals:
    fields, state, as_of = held
    start = fields["start_time"]
    # The first release wrote no latest start: see mobility.records.STARTS.
    last = fields.get("last_start_time", start)
    return Totals(
        _sums(fields),
        start_time=datetime.fromisoformat(start) if start else None,
        last_start_time=datetime.fromisoformat(last) if last else None,
        newest=newest_of(state),
        as_of=as_of,
    )


def _slowest(watermarks: Iterable[str | bytes]) -> datetime | None:
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
