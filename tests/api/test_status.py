"""What the flow says of itself, judged, and whether the API is ready."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import psycopg
import pytest
from litestar import Litestar
from litestar.testing import TestClient
from redis import Redis

from api.app import app_over, create_app
from api.reader import Told
from api.readers import Readers
from mobility.settings import Settings, Store
from mobility.status import AuditStatus, FlowStatus, Outcomes, PartitionStatus, encode_status
from sinks.postgres_session import open_postgres_session
from sinks.status import PostgresStatusWriter, RedisStatusWriter
from tests.api.test_app import MemoryReader, problem_of

NOW = datetime.now(UTC)
AT = round(NOW.timestamp() * 1_000)


def flow(**fields: Any) -> FlowStatus:  # noqa: ANN401 - any field of the record
    """Return the record of a process that is well."""
    partition = PartitionStatus(
        topic="trips_stream", partition=0, position=5, end=9, lag=4, watermark=AT, status="behind"
    )
    said = FlowStatus(
        flow="main", at=AT, host="h", pid=1, watermark=AT, lag=4, partitions=(partition,)
    )
    return msgspec.structs.replace(said, **fields)


def told(said: FlowStatus | AuditStatus, process: str = "flow-0", age: float = 0.4) -> Told:
    """Return a record as a store gives it."""
    return Told(process, age, encode_status(said).decode())


def client(*readers: MemoryReader, **settings: Any) -> TestClient[Litestar]:  # noqa: ANN401
    """Return a client of an application over these stores."""
    return TestClient(app_over(Readers(readers), Settings(**settings)), "http://127.0.0.1")


def test_the_status_shows_what_was_said() -> None:
    """Times are ISO 8601, amounts as they were told, and nothing is wrong."""
    audit = told(AuditStatus(at=AT, checked=12, rounds=3, last_success=AT), "audit", 30)
    with client(MemoryReader("redis", as_of=NOW, said=[audit, told(flow())])) as http:
        body = http.get("/status").json()
    assert (body["store"], body["problems"]) == ("redis", [])
    (process,) = body["processes"]
    assert (process["process"], process["age"], process["lag"]) == ("flow-0", 0.4, 4)
    (partition,) = process["partitions"]
    assert (partition["position"], partition["end"], partition["lag"]) == (5, 9, 4)
    assert datetime.fromisoformat(partition["watermark"]) == datetime.fromtimestamp(AT / 1e3, UTC)
    assert process["snapshot_at"] is None
    assert (body["audit"]["checked"], body["audit"]["drift"]) == (12, 0)
    assert set(body["as_of"]) == {"driver", "passenger", "vehicle_type", "h3"}


@pytest.mark.parametrize(
    ("slug", "said"),
    [
        ("silent-flow", []),
        ("silent-process", [told(flow(), age=6.0)]),
        ("lag", [told(flow(lag=100_001))]),
        ("punctuations-refused", [told(flow(punctuations_refused=1))]),
        ("partitions-unread", [told(flow(partitions_unread=1))]),
        ("gaps", [told(flow(gaps=1))]),
        ("many-late", [told(flow(counts=Outcomes(read=1_000, late=11)))]),
        ("many-dead", [told(flow(counts=Outcomes(read=1_000, dead=11)))]),
        ("old-snapshot", [told(flow(snapshot_at=AT - 120_000))]),
        ("drift", [told(flow()), told(AuditStatus(at=AT, drift=1), "audit")]),
    ],
)
def test_what_is_wrong_says_what_to_do(slug: str, said: list[Told]) -> None:
    """Each fault is one entry, with a remedy."""
    with client(MemoryReader("redis", as_of=NOW, said=said)) as http:
        (found,) = http.get("/status").json()["problems"]
    assert found["slug"] == slug
    assert found["severity"] in {"error", "warning"}
    assert found["what"]
    assert found["do"]


def test_what_the_stores_lack_is_wrong_too() -> None:
    """A store that is down, shards that are silent, and numbers from long ago."""
    said = [told(flow())]
    with client(
        MemoryReader("redis", down=True), MemoryReader("postgres", as_of=None, said=said)
    ) as http:
        body = http.get("/status").json()
        assert body["store"] == "postgres"
        assert [found["slug"] for found in body["problems"]] == ["store-down", "silent-shards"]
    with client(MemoryReader("redis", as_of=NOW - timedelta(hours=1), said=said)) as http:
        assert [p["slug"] for p in http.get("/status").json()["problems"]] == ["old-watermark"]
    with client(MemoryReader("redis", down=True)) as http:
        problem_of(http.get("/status"), 503)


def test_a_redis_that_was_emptied_lets_postgres_speak() -> None:
    """Redis hears of the processes again within a second; until then Postgres is asked."""
    with client(MemoryReader("redis"), MemoryReader("postgres", said=[told(flow())])) as http:
        body = http.get("/status").json()
    assert (body["store"], len(body["processes"])) == ("postgres", 1)


def test_a_record_of_another_kind_is_left_out(caplog: pytest.LogCaptureFixture) -> None:
    """A record that can't be read is logged, and the others are shown."""
    said = [Told("x", 0.1, '{"kind": "tram"}'), Told("y", 0.1, "{"), told(flow())]
    with client(MemoryReader("redis", as_of=NOW, said=said)) as http:
        assert len(http.get("/status").json()["processes"]) == 1
    assert "the status of x can't be read" in caplog.text


