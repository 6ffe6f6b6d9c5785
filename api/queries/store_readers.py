"""The configured stores: Redis is fast, Postgres is complete.

A query about an id goes to Redis first. An id that Redis has lost, or that is being written back to
it, is absent in Redis, and Postgres answers. Lists of ids come from Postgres if it is configured.
"""

import logging
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Generic, TypeVar

from prometheus_client import Counter, Histogram

from api.errors import (
    BeyondLedgerError,
    PostgresRequiredError,
    StoresUnavailableError,
    StoreUnavailableError,
)
from api.queries.contract import (
    AnalyticsReader,
    ListOrder,
    ListPosition,
    Page,
    QueriedStore,
    Series,
    StatusRecord,
    StoreReader,
    Totals,
    TotalsBatch,
)
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
R = TypeVar("R", bound=QueriedStore)

Watermarks = Mapping[Store, Mapping[str, datetime | None] | StoreUnavailableError]
"""By store: the watermark of each entity, or why the store did not answer."""

_log: Final = logging.getLogger(__name__)


class CircuitBreaker(Generic[R]):
    """Circuit breaker of a store: for COOLDOWN seconds after a failure it rejects all queries."""

    def __init__(self, reader: R, clock: Callable[[], float]) -> None:
        self._reader = reader
        self._clock = clock
        self._seconds = _SECONDS.labels(reader.store)
        self._failure: StoreUnavailableError | None = None
        self._open_until = 0.0

    @property
    def store(self) -> Store:
        """The store's name."""
        return self._reader.store

    async def call(self, query: Callable[[R], Awaitable[T]]) -> T:
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


class StoreReaders:
    """Queries the configured stores in STORE_ORDER, each behind a circuit breaker."""

    def __init__(
        self,
        readers: Iterable[StoreReader],
        *,
        analytics: AnalyticsReader | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Take the readers of the configured stores; `close` closes them."""
        ordered = sorted(readers, key=lambda reader: STORE_ORDER.index(reader.store))
        self._breakers = tuple(CircuitBreaker(reader, clock) for reader in ordered)
        # Its own breaker: a slow query that timed out says nothing about quick ones.
        self._analytics = None if analytics is None else CircuitBreaker(analytics, clock)

    async def totals(self, entity: Entity, entity_id: str) -> StoreAnswer[Totals] | None:
        """Return the totals of an id; None if no store knows it. Raises StoresUnavailableError."""
        return await self._query_in_order(lambda reader: reader.totals(entity, entity_id))

    async def series(
        self, entity: Entity, entity_id: str, bounds: Sequence[int]
    ) -> StoreAnswer[Series] | None:
        """Return the series of an id between bucket bounds; None if no store knows the id.

        Raises StoresUnavailableError, and BeyondLedgerError if no store has windows that old.
        """
        return await self._query_in_order(lambda reader: reader.series(entity, entity_id, bounds))

    async def batch(self, entity: Entity, ids: Sequence[str]) -> StoreAnswer[TotalsBatch]:
        """Return the totals of ids, all from one store; raises StoresUnavailableError.

        Ids that no store knows are left out. As for a single id, only the last store can tell that.
        """
        wanted = set(ids)

        async def complete_batch(reader: StoreReader) -> TotalsBatch | None:
            found = await reader.batch(entity, ids)
            is_last = reader.store == self._breakers[-1].store
            return found if is_last or wanted <= found.totals.keys() else None

        answer = await self._query_in_order(complete_batch)
        if answer is None:
            raise StoresUnavailableError([])
        return answer

    async def page(
        self, entity: Entity, order: ListOrder, after: ListPosition | None, limit: int
    ) -> StoreAnswer[Page]:
        """Return a page of ids.

        Raises StoresUnavailableError, and PostgresRequiredError for a sorted list without Postgres.
        Only the last store is queried: Redis can lack ids that it has lost and that are not written
        back yet, and nothing in a list would show that.
        """
        if order.sort_key is not None:
            return await self.analyze(
                "Sorted lists", lambda reader: reader.page(entity, order, after, limit)
            )
        last_id = after.last_id if after else ""
        return await self._query_last(
            lambda reader: reader.page(entity, order.prefix, last_id, limit)
        )

    async def count(self, entity: Entity, prefix: str) -> int:
        """Return the number of ids with a prefix, from the last store, as lists are."""
        return (await self._query_last(lambda reader: reader.count(entity, prefix))).value

    async def analyze(
        self, what: str, query: Callable[[AnalyticsReader], Awaitable[T]]
    ) -> StoreAnswer[T]:
        """Query all ids; raises StoresUnavailableError, and PostgresRequiredError about `what`."""
        if not self._breakers:
            raise StoresUnavailableError([])
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
            raise StoresUnavailableError(failures)
        return answer

    async def watermarks(self) -> Watermarks:
        """Return the watermarks in every configured store, or why a store did not answer."""
        found: dict[Store, Mapping[str, datetime | None] | StoreUnavailableError] = {}
        for breaker in self._breakers:
            try:
                found[breaker.store] = await breaker.call(lambda reader: reader.watermarks())
            except StoreUnavailableError as failure:
                found[breaker.store] = failure
        return found

    async def close(self) -> None:
        """Close every reader."""
        for breaker in self._breakers:
            await breaker.close()
        if self._analytics is not None:
            await self._analytics.close()

    async def _query_in_order(
        self, query: Callable[[StoreReader], Awaitable[T | None]]
    ) -> StoreAnswer[T] | None:
        """Return the first result that is not None.

        Postgres may have what Redis has lost. So only the last store can say that there is no
        result; if it is down, that is not known.
        """
        failures: list[StoreUnavailableError] = []
        beyond_ledger: BeyondLedgerError | None = None
        has_last_answered = False
        for breaker in self._breakers:
            try:
                found = await breaker.call(query)
            except StoreUnavailableError as failure:
                failures.append(failure)
                has_last_answered = False
            except BeyondLedgerError as error:
                beyond_ledger = error
            else:
                has_last_answered = True
                beyond_ledger = None
                if found is not None:
                    return StoreAnswer(breaker.store, found)
        if beyond_ledger is not None and not failures:
            raise beyond_ledger
        if has_last_answered:
            return None
        raise StoresUnavailableError(failures)

    async def _query_last(self, query: Callable[[StoreReader], Awaitable[T]]) -> StoreAnswer[T]:
        if not self._breakers:
            raise StoresUnavailableError([])
        return await _query_one(self._breakers[-1], query)


async def _query_one(
    breaker: CircuitBreaker[R], query: Callable[[R], Awaitable[T]]
) -> StoreAnswer[T]:
    try:
        return StoreAnswer(breaker.store, await breaker.call(query))
    except StoreUnavailableError as failure:
        raise StoresUnavailableError([failure]) from failure
