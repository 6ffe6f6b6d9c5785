"""The configured stores: one that has everything, and perhaps Redis, which follows it.

A query for totals goes to the follower first. Where that does not have an id, or is behind, the
store that has everything answers; all other queries go to that one alone.
"""

import logging
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Generic, TypeVar

from prometheus_client import Counter, Histogram

from api.errors import PostgresRequiredError, StoresUnavailableError, StoreUnavailableError
from api.queries.contract import (
    AnalyticsReader,
    Follower,
    FollowerResult,
    ListOrder,
    ListPosition,
    Page,
    QueriedStore,
    Series,
    StatusReader,
    StatusRecord,
    StoreReader,
    Totals,
    TotalsBatch,
    WindowSpan,
)
from api.queries.sequence_number_poller import FollowerLags, SequenceNumberPoller
from api.queries.time_range import TimeRange
from mobility.entities import Entity
from mobility.settings import Store, masked

STORE_ORDER: Final[tuple[Store, ...]] = ("redis", "postgres")
"""The order in which stores are queried."""

COOLDOWN: Final = 1.0
"""Seconds after a failure during which a store is not queried."""

_SECONDS: Final = Histogram(
    "mobility_store_answer_seconds", "Duration of queries to a store, failed ones too", ["store"]
)
_FAILURES: Final = Counter("mobility_store_failures", "Queries that a store failed", ["store"])

T = TypeVar("T")
R_co = TypeVar("R_co", bound=QueriedStore, covariant=True)

Watermarks = dict[Store, Mapping[str, datetime | None] | StoreUnavailableError]
"""By store, in STORE_ORDER: the watermark of each entity, or why the store did not answer."""

_log: Final = logging.getLogger(__name__)


class CircuitBreaker(Generic[R_co]):
    """Circuit breaker of a store: for COOLDOWN seconds after a failure it rejects all queries."""

    def __init__(self, reader: R_co, clock: Callable[[], float]) -> None:
        self._reader = reader
        self._clock = clock
        self._seconds = _SECONDS.labels(reader.store)
        self._failure: StoreUnavailableError | None = None
        self._open_until = 0.0

    @property
    def store(self) -> Store:
        """The store's name."""
        return self._reader.store

    async def call(self, query: Callable[[R_co], Awaitable[T]]) -> T:
        """Return the result of a query; raises StoreUnavailableError, at once while it is open."""
        if self._failure is not None and self._clock() < self._open_until:
            raise StoreUnavailableError(self.store, self._failure.reason)
        try:
            with self._seconds.time():
                result = await query(self._reader)
        except StoreUnavailableError as failure:
            _FAILURES.labels(self.store).inc()
            if self._failure is None:
                cause = " ".join(masked(str(failure.__cause__)).split())
                _log.warning("%s (%s)", failure, cause or type(failure.__cause__).__name__)
            self._failure = failure
            self._open_until = self._clock() + COOLDOWN
            raise
        if self._failure is not None:
            _log.warning("%s answers again", self.store)
            self._failure = None
        return result

    async def close(self) -> None:
        """Close the reader."""
        await self._reader.close()


@dataclass(frozen=True, slots=True)
class StoreAnswer(Generic[T]):
    """A result, and the store that it comes from."""

    store: Store
    value: T


@dataclass(frozen=True, slots=True)
class FollowerSetup:
    """A follower, and the numbers of the authority that it follows."""

    follower: Follower
    authority: SequenceNumberPoller


