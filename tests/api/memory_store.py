"""A store in memory, and helpers of tests that run the application over it."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import httpx
from litestar import Litestar
from litestar.testing import TestClient

from api.app import build_app
from api.errors import StoreUnavailableError
from api.queries.contract import Page, Series, StatusRecord, Totals, TotalsBatch
from api.queries.store_readers import StoreReaders
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
    is_down: bool = False
    error: Exception | None = None
    queries: int = 0
    is_closed: bool = False

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
        return Series((), self.watermark) if entity_id in self.ids and bounds else None

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

    async def watermarks(self) -> Mapping[str, datetime | None]:
        """Return the same watermark for each entity."""
        self._count_query()
        return {entity.name: self.watermark for entity in ENTITIES}

    async def statuses(self) -> list[StatusRecord]:
        """Return the status records."""
        self._count_query()
        return self.records

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


def totals(trip_count: int = 3, duration: int = 10_000_000) -> Totals:
    """Return totals whose other amounts have six decimals."""
    sums = {
        "trip_count": trip_count,
        "total_duration": duration,
        "total_distance": 1_234_567,
        "total_revenue": -500_000,
    }
    starts = {"start_time": START, "last_start_time": LAST_START}
    return Totals(sums, starts, NEWEST_WINDOW, WATERMARK)


def client(
    *readers: MemoryReader,
    clock: Callable[[], float] = lambda: 0.0,
    base_url: str = "http://127.0.0.1",
    **settings: Any,  # noqa: ANN401 - the value of any setting
) -> TestClient[Litestar]:
    """Return a client of an application over these stores, with these settings."""
    app = build_app(StoreReaders(readers, clock=clock), Settings(**settings))
    return TestClient(app, base_url, raise_server_exceptions=False)


def problem_of(response: httpx.Response, status: int) -> dict[str, Any]:
    """Return the problem details of a response with this status."""
    assert response.status_code == status
    assert response.headers["content-type"] == "application/problem+json"
    body: dict[str, Any] = response.json()
    assert body["status"] == status
    assert body["title"]
    assert body["detail"]
    return body