def test_it_lives_without_stores() -> None:
    """Whether the process answers has nothing to do with the stores: none is asked."""
    redis = MemoryReader("redis", down=True)
    with client(redis) as http:
        assert http.get("/health/live").json() == {"components": {"api": {"state": "ok"}}}
    assert redis.asked == 0


def test_one_store_is_enough_to_be_ready() -> None:
    """While one answers, so does the API; when none does, it is not ready."""
    redis, postgres = MemoryReader("redis", as_of=NOW), MemoryReader("postgres", as_of=NOW)
    with client(redis, postgres) as http:
        assert http.get("/health/ready").status_code == 200
    redis.down = True
    with client(redis, postgres) as http:
        components = http.get("/health/ready").json()["components"]
        assert "redis cannot be reached" in components["stores"]["reason"]
    postgres.down = True
    with client(redis, postgres) as http:
        response = http.get("/health/ready")
    assert problem_of(response, 503)["components"]["stores"]["state"] == "down"
    assert response.headers["retry-after"]


@pytest.mark.parametrize(
    ("component", "said", "as_of", "off"),
    [
        ("log", [told(flow(lag=100_001))], NOW, {"ready_lag": 0}),
        ("watermark", [told(flow())], NOW - timedelta(hours=1), {"ready_age": 0}),
    ],
)
def test_a_flow_beyond_its_limits_is_not_ready(
    component: str, said: list[Told], as_of: datetime, off: dict[str, int]
) -> None:
    """The limits are settings; 0 means none. The body says which was passed."""
    reader = MemoryReader("redis", as_of=as_of, said=said)
    with client(reader) as http:
        components = problem_of(http.get("/health/ready"), 503)["components"]
    assert [name for name, found in components.items() if found["state"] == "down"] == [component]
    with client(reader, **off) as http:
        assert http.get("/health/ready").status_code == 200


def test_a_lag_that_nobody_tells_is_no_fault_by_itself() -> None:
    """A flow that is stopped shows by its watermark, in time."""
    with client(MemoryReader("redis", as_of=NOW)) as http:
        response = http.get("/health/ready")
    assert response.status_code == 200
    assert response.json()["components"]["log"]["state"] == "off"


@pytest.mark.services
@pytest.mark.parametrize("store", ["redis", "postgres"])
def test_the_stores_give_back_what_they_were_told(settings: Settings, store: Store) -> None:
    """A record comes back as it was written, with its age by the store's own clock."""
    alone = msgspec.structs.replace(settings, stores=(store,))
    open_postgres_session(settings).close()
    place = RedisStatusWriter(alone) if store == "redis" else PostgresStatusWriter(alone)
    for process in ("flow-1", "flow-0"):
        place.put(process, encode_status(flow(pid=7)))
    place.put("audit", encode_status(AuditStatus(at=AT, drifts={"redis": 2}, drift=2)))
    place.close()
    with TestClient(create_app(alone), "http://127.0.0.1") as http:
        body = http.get("/status").json()
        assert [process["process"] for process in body["processes"]] == ["flow-0", "flow-1"]
        assert all(0 <= process["age"] < 30 for process in body["processes"])
        assert (body["processes"][0]["pid"], body["audit"]["drifts"]) == (7, {"redis": 2})
        FORGET[store](alone)
        body = http.get("/status").json()
    assert (body["processes"], body["audit"]) == ([], None)


def _forget_in_redis(settings: Settings) -> None:
    with Redis.from_url(settings.redis) as redis:
        for key in redis.scan_iter(f"{settings.redis_prefix}status:*"):
            redis.delete(key)


def _forget_in_postgres(settings: Settings) -> None:
    with psycopg.connect(settings.postgres) as connection:
        connection.execute("UPDATE status SET at = now() - interval '61 seconds'")


FORGET: dict[str, Callable[[Settings], None]] = {
    "redis": _forget_in_redis,
    "postgres": _forget_in_postgres,
}


@pytest.mark.services
def test_a_schema_without_the_table_is_no_failure(settings: Settings) -> None:
    """Totals are still answered by a Postgres whose flow is older than this API."""
    alone = msgspec.structs.replace(settings, stores=("postgres",))
    open_postgres_session(alone).close()
    with psycopg.connect(alone.postgres) as connection:
        connection.execute("DROP TABLE status")
    with TestClient(create_app(alone), "http://127.0.0.1") as http:
        assert http.get("/status").json()["processes"] == []
        assert http.get("/metrics/driver/nobody").status_code == 404