class StoreReaders:
    """Queries the configured stores, each behind a circuit breaker."""

    def __init__(
        self,
        reader: StoreReader | None,
        *,
        following: FollowerSetup | None = None,
        analytics: AnalyticsReader | None = None,
        unread: Sequence[Store] = (),
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Take the reader of the store that has everything, None if there is none to be read.

        `unread` are stores of the settings that the API can't read, where it can read no other.
        `close` closes all that is given.
        """
        self.unread = tuple(unread)
        self._reader = None if reader is None else CircuitBreaker(reader, clock)
        self._follower = None if following is None else CircuitBreaker(following.follower, clock)
        self._authority = None if following is None else following.authority
        # Its own breaker: a slow query that timed out says nothing about quick ones.
        self._analytics = None if analytics is None else CircuitBreaker(analytics, clock)

    def start(self) -> None:
        """Begin to ask how far the authority is, in the running event loop."""
        if self._authority is not None:
            self._authority.start()

    async def totals(self, entity: Entity, entity_id: str) -> StoreAnswer[Totals] | None:
        """Return the totals of an id; None if no store knows it. Raises StoresUnavailableError."""
        return await self._query_follower_first(
            entity,
            lambda follower: follower.totals(entity, entity_id),
            lambda reader: reader.totals(entity, entity_id),
        )

    async def series(
        self, entity: Entity, entity_id: str, bounds: Sequence[int]
    ) -> StoreAnswer[Series] | None:
        """Return the series of an id between bucket bounds; None if the id is not known.

        Raises StoresUnavailableError, and BeyondLedgerError if the store has no windows that old.
        """
        return _known(await self._query(lambda reader: reader.series(entity, entity_id, bounds)))

    async def batch(
        self, entity: Entity, ids: Sequence[str], time_range: TimeRange
    ) -> StoreAnswer[TotalsBatch]:
        """Return the totals of ids, all from one store.

        Ids that no store knows are left out. As for a single id, a follower can't tell that.
        Raises StoresUnavailableError, and PostgresRequiredError for a range without Postgres.
        """
        if not time_range.is_unbounded:
            return await self.analyze(
                "Batches of a range", lambda reader: reader.batch(entity, ids, time_range)
            )
        wanted = set(ids)

        async def complete_batch(follower: Follower) -> FollowerResult[TotalsBatch] | None:
            found = await follower.batch(entity, ids)
            return found if wanted <= found.value.totals.keys() else None

        answer = await self._query_follower_first(
            entity, complete_batch, lambda reader: reader.batch(entity, ids)
        )
        if answer is None:
            raise StoresUnavailableError([])
        return answer

    async def page(
        self, entity: Entity, order: ListOrder, after: ListPosition | None, limit: int
    ) -> StoreAnswer[Page]:
        """Return a page of ids.

        Raises StoresUnavailableError, and PostgresRequiredError for a list that is sorted or of a
        range without Postgres.
        """
        if order.sort_key is not None or not order.time_range.is_unbounded:
            return await self.analyze(
                "Sorted lists, and lists of a range",
                lambda reader: reader.page(entity, order, after, limit),
            )
        last_id = after.last_id if after else ""
        return await self._query(lambda reader: reader.page(entity, order.prefix, last_id, limit))

    async def count(self, entity: Entity, order: ListOrder) -> int:
        """Return the number of ids in a list; raises as `page` does."""
        if order.time_range.is_unbounded:
            return (await self._query(lambda reader: reader.count(entity, order.prefix))).value
        answer = await self.analyze("Lists of a range", lambda reader: reader.count(entity, order))
        return answer.value

    async def span(self, entity: Entity) -> WindowSpan | None:
        """Return from when to when there are windows; None without any, or if no store says so."""
        try:
            return (await self._query(lambda reader: reader.span(entity))).value
        except StoresUnavailableError:
            return None

    async def analyze(
        self, what: str, query: Callable[[AnalyticsReader], Awaitable[T]]
    ) -> StoreAnswer[T]:
        """Query all ids; raises StoresUnavailableError, and PostgresRequiredError about `what`."""
        if self._reader is None:
            raise StoresUnavailableError([], self.unread)
        if self._analytics is None:
            raise PostgresRequiredError(what)
        return await _query_one(self._analytics, query)

    async def statuses(self) -> StoreAnswer[Sequence[StatusRecord]]:
        """Return the status records of the processes; raises StoresUnavailableError.

        A Redis that was emptied gets them again within a second. Until then the next store has
        them.
        """
        failures: list[StoreUnavailableError] = []
        answer: StoreAnswer[Sequence[StatusRecord]] | None = None
        for breaker in self._breakers:
            try:
                statuses = await breaker.call(lambda reader: reader.statuses())
            except StoreUnavailableError as failure:
                failures.append(failure)
            else:
                answer = StoreAnswer(breaker.store, statuses)
                if statuses:
                    return answer
        if answer is None:
            raise StoresUnavailableError(failures, self.unread)
        return answer

    async def watermarks(self) -> Watermarks:
        """Return the watermarks in every configured store, or why a store did not answer."""
        found: Watermarks = {}
        for breaker in self._breakers:
            try:
                found[breaker.store] = await breaker.call(lambda reader: reader.watermarks())
            except StoreUnavailableError as failure:
                found[breaker.store] = failure
        return found

    async def follower_lags(self) -> FollowerLags:
        """Return how far the follower is behind; of no entity without one, or if it is down."""
        if self._follower is None or self._authority is None:
            return {}
        try:
            return self._authority.lags(await self._follower.call(lambda each: each.positions()))
        except StoreUnavailableError:
            return {}

    async def close(self) -> None:
        """Close every reader."""
        if self._authority is not None:
            await self._authority.close()
        for breaker in (*self._breakers, self._analytics):
            if breaker is not None:
                await breaker.close()

    @property
    def _breakers(self) -> tuple[CircuitBreaker[StatusReader], ...]:
        """Those of the configured stores, in STORE_ORDER."""
        return tuple(each for each in (self._follower, self._reader) if each is not None)

    async def _query(self, query: Callable[[StoreReader], Awaitable[T]]) -> StoreAnswer[T]:
        """Query the store that has everything."""
        if self._reader is None:
            raise StoresUnavailableError([], self.unread)
        return await _query_one(self._reader, query)

    async def _query_follower_first(
        self,
        entity: Entity,
        ask_follower: Callable[[Follower], Awaitable[FollowerResult[T] | None]],
        query: Callable[[StoreReader], Awaitable[T | None]],
    ) -> StoreAnswer[T] | None:
        """Return what the follower has, if it is current, else what the authority has.

        Only the authority can say that there is nothing; if it is down, that is not known. What the
        follower has is old then, but true: `as_of` says how old.
        """
        failures: list[StoreUnavailableError] = []
        held: StoreAnswer[T] | None = None
        if self._follower is not None and self._authority is not None:
            try:
                found = await self._follower.call(ask_follower)
            except StoreUnavailableError as failure:
                failures.append(failure)
            else:
                held = None if found is None else StoreAnswer(self._follower.store, found.value)
                if found is not None and self._authority.is_current(entity, found.position):
                    return held
        try:
            return _known(await self._query(query))
        except StoresUnavailableError as error:
            if held is not None:
                return held
            raise StoresUnavailableError([*failures, *error.failures], self.unread) from error


def _known(answer: StoreAnswer[T | None]) -> StoreAnswer[T] | None:
    return None if answer.value is None else StoreAnswer(answer.store, answer.value)


async def _query_one(
    breaker: CircuitBreaker[R_co], query: Callable[[R_co], Awaitable[T]]
) -> StoreAnswer[T]:
    try:
        return StoreAnswer(breaker.store, await breaker.call(query))
    except StoreUnavailableError as failure:
        raise StoresUnavailableError([failure]) from failure
