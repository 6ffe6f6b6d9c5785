"""The API over real stores, filled by the sinks."""

from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

import msgspec
import pytest
from litestar.testing import TestClient
from redis import Redis

from api.app import create_app
from mobility.entities import BY_NAME, ENTITIES
from mobility.keys import RedisKeys
from mobility.measures import NULLABLE
from mobility.settings import Settings, Store
from sinks.postgres import connect_postgres
from sinks.redis import connect_redis
from sinks.store import WindowStore
from tests.api.expected import connect_sink, wait_for_redis
from tests.follower import fill_follower
from tests.windows import window, window_frame

pytestmark = pytest.mark.services

DRIVER = BY_NAME["driver"]
START = int(datetime(2025, 1, 1, 8, 30, tzinfo=UTC).timestamp() * 1_000)
IDS = ("A", "Z", "a", "a/b", "b c", "é", "水", "🚲")
"""In the order of their UTF-8 bytes, which differs from that of a locale and of UTF-16."""


def fill(sink: WindowStore) -> None:
    """Write two windows of each id and the watermarks of two shards."""
    windows = [
        window(
            *(entity_id, start, trips),
            total_duration=10_000_001,
            total_distance=2_500_000,
            total_revenue=7_000_000,
            start_time=START,
            last_start_time=start + 1_500,
        )
        for entity_id in IDS
        for trips, start in enumerate((START, START + 300_000), 1)
    ]
    sink.apply(DRIVER, window_frame(windows))
    sink.record_progress(DRIVER, 0, 2, START + 600_000)
    sink.record_progress(DRIVER, 1, 2, START + 1_600_500)
    sink.close()


@pytest.fixture(params=["redis", "postgres"])
def filled(request: pytest.FixtureRequest, settings: Settings) -> Settings:
    """Return settings with one store, filled by its sink."""
    store: Store = request.param
    one_store = msgspec.structs.replace(settings, stores=(store,))
    fill(
        connect_redis(one_store, "main")
        if store == "redis"
        else connect_postgres(one_store, "main")
    )
    return one_store


def test_both_stores_return_the_same_totals(filled: Settings) -> None:
    """Each store returns exact totals, and the watermark of the slowest shard."""
    with TestClient(create_app(filled), "http://127.0.0.1") as http:
        for entity_id in IDS:
            response = http.get(f"/metrics/driver/{quote(entity_id, safe='')}")
            added = {each.name: response.json()[each.name] for each in NULLABLE}
            assert response.json() == added | {
                "entity": "driver",
                "id": entity_id,
                "trip_count": 3,
                "distance_count": 3,
                "revenue_count": 3,
                "avg_duration": 20_000_002 / 3_000_000,
                "total_duration": 20.000002,
                "total_distance": 5.0,
                "total_revenue": 14.0,
                "start_time": "2025-01-01T08:30:00Z",
                "last_start_time": "2025-01-01T08:35:01.500000Z",
                "as_of": "2025-01-01T08:40:00Z",
                "store": filled.stores[0],
                "avg_distance": 5 / 3,
                "avg_revenue": 14 / 3,
                "from": None,
                "to": None,
                "last_window": {
                    "window_start": "2025-01-01T08:35:00Z",
                    "window_end": "2025-01-01T08:40:00Z",
                    "complete": False,
                },
                "complete": False,
            }
        assert http.get("/metrics/driver/nobody").status_code == 404
        assert http.get("/metrics/passenger/A").status_code == 404


def test_both_stores_return_the_same_pages(filled: Settings) -> None:
    """The pages of both stores have every id once, sorted by its bytes."""
    found: list[str] = []
    with TestClient(create_app(filled), "http://127.0.0.1") as http:
        parameters: dict[str, Any] = {"limit": 3}
        while "cursor" not in parameters or parameters["cursor"]:
            page = http.get("/metrics/driver", params=parameters).json()
            assert page["total"] == len(IDS)
            found += [item["id"] for item in page["items"]]
            parameters["cursor"] = page["next"]
        assert http.get("/metrics/h3").json()["items"] == []
    assert tuple(found) == IDS


def test_health_has_the_watermarks(filled: Settings) -> None:
    """They come from the store: one entity has a watermark, the others have none."""
    with TestClient(create_app(filled), "http://127.0.0.1") as http:
        components = http.get("/health").json()["components"]
    assert components[filled.stores[0]] == {"state": "ok"}
    assert components["flow"]["as_of"] == {
        entity.name: "2025-01-01T08:40:00Z" if entity is DRIVER else None for entity in ENTITIES
    }


