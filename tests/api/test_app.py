"""The application over stores that live in memory."""

import re
import tomllib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import pytest
from litestar import Litestar
from litestar.testing import TestClient

from api.app import app_over, create_app
from api.queries.circuit_breaker import REST
from api.queries.contract import NOTHING, Batch, Page, Series, StoreDown, Sums, Told, Totals
from api.queries.store_readers import Readers
from mobility.entities import ENTITIES, Entity
from mobility.settings import Settings, Store

START = datetime(2025, 1, 1, 8, 30, tzinfo=UTC)
AS_OF = datetime(2025, 1, 1, 12, 0, tzinfo=UTC)
LAST_START = datetime(2025, 1, 1, 11, 47, tzinfo=UTC)
NEWEST = 1_735_731_900_000
"""The window from 11:45 to 11:50: at noon its last trips may still be uncounted."""


@dataclass
class MemoryReader:
    """A store in a dict, that can be down and counts how often it is asked."""

    store: Store
    ids: dict[str, Totals] = field(default_factory=dict)
    as_of: datetime | None = AS_OF
    said: list[Told] = field(default_factory=list)
    down: bool = False
    broken: Exception | None = None
    asked: int = 0
    closed: bool = False

    async def totals(self, _entity: Entity, entity_id: str) -> Totals | None:
        """Return an id's totals."""
        self._answer()
        return self.ids.get(entity_id)

    async def batch(self, _entity: Entity, ids: Sequence[str]) -> Batch:
        """Return the totals of those ids that are here."""
        self._answer()
        return Batch({name: self.ids[name] for name in ids if name in self.ids}, self.as_of)

    async def series(self, _entity: Entity, entity_id: str, edges: Sequence[int]) -> Series | None:
        """Return no trips at all."""
        self._answer()
        return Series((), self.as_of) if entity_id in self.ids and edges else None

    async def page(self, _entity: Entity, prefix: str, after: str, limit: int) -> Page:
        """Return a page, of ASCII ids."""
        self._answer()
        rest = [name for name in self._named(prefix) if name > after]
        ids = tuple((name, self.ids[name].sums) for name in rest[:limit])
        return Page(ids, len(rest) > limit, self.as_of)

    async def count(self, _entity: Entity, prefix: str) -> int:
        """Return how many ids begin so."""
        self._answer()
        return len(self._named(prefix))

    async def freshness(self) -> Mapping[str, datetime | None]:
        """Return the one watermark for each entity."""
        self._answer()
        return {entity.name: self.as_of for entity in ENTITIES}

    async def statuses(self) -> list[Told]:
        """Return what the processes have said."""
        self._answer()
        return self.said

    async def close(self) -> None:
        """Note that it is closed."""
        self.closed = True

    def _named(self, prefix: str) -> list[str]:
        return sorted(name for name in self.ids if name.startswith(prefix))

    def _answer(self) -> None:
        self.asked += 1
        if self.broken is not None:
            raise self.broken
        if self.down:
            raise StoreDown(self.store, "cannot be reached")


@dataclass
class Hand:
    """A clock that is moved by hand."""

    now: float = 0.0

    def __call__(self) -> float:
        """Return the time that was set."""
        return self.now


def totals(trip_count: int = 3, duration: int = 10_000_000) -> Totals:
    """Return totals whose other amounts have six decimals each."""
    sums = Sums(trip_count, duration, 1_234_567, -500_000)
    return Totals(sums, START, LAST_START, NEWEST, AS_OF)


def client(
    *readers: MemoryReader, clock: Callable[[], float] = lambda: 0.0
) -> TestClient[Litestar]:
    """Return a client of an application over these stores."""
    app = app_over(Readers(readers, clock=clock), Settings())
    return TestClient(app, "http://127.0.0.1", raise_server_exceptions=False)


def problem_of(response: httpx.Response, status: int) -> dict[str, Any]:
    """Return the problem that a response holds."""
    assert response.status_code == status
    assert response.headers["content-type"] == "application/problem+json"
    body: dict[str, Any] = response.json()
    assert body["status"] == status
    assert body["title"]
    assert body["detail"]
    return body


def test_metrics_are_in_units() -> None:
    """Millionths are shown as units, the mean is derived, times are ISO 8601 in UTC."""
    with client(MemoryReader("redis", {"d1": totals()})) as http:
        response = http.get("/metrics/driver/d1")
    assert response.status_code == 200
    assert response.json() == {
        "entity": "driver",
        "id": "d1",
        "trip_count": 3,
        "avg_duration": 10 / 3,
        "total_duration": 10.0,
        "total_distance": 1.234567,
        "total_revenue": -0.5,
        "start_time": "2025-01-01T08:30:00Z",
        "last_start_time": "2025-01-01T11:47:00Z",
        "as_of": "2025-01-01T12:00:00Z",
        "store": "redis",
        "avg_distance": 1.234567 / 3,
        "avg_revenue": -0.5 / 3,
        "from": None,
        "to": None,
        "last_window": {
            "window_start": "2025-01-01T11:45:00Z",
            "window_end": "2025-01-01T11:50:00Z",
            "complete": False,
        },
        "complete": False,
    }


