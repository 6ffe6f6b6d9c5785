"""Stores in memory, and what tests need to run the application over them."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final

import httpx
from litestar import Litestar
from litestar.testing import TestClient

from api.app import build_app
from api.errors import StoreUnavailableError
from api.queries.contract import (
    NO_EXTREMES,
    FollowerPosition,
    FollowerResult,
    Page,
    SequenceNumbers,
    Series,
    StatusRecord,
    Totals,
    TotalsBatch,
    WindowSpan,
)
from api.queries.sequence_number_poller import SequenceNumberPoller
from api.queries.store_readers import FollowerSetup, StoreReaders
from mobility.entities import ENTITIES, Entity
from mobility.settings import Settings, Store

START = datetime(2025, 1, 1, 8, 30, tzinfo=UTC)
WATERMARK = datetime(2025, 1, 1, 12, 0, tzinfo=UTC)
LAST_START = datetime(2025, 1, 1, 11, 47, tzinfo=UTC)
NEWEST_WINDOW = 1_735_731_900_000
"""The window from 11:45 to 11:50, which is not complete at noon."""


@dataclass
class MemoryReader:
    """A store in a dict, which can be down and counts its queries."""

    store: Store
    ids: dict[str, Totals] = field(default_factory=dict)
    watermark: datetime | None = WATERMARK
    records: list[StatusRecord] = field(default_factory=list)
    window_span: WindowSpan | None = None
    is_down: bool = False
    error: Exception | None = None
    queries: int = 0
    is_closed: bool = False
    instance_id: str | None = "first"
    number: int = 0

    async def totals(self, _entity: Entity, entity_id: str) -> Totals | None:
        """Return the totals of an id."""
        self._count_query()
        return self.ids.get(entity_id)

    async def batch(self, _entity: Entity, ids: Sequence[str]) -> TotalsBatch:
        """Return the totals of those ids that it has."""
        self._count_query()
        found = {name: self.ids[name] for name in ids if name in self.ids}
        return TotalsBatch(found, self.watermark)

    async def series(self, _entity: Entity, entity_id: str, bounds: Sequence[int]) -> Series | None:
        """Return a series without trips."""
        self._count_query()
        if entity_id not in self.ids or not bounds:
            return None
        return Series((), self.ids[entity_id].newest_window, self.watermark)

    async def page(self, _entity: Entity, prefix: str, after: str, limit: int) -> Page:
        """Return a page of ASCII ids."""
        self._count_query()
        rest = [name for name in self._with_prefix(prefix) if name > after]
        ids = tuple((name, self.ids[name].sums) for name in rest[:limit])
        return Page(ids, len(rest) > limit, self.watermark)

    async def count(self, _entity: Entity, prefix: str) -> int:
        """Return the number of ids with a prefix."""
        self._count_query()
        return len(self._with_prefix(prefix))

    async def span(self, _entity: Entity) -> WindowSpan | None:
        """Return the span that it was given."""
        self._count_query()
        return self.window_span

    async def watermarks(self) -> Mapping[str, datetime | None]:
        """Return the same watermark for each entity."""
        self._count_query()
        return {entity.name: self.watermark for entity in ENTITIES}

    async def statuses(self) -> list[StatusRecord]:
        """Return the status records."""
        self._count_query()
        return self.records

    async def sequence_numbers(self) -> SequenceNumbers:
        """Return its number for each entity; this is not counted as a query."""
        if self.is_down or self.instance_id is None:
            raise StoreUnavailableError(self.store, "cannot be reached")
        return SequenceNumbers(self.instance_id, {entity.name: self.number for entity in ENTITIES})

    async def close(self) -> None:
        """Remember that it is closed."""
        self.is_closed = True

    def _with_prefix(self, prefix: str) -> list[str]:
        return sorted(name for name in self.ids if name.startswith(prefix))

    def _count_query(self) -> None:
        self.queries += 1
        if self.error is not None:
            raise self.error
        if self.is_down:
            raise StoreUnavailableError(self.store, "cannot be reached")


@dataclass(frozen=True)
class MemoryFollower:
    """A follower, which has what is in a store in memory, up to the number of that."""

    held: MemoryReader
    store: Final[Store] = "redis"

    async def totals(self, entity: Entity, entity_id: str) -> FollowerResult[Totals] | None:
        """Return the totals of an id."""
        found = await self.held.totals(entity, entity_id)
        return None if found is None else FollowerResult(found, self._position)

    async def batch(self, entity: Entity, ids: Sequence[str]) -> FollowerResult[TotalsBatch]:
        """Return the totals of those ids that it has."""
        return FollowerResult(await self.held.batch(entity, ids), self._position)

    async def positions(self) -> Mapping[str, FollowerPosition]:
        """Return the same position for each entity."""
        if self.held.is_down:
            raise StoreUnavailableError(self.store, "cannot be reached")
        return {entity.name: self._position for entity in ENTITIES}

    async def watermarks(self) -> Mapping[str, datetime | None]:
        """Return the watermark of each entity."""
        return await self.held.watermarks()

    async def statuses(self) -> list[StatusRecord]:
        """Return the status records."""
        return await self.held.statuses()

    async def close(self) -> None:
        """Close the store."""
        await self.held.close()

    @property
    def _position(self) -> FollowerPosition:
        return FollowerPosition(self.held.instance_id, self.held.number)


def totals(trip_count: int = 3, duration: int = 10_000_000) -> Totals:
    """Return totals whose other amounts have six decimals."""
    sums = {
        "trip_count": trip_count,
        "total_duration": duration,
        "total_distance": 1_234_567,
        "total_revenue": -500_000,
        "distance_count": trip_count,
        "revenue_count": max(trip_count - 1, 0),
    }
    starts = {**NO_EXTREMES, "start_time": START, "last_start_time": LAST_START}
    return Totals(sums, starts, NEWEST_WINDOW, WATERMARK)


def client(
    *readers: MemoryReader,
    clock: Callable[[], float] = lambda: 0.0,
    base_url: str = "http://127.0.0.1",
    **settings: Any,  # noqa: ANN401 - the value of any setting
) -> TestClient[Litestar]:
    """Return a client of an application over these stores, with these settings.

    Of two the one that is called Redis follows the other one.
    """
    app = build_app(_store_readers(readers, clock), Settings(**settings))
    return TestClient(app, base_url, raise_server_exceptions=False)


def _store_readers(readers: Sequence[MemoryReader], clock: Callable[[], float]) -> StoreReaders:
    if len(readers) == 1:
        return StoreReaders(readers[0], clock=clock)
    postgres, redis = sorted(readers, key=lambda reader: reader.store)
    following = FollowerSetup(
        MemoryFollower(redis), SequenceNumberPoller(postgres.sequence_numbers)
    )
    return StoreReaders(postgres, following=following, clock=clock)


def problem_of(response: httpx.Response, status: int) -> dict[str, Any]:
    """Return the problem details of a response with this status."""
    assert response.status_code == status
    assert response.headers["content-type"] == "application/problem+json"
    body: dict[str, Any] = response.json()
    assert body["status"] == status
    assert body["title"]
    assert body["detail"]
    return body