def test_expired_ids_are_absent(settings: Settings) -> None:
    """An id without totals or ledger in Redis is not found, and is not in a list."""
    one_store = msgspec.structs.replace(settings, stores=("redis",))
    fill(connect_redis(one_store, "main"))
    keys = RedisKeys.of(one_store)
    with Redis.from_url(one_store.redis) as redis:
        redis.delete(*(keys.totals(DRIVER, entity_id) for entity_id in IDS[:4]))
        redis.delete(keys.ledger(DRIVER, IDS[4]))
        redis.zadd(keys.seen(DRIVER), dict.fromkeys(IDS[:4], 0))
    with TestClient(create_app(one_store), "http://127.0.0.1") as http:
        page = http.get("/metrics/driver", params={"limit": 2}).json()
        assert [item["id"] for item in page["items"]] == list(IDS[5:7])
        assert page["total"] == len(IDS[4:])
        for entity_id in IDS[:5]:
            assert http.get(f"/metrics/driver/{quote(entity_id, safe='')}").status_code == 404


def test_an_id_without_trips(settings: Settings) -> None:
    """After a backfill moved its trips to other ids, an id has 0 trips, means of 0 and no start."""
    moved = window(IDS[0], START, 0, pane="late", generation=1)
    for store in settings.stores:
        one_store = msgspec.structs.replace(settings, stores=(store,))
        sink = connect_sink(one_store)
        sink.apply(DRIVER, window_frame([moved]))
        sink.close()
        with TestClient(create_app(one_store), "http://127.0.0.1") as http:
            body = http.get(f"/metrics/driver/{IDS[0]}").json()
            listed = http.get("/metrics/driver").json()
        assert (body["trip_count"], body["avg_duration"]) == (0, 0.0)
        assert (body["start_time"], body["last_start_time"]) == (None, None)
        assert [(item["id"], item["trip_count"]) for item in listed["items"]] == [(IDS[0], 0)]
        assert listed["total"] == 1


def test_answers_do_not_change_after_redis_loses_data(settings: Settings) -> None:
    """Whatever Redis loses, each id and each list is answered with the same numbers."""
    settings = msgspec.structs.replace(settings, shards=2)
    fill(connect_postgres(settings, "main"))
    fill_follower(settings)
    keys = RedisKeys.of(settings)
    with (
        TestClient(create_app(settings), "http://127.0.0.1") as http,
        Redis.from_url(settings.redis) as redis,
    ):

        def answers() -> list[dict[str, Any]]:
            paths = [quote(entity_id, safe="") for entity_id in IDS]
            found = [http.get(f"/metrics/driver/{path}") for path in paths]
            assert {response.status_code for response in found} == {200}
            return [response.json() for response in [*found, http.get("/metrics/driver")]]

        def stores() -> set[str]:
            return {answer["store"] for answer in answers()[:-1]}

        def without_store() -> list[dict[str, Any]]:
            return [answer | {"store": ""} for answer in answers()]

        wait_for_redis(http)
        whole = without_store()
        redis.delete(keys.totals(DRIVER, IDS[0]))
        assert stores() == {"redis", "postgres"}
        assert without_store() == whole
        redis.delete(*redis.scan_iter(f"{settings.redis_prefix}*"))
        assert stores() == {"postgres"}
        assert without_store() == whole
        fill_follower(settings)
        assert stores() == {"redis"}
        assert without_store() == whole


def test_a_shard_without_a_watermark(settings: Settings) -> None:
    """While one shard has not reported a watermark, `as_of` is null."""
    for sink in (connect_redis(settings, "main"), connect_postgres(settings, "main")):
        sink.record_progress(DRIVER, 0, 2, START)
        sink.close()
    for store in settings.stores:
        one_store = msgspec.structs.replace(settings, stores=(store,))
        with TestClient(create_app(one_store), "http://127.0.0.1") as http:
            flow = http.get("/health").json()["components"]["flow"]
        assert flow["as_of"]["driver"] is None


def test_a_database_without_tables(settings: Settings) -> None:
    """Before the first start of the flow the answer is 503, with the reason and without SQL."""
    one_store = msgspec.structs.replace(settings, stores=("postgres",))
    with TestClient(create_app(one_store), "http://127.0.0.1") as http:
        response = http.get("/metrics/driver/A")
    assert response.status_code == 503
    assert "no tables yet" in response.json()["detail"]


def test_problems_reveal_no_addresses_or_passwords(settings: Settings) -> None:
    """The problem of an unreachable store has no address, user or password."""
    wrong = msgspec.structs.replace(
        settings,
        redis="redis://:hunter2@127.0.0.1:1/0",
        postgres="postgresql://eve:hunter2@127.0.0.1:1/mobility",
    )
    with TestClient(create_app(wrong), "http://127.0.0.1") as http:
        answers = [http.get(path) for path in ("/metrics/driver/A", "/metrics/driver", "/health")]
    for answer in answers:
        assert answer.status_code == 503
        assert "cannot be reached" in answer.text
        for secret in ("hunter2", "eve", "127.0.0.1"):
            assert secret not in answer.text