def test_numbers_are_the_nearest_doubles() -> None:
    """A sum beyond 2^53 millionths and its mean are each rounded once."""
    with client(MemoryReader("redis", {"d1": totals(3, 2**62 + 1)})) as http:
        body = http.get("/metrics/driver/d1").json()
    assert body["total_duration"] == float("4611686018427.387905")
    assert body["avg_duration"] == float("1537228672809.129301666666666666666666")


@pytest.mark.parametrize(
    "entity_id",
    ["a/b", "/", "//", "a//b/", "..", ".", "50% off?", "a b", "x#y", "é水🚲", "%2F", "health", "+"],
)
def test_every_id_can_be_asked_for(entity_id: str) -> None:
    """An id is data: slashes, dots, percent signs and names of routes shadow nothing."""
    with client(MemoryReader("redis", {entity_id: totals()})) as http:
        # A client resolves dots itself unless they are encoded.
        path = quote(entity_id, safe="").replace(".", "%2E")
        response = http.get(f"/metrics/driver/{path}")
    assert response.status_code == 200
    assert response.json()["id"] == entity_id


@pytest.mark.parametrize("path", ["driver/%FF", "driver/%00", "driver/nobody", "tram/x", "tram"])
def test_what_is_not_there_is_a_problem(path: str) -> None:
    """An unknown entity or id, and an id that can't exist, are 404."""
    with client(MemoryReader("redis")) as http:
        problem_of(http.get(f"/metrics/{path}"), 404)


def test_routing_errors_are_problems() -> None:
    """An unknown route is a problem, and so is a wrong method, which also names the right one."""
    with client(MemoryReader("redis")) as http:
        problem_of(http.get("/nowhere"), 404)
        wrong = http.post("/metrics/driver/d1")
    problem_of(wrong, 405)
    assert "GET" in wrong.headers["allow"]


@pytest.mark.parametrize("query", ["limit=0", "limit=501", "limit=x", "cursor=!", "cursor="])
def test_bad_parameters_are_problems(query: str) -> None:
    """A limit out of range and a cursor that is not ours are 400, and the detail names them."""
    with client(MemoryReader("redis")) as http:
        problem = problem_of(http.get(f"/metrics/driver?{query}"), 400)
    assert query.partition("=")[0] in problem["detail"]


def test_pages_lead_through_all_ids() -> None:
    """Following `next` gives every id once, in order, with the total on each page."""
    ids = {f"d{number:02}": totals(number + 1) for number in range(7)}
    found: list[dict[str, Any]] = []
    with client(MemoryReader("redis", ids)) as http:
        parameters: dict[str, Any] = {"limit": 3}
        while "cursor" not in parameters or parameters["cursor"]:
            page = http.get("/metrics/driver", params=parameters).json()
            assert page["total"] == 7
            found += page["items"]
            parameters["cursor"] = page["next"]
    assert found == [
        {
            "id": name,
            "trip_count": of.sums.trip_count,
            "total_duration": 10.0,
            "total_distance": 1.234567,
            "total_revenue": -0.5,
        }
        for name, of in ids.items()
    ]


def test_one_store_answers_for_the_other() -> None:
    """Redis is asked first; while it is down, Postgres answers and says so."""
    redis = MemoryReader("redis", {"d1": totals()})
    postgres = MemoryReader("postgres", {"d1": totals()})
    with client(postgres, redis) as http:
        assert http.get("/metrics/driver/d1").json()["store"] == "redis"
        assert postgres.asked == 0
        redis.down = True
        assert http.get("/metrics/driver/d1").json()["store"] == "postgres"
        assert http.get("/metrics/driver").json()["store"] == "postgres"


def test_lists_come_from_the_lasting_store() -> None:
    """Redis may have lost ids, which a list would not show: it is not asked, and can't stand in."""
    redis = MemoryReader("redis", {"d1": totals()})
    postgres = MemoryReader("postgres", {"d1": totals(), "d2": totals()})
    with client(redis, postgres) as http:
        page = http.get("/metrics/driver").json()
        assert (page["store"], page["total"]) == ("postgres", 2)
        postgres.down = True
        problem_of(http.get("/metrics/driver"), 503)
        assert http.get("/metrics/driver/d1").json()["store"] == "redis"
    assert redis.asked == 1


def test_an_id_can_be_left_without_trips() -> None:
    """After a backfill that moved its trips elsewhere an id is still there, and has no start."""
    none = Totals(NOTHING, None, None, NEWEST, AS_OF)
    with client(MemoryReader("redis", {"d1": none})) as http:
        body = http.get("/metrics/driver/d1").json()
    assert (body["trip_count"], body["avg_duration"], body["start_time"]) == (0, 0.0, None)


def test_what_redis_forgot_postgres_knows() -> None:
    """An id that Redis does not have is looked for in Postgres."""
    with client(MemoryReader("redis"), MemoryReader("postgres", {"d1": totals()})) as http:
        assert http.get("/metrics/driver/d1").json()["store"] == "postgres"


