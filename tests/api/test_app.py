"""The application over stores in memory."""

import re
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from litestar.testing import TestClient

from api.app import create_app
from api.queries.contract import NO_EXTREMES, ZERO_SUMS, Totals
from api.queries.store_readers import COOLDOWN
from mobility.measures import NULLABLE
from mobility.settings import Settings
from tests.api.memory_store import (
    NEWEST_WINDOW,
    WATERMARK,
    MemoryReader,
    client,
    problem_of,
    totals,
)


@dataclass
class ManualClock:
    """A clock that a test sets."""

    now: float = 0.0

    def __call__(self) -> float:
        """Return the time that was set."""
        return self.now


def test_metrics_are_in_units() -> None:
    """Sums are converted to units, means are derived, times are ISO 8601 in UTC."""
    with client(MemoryReader("redis", {"d1": totals()})) as http:
        response = http.get("/metrics/driver/d1")
    assert response.status_code == 200
    assert response.json() == {
        "entity": "driver",
        "id": "d1",
        "trip_count": 3,
        "distance_count": 3,
        "revenue_count": 2,
        "avg_duration": 10 / 3,
        "total_duration": 10.0,
        "total_distance": 1.234567,
        "total_revenue": -0.5,
        "start_time": "2025-01-01T08:30:00Z",
        "last_start_time": "2025-01-01T11:47:00Z",
        **{each.name: None for each in NULLABLE},
        "as_of": "2025-01-01T12:00:00Z",
        "store": "redis",
        "avg_distance": 1.234567 / 3,
        "avg_revenue": -0.5 / 2,
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
    """A sum above 2^53 millionths and its mean are rounded once each."""
    with client(MemoryReader("redis", {"d1": totals(3, 2**62 + 1)})) as http:
        body = http.get("/metrics/driver/d1").json()
    assert body["total_duration"] == float("4611686018427.387905")
    assert body["avg_duration"] == float("1537228672809.129301666666666666666666")


@pytest.mark.parametrize(
    "entity_id",
    ["a/b", "/", "//", "a//b/", "..", ".", "50% off?", "a b", "x#y", "é水🚲", "%2F", "health", "+"],
)
def test_every_id_has_a_path(entity_id: str) -> None:
    """Ids may contain slashes, dots and percent signs, and be equal to the name of a route."""
    with client(MemoryReader("redis", {entity_id: totals()})) as http:
        # A client resolves dots in a path itself, unless they are encoded.
        path = quote(entity_id, safe="").replace(".", "%2E")
        response = http.get(f"/metrics/driver/{path}")
    assert response.status_code == 200
    assert response.json()["id"] == entity_id


@pytest.mark.parametrize("path", ["driver/%FF", "driver/%00", "driver/nobody", "tram/x", "tram"])
def test_unknown_entities_and_ids_are_not_found(path: str) -> None:
    """An unknown entity or id, and an id that no store can have, are 404."""
    with client(MemoryReader("redis")) as http:
        problem_of(http.get(f"/metrics/{path}"), 404)


def test_routing_errors_are_problems() -> None:
    """An unknown path and a wrong method are problems; the latter names the allowed methods."""
    with client(MemoryReader("redis")) as http:
        problem_of(http.get("/nowhere"), 404)
        wrong = http.post("/metrics/driver/d1")
    problem_of(wrong, 405)
    assert "GET" in wrong.headers["allow"]


@pytest.mark.parametrize("query", ["limit=0", "limit=501", "limit=x", "cursor=!", "cursor="])
def test_invalid_parameters_are_problems(query: str) -> None:
    """A limit out of range and an invalid cursor are 400, and the detail names them."""
    with client(MemoryReader("redis")) as http:
        problem = problem_of(http.get(f"/metrics/driver?{query}"), 400)
    assert query.partition("=")[0] in problem["detail"]


def test_pages_have_all_ids() -> None:
    """Following `next` returns every id once, in order, and each page has the total."""
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
            "trip_count": of.sums["trip_count"],
            "distance_count": of.sums["trip_count"],
            "revenue_count": of.sums["trip_count"] - 1,
            "total_duration": 10.0,
            "total_distance": 1.234567,
            "total_revenue": -0.5 if of.sums["trip_count"] > 1 else None,
        }
        for name, of in ids.items()
    ]


def test_postgres_answers_while_redis_is_down() -> None:
    """Redis is queried first; while it is down, Postgres answers, and the response names it."""
    redis = MemoryReader("redis", {"d1": totals()})
    postgres = MemoryReader("postgres", {"d1": totals()})
    with client(postgres, redis) as http:
        assert http.get("/metrics/driver/d1").json()["store"] == "redis"
        assert postgres.queries == 0
        redis.is_down = True
        assert http.get("/metrics/driver/d1").json()["store"] == "postgres"
        assert http.get("/metrics/driver").json()["store"] == "postgres"


def test_lists_come_from_postgres_only() -> None:
    """Redis may have lost ids, which a list would not show: it is never queried for a list."""
    redis = MemoryReader("redis", {"d1": totals()})
    postgres = MemoryReader("postgres", {"d1": totals(), "d2": totals()})
    with client(redis, postgres) as http:
        page = http.get("/metrics/driver").json()
        assert (page["store"], page["total"]) == ("postgres", 2)
        postgres.is_down = True
        problem_of(http.get("/metrics/driver"), 503)
        assert http.get("/metrics/driver/d1").json()["store"] == "redis"
    assert redis.queries == 1