def test_only_the_lasting_store_can_deny() -> None:
    """While Postgres is down, an id that Redis does not have may exist: 503, not 404."""
    redis, postgres = MemoryReader("redis"), MemoryReader("postgres")
    with client(redis, postgres) as http:
        postgres.down = True
        problem_of(http.get("/metrics/driver/d1"), 503)
    with client(redis, postgres) as http:
        redis.down, postgres.down = True, False
        problem_of(http.get("/metrics/driver/d1"), 404)


def test_a_store_that_failed_is_left_alone() -> None:
    """After a failure a store is asked again only when it has rested."""
    redis = MemoryReader("redis", {"d1": totals()}, down=True)
    hand = Hand()
    with client(redis, clock=hand) as http:
        for _ in range(3):
            response = http.get("/metrics/driver/d1")
            problem_of(response, 503)
            assert int(response.headers["retry-after"]) > 0
        assert redis.asked == 1
        redis.down = False
        hand.now += REST
        assert http.get("/metrics/driver/d1").status_code == 200


def test_health_names_every_component() -> None:
    """All well: the stores by name, one that is not configured is off, and how far the flow is."""
    with client(MemoryReader("redis")) as http:
        response = http.get("/health")
    assert response.status_code == 200
    components = response.json()["components"]
    assert components["redis"] == {"state": "ok"}
    assert components["postgres"] == {"state": "off"}
    assert components["flow"]["state"] == "ok"
    assert components["flow"]["as_of"] == dict.fromkeys(
        ("driver", "passenger", "vehicle_type", "h3"), "2025-01-01T12:00:00Z"
    )


def test_health_fails_with_a_store() -> None:
    """A configured store that is down makes it 503 and says why; the others are still told."""
    with client(MemoryReader("redis", down=True), MemoryReader("postgres")) as http:
        response = http.get("/health")
    components = problem_of(response, 503)["components"]
    assert components["redis"] == {"state": "down", "reason": "cannot be reached"}
    assert components["postgres"] == {"state": "ok"}
    assert components["flow"]["state"] == "ok"
    assert response.headers["retry-after"]


def test_a_silent_flow_is_down_but_the_stores_are_well() -> None:
    """Stores that answer are healthy, also while the flow has not reported."""
    with client(MemoryReader("redis", as_of=None)) as http:
        response = http.get("/health")
    assert response.status_code == 200
    flow = response.json()["components"]["flow"]
    assert (flow["state"], "driver" in flow["reason"]) == ("down", True)


def test_without_stores_nothing_is_served() -> None:
    """Where no store is configured the answer says which setting to use, and health is honest."""
    with TestClient(create_app(Settings()), "http://127.0.0.1") as http:
        assert "MOBILITY_STORES" in problem_of(http.get("/metrics/driver/d1"), 503)["detail"]
        components = http.get("/health").json()["components"]
    assert {name: found["state"] for name, found in components.items()} == {
        "redis": "off",
        "postgres": "off",
        "flow": "off",
    }


def test_surprises_are_told_to_the_log_only(caplog: pytest.LogCaptureFixture) -> None:
    """An unexpected error is a bare 500: its text, which may hold a secret, stays in the log."""
    with client(MemoryReader("redis", broken=RuntimeError("hunter2"))) as http:
        response = http.get("/metrics/driver/d1")
    problem_of(response, 500)
    assert "hunter2" not in response.text
    assert "Traceback" not in response.text
    assert "hunter2" in caplog.text


def test_readers_are_closed_with_the_application() -> None:
    """Shutting down closes every store's connections."""
    redis, postgres = MemoryReader("redis"), MemoryReader("postgres")
    with client(redis, postgres):
        assert [reader.closed for reader in (redis, postgres)] == [False, False]
    assert [reader.closed for reader in (redis, postgres)] == [True, True]


def test_the_schema_is_served_from_here() -> None:
    """The OpenAPI document is JSON, and a page draws it that loads nothing from elsewhere."""
    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())["project"]
    with client(MemoryReader("redis")) as http:
        schema = http.get("/schema/openapi.json").json()
        assert schema["info"]["version"] == project["version"]
        assert set(schema["paths"]) >= {
            "/health",
            "/health/live",
            "/health/ready",
            "/live/{entity_name}",
            "/live/{entity_name}/{entity_id}",
            "/session",
            "/status",
            "/metrics/{entity_name}",
            "/metrics/{entity_name}/{entity_id}",
            "/metrics/{entity_name}/{entity_id}/windows",
            "/windows/{entity_name}",
            "/top/{entity_name}",
            "/summary/{entity_name}",
            "/problems/{slug}",
        }
        for other in ("swagger", "redoc", "elements", "rapidoc"):
            assert http.get(f"/schema/{other}").status_code == 404
        page = http.get("/schema")
        assert page.headers["content-type"].startswith("text/html")
        loaded = re.findall(r'(?:src|href)="([^"]+)"', page.text)
        assert len(loaded) > 3
        for path in loaded:
            assert path.startswith("/")
            assert http.get(path).status_code == 200