def test_an_id_without_trips() -> None:
    """After a backfill that moved its trips to other ids, an id still exists, without a start."""
    no_trips = Totals(ZERO_SUMS, NO_EXTREMES, NEWEST_WINDOW, WATERMARK)
    with client(MemoryReader("redis", {"d1": no_trips})) as http:
        body = http.get("/metrics/driver/d1").json()
    assert (body["trip_count"], body["avg_duration"], body["start_time"]) == (0, 0.0, None)


def test_postgres_has_ids_that_redis_has_lost() -> None:
    """For an id that Redis does not have, Postgres is queried."""
    with client(MemoryReader("redis"), MemoryReader("postgres", {"d1": totals()})) as http:
        assert http.get("/metrics/driver/d1").json()["store"] == "postgres"


def test_only_postgres_can_say_that_an_id_does_not_exist() -> None:
    """While Postgres is down, an id that Redis does not have may exist: 503, not 404."""
    redis, postgres = MemoryReader("redis"), MemoryReader("postgres")
    with client(redis, postgres) as http:
        postgres.is_down = True
        problem_of(http.get("/metrics/driver/d1"), 503)
    with client(redis, postgres) as http:
        redis.is_down, postgres.is_down = True, False
        problem_of(http.get("/metrics/driver/d1"), 404)


def test_the_circuit_breaker_opens_after_a_failure() -> None:
    """After a failure a store is queried again only after the cool-down."""
    redis = MemoryReader("redis", {"d1": totals()}, is_down=True)
    clock = ManualClock()
    with client(redis, clock=clock) as http:
        for _ in range(3):
            response = http.get("/metrics/driver/d1")
            problem_of(response, 503)
            assert int(response.headers["retry-after"]) > 0
        assert redis.queries == 1
        redis.is_down = False
        clock.now += COOLDOWN
        assert http.get("/metrics/driver/d1").status_code == 200


def test_health_has_every_component() -> None:
    """Each store has a state, `off` if it is not configured; the flow has its watermarks."""
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


def test_health_is_503_if_a_store_is_down() -> None:
    """The response still has the states of all components, and the reason."""
    with client(MemoryReader("redis", is_down=True), MemoryReader("postgres")) as http:
        response = http.get("/health")
    components = problem_of(response, 503)["components"]
    assert components["redis"] == {"state": "down", "reason": "cannot be reached"}
    assert components["postgres"] == {"state": "ok"}
    assert components["flow"]["state"] == "ok"
    assert response.headers["retry-after"]


def test_a_flow_without_watermarks_is_down_but_health_is_not() -> None:
    """The status depends on the stores alone, while the flow has not reported a watermark."""
    with client(MemoryReader("redis", watermark=None)) as http:
        response = http.get("/health")
    assert response.status_code == 200
    flow = response.json()["components"]["flow"]
    assert (flow["state"], "driver" in flow["reason"]) == ("down", True)


def test_without_stores_there_are_no_answers() -> None:
    """If no store is configured, the problem names the setting, and every component is off."""
    with TestClient(create_app(Settings()), "http://127.0.0.1") as http:
        assert "MOBILITY_STORES" in problem_of(http.get("/metrics/driver/d1"), 503)["detail"]
        components = http.get("/health").json()["components"]
    assert {name: found["state"] for name, found in components.items()} == {
        "redis": "off",
        "postgres": "off",
        "flow": "off",
    }


def test_unexpected_errors_are_in_the_log_only(caplog: pytest.LogCaptureFixture) -> None:
    """An unexpected error is a 500 without its text, which may contain a secret."""
    with client(MemoryReader("redis", error=RuntimeError("hunter2"))) as http:
        response = http.get("/metrics/driver/d1")
    problem_of(response, 500)
    assert "hunter2" not in response.text
    assert "Traceback" not in response.text
    assert "hunter2" in caplog.text


def test_readers_are_closed_with_the_application() -> None:
    """A shutdown closes the connections to every store."""
    redis, postgres = MemoryReader("redis"), MemoryReader("postgres")
    with client(redis, postgres):
        assert [reader.is_closed for reader in (redis, postgres)] == [False, False]
    assert [reader.is_closed for reader in (redis, postgres)] == [True, True]


def test_the_schema_page_loads_local_files_only() -> None:
    """The OpenAPI document is JSON, and its page loads nothing from other hosts."""
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
            "/rejected/dead-letters",
            "/rejected/late-trips",
            "/week/{entity_name}",
            "/metrics/{entity_name}/{entity_id}/distribution",
            "/distribution/{entity_name}",
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


def test_a_store_without_a_reader_is_named() -> None:
    """Where it is the only one; it is not read as if it were another."""
    app = create_app(Settings(delta="lake", stores=("delta",)))
    with TestClient(app, "http://127.0.0.1") as http:
        for path in ("/metrics/driver/d1", "/metrics/driver", "/top/driver?by=trips", "/status"):
            response = http.get(path)
            assert response.status_code == 503, path
            assert response.json()["detail"].startswith("The API can't read delta: query its tab")
        ready = http.get("/health/ready").json()
        assert ready["components"]["stores"]["reason"] == "are delta only, which the API can't read"
