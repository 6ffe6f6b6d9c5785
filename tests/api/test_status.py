"""The status of the flow, the problems that checks find, health and readiness."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import psycopg
import pytest
from litestar.testing import TestClient
from redis import Redis

from api.app import create_app
from api.queries.contract import StatusRecord, WindowSpan
from mobility.settings import Settings, Store
from mobility.status import AuditStatus, FlowStatus, Outcomes, PartitionStatus, encode_status
from sinks.postgres_session import open_postgres_session
from sinks.status_writers import PostgresStatusWriter, RedisStatusWriter
from tests.api.memory_store import MemoryReader, client, problem_of

NOW = datetime.now(UTC)
AT = round(NOW.timestamp() * 1_000)


def flow_status(**fields: Any) -> FlowStatus:  # noqa: ANN401 - any field of the record
    """Return the status of a process without problems."""
    partition = PartitionStatus(
        topic="trips_stream", partition=0, position=5, end=9, lag=4, watermark=AT, status="behind"
    )
    status = FlowStatus(
        flow="main", at=AT, host="h", pid=1, watermark=AT, lag=4, partitions=(partition,)
    )
    return msgspec.structs.replace(status, **fields)


def to_record(
    status: FlowStatus | AuditStatus, process: str = "flow-0", age: float = 0.4
) -> StatusRecord:
    """Return the record of a status as a store returns it."""
    return StatusRecord(process, age, encode_status(status).decode())


def test_the_status_has_the_published_records() -> None:
    """Times are ISO 8601, numbers are those of the records, and there are no problems."""
    audit = to_record(AuditStatus(at=AT, checked=12, rounds=3, last_success=AT), "audit", 30)
    with client(
        MemoryReader("redis", watermark=NOW, records=[audit, to_record(flow_status())])
    ) as http:
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
    ("slug", "records"),
    [
        ("silent-flow", []),
        ("silent-process", [to_record(flow_status(), age=6.0)]),
        ("lag", [to_record(flow_status(lag=100_001))]),
        ("punctuations-refused", [to_record(flow_status(punctuations_refused=1))]),
        ("partitions-unread", [to_record(flow_status(partitions_unread=1))]),
        ("gaps", [to_record(flow_status(gaps=1))]),
        ("amount-too-large", [to_record(flow_status(refusals={"driver": "Redis can't hold it"}))]),
        ("store-awaited", [to_record(flow_status(waits={"postgres": "Postgres is silent"}))]),
        ("many-late", [to_record(flow_status(counts=Outcomes(read=1_000, late=11)))]),
        ("many-dead", [to_record(flow_status(counts=Outcomes(read=1_000, dead=11)))]),
        ("old-snapshot", [to_record(flow_status(snapshot_at=AT - 120_000))]),
        ("drift", [to_record(flow_status()), to_record(AuditStatus(at=AT, drift=1), "audit")]),
    ],
)
def test_checks_find_problems(slug: str, records: list[StatusRecord]) -> None:
    """Each problem is one entry, and says what to do."""
    with client(MemoryReader("redis", watermark=NOW, records=records)) as http:
        (found,) = http.get("/status").json()["problems"]
    assert found["slug"] == slug
    assert found["severity"] in {"error", "warning"}
    assert found["what"]
    assert found["do"]


IDLE = PartitionStatus(
    topic="trips_stream", partition=0, position=9, end=9, lag=0, watermark=AT, status="idle"
)


@pytest.mark.parametrize(
    ("age", "partition", "ended", "complete"),
    [
        (timedelta(hours=7), {}, True, True),
        (timedelta(hours=7), {"status": "caught_up"}, False, True),
        (timedelta(hours=7), {"lag": 1}, False, True),
        (timedelta(hours=5), {}, False, True),
        (timedelta(hours=7, minutes=21), {}, True, False),
    ],
    ids=["ended", "not idle", "behind", "recent", "not punctuated"],
)
def test_the_extent_of_the_data(
    age: timedelta, partition: dict[str, Any], *, ended: bool, complete: bool
) -> None:
    """From the start of the first window to the end of the last; whether more trips can come."""
    window = timedelta(minutes=5)
    end = NOW - (NOW - datetime.min.replace(tzinfo=UTC)) % window - timedelta(hours=7, minutes=20)
    newest = round((end - window).timestamp() * 1_000)
    flow = flow_status(lag=0, partitions=[msgspec.structs.replace(IDLE, **partition)])
    store = MemoryReader(
        "postgres",
        watermark=NOW - age,
        records=[to_record(flow)],
        window_span=WindowSpan(newest - 86_400_000, newest),
    )
    with client(store) as http:
        extent = http.get("/status").json()["extent"]
    assert datetime.fromisoformat(extent["to"]) == end
    assert datetime.fromisoformat(extent["from"]) == end - window - timedelta(days=1)
    assert (extent["ended"], extent["complete"]) == (ended, complete)


def test_without_windows_there_is_no_extent() -> None:
    """As before the first trip, and where the store has no index by time."""
    with client(MemoryReader("redis", records=[to_record(flow_status())])) as http:
        assert http.get("/status").json()["extent"] is None


def test_a_flow_that_has_read_everything_has_an_old_snapshot() -> None:
    """As after the end of a file: nothing new is to be saved, and that is no problem."""
    records = [to_record(flow_status(snapshot_at=AT - 120_000, lag=0))]
    with client(MemoryReader("redis", watermark=NOW, records=records)) as http:
        assert http.get("/status").json()["problems"] == []


def test_checks_of_stores_and_watermarks() -> None:
    """A store is down, a shard has no watermark, or the watermark is old."""
    records = [to_record(flow_status())]
    with client(
        MemoryReader("redis", is_down=True),
        MemoryReader("postgres", watermark=None, records=records),
    ) as http:
        body = http.get("/status").json()
        assert body["store"] == "postgres"
        assert [found["slug"] for found in body["problems"]] == ["store-down", "silent-shards"]
    with client(MemoryReader("redis", watermark=NOW - timedelta(hours=1), records=records)) as http:
        assert [p["slug"] for p in http.get("/status").json()["problems"]] == ["old-watermark"]
    with client(MemoryReader("redis", is_down=True)) as http:
        problem_of(http.get("/status"), 503)


def test_postgres_has_the_status_after_redis_was_emptied() -> None:
    """Processes publish again within a second; until then Postgres is queried."""
    with client(
        MemoryReader("redis"), MemoryReader("postgres", records=[to_record(flow_status())])
    ) as http:
        body = http.get("/status").json()
    assert (body["store"], len(body["processes"])) == ("postgres", 1)


def test_unreadable_records_are_left_out(caplog: pytest.LogCaptureFixture) -> None:
    """A record that can't be decoded is logged, and the others are returned."""
    records = [
        StatusRecord("x", 0.1, '{"kind": "tram"}'),
        StatusRecord("y", 0.1, "{"),
        to_record(flow_status()),
    ]
    with client(MemoryReader("redis", watermark=NOW, records=records)) as http:
        assert len(http.get("/status").json()["processes"]) == 1
    assert "the status of x can't be read" in caplog.text


def test_liveness_needs_no_store() -> None:
    """The liveness probe queries no store."""
    redis = MemoryReader("redis", is_down=True)
    with client(redis) as http:
        assert http.get("/health/live").json() == {"components": {"api": {"state": "ok"}}}
    assert redis.queries == 0


def test_one_store_is_enough_for_readiness() -> None:
    """The API is ready if one store answers, and not if none does."""
    redis, postgres = MemoryReader("redis", watermark=NOW), MemoryReader("postgres", watermark=NOW)
    with client(redis, postgres) as http:
        assert http.get("/health/ready").status_code == 200
    redis.is_down = True
    with client(redis, postgres) as http:
        components = http.get("/health/ready").json()["components"]
        assert "redis cannot be reached" in components["stores"]["reason"]
    postgres.is_down = True
    with client(redis, postgres) as http:
        response = http.get("/health/ready")
    assert problem_of(response, 503)["components"]["stores"]["state"] == "down"
    assert response.headers["retry-after"]


@pytest.mark.parametrize(
    ("component", "records", "watermark", "no_limit"),
    [
        ("log", [to_record(flow_status(lag=100_001))], NOW, {"ready_lag": 0}),
        ("watermark", [to_record(flow_status())], NOW - timedelta(hours=1), {"ready_age": 0}),
    ],
)
def test_a_flow_beyond_its_limits_is_not_ready(
    component: str, records: list[StatusRecord], watermark: datetime, no_limit: dict[str, Any]
) -> None:
    """The limits are settings, and 0 means no limit. The body says which one is exceeded."""
    reader = MemoryReader("redis", watermark=watermark, records=records)
    with client(reader) as http:
        components = problem_of(http.get("/health/ready"), 503)["components"]
    assert [name for name, found in components.items() if found["state"] == "down"] == [component]
    with client(reader, **no_limit) as http:
        assert http.get("/health/ready").status_code == 200


def test_an_unknown_lag_does_not_fail_readiness() -> None:
    """A flow that does not run fails it later, by the age of its watermark."""
    with client(MemoryReader("redis", watermark=NOW)) as http:
        response = http.get("/health/ready")
    assert response.status_code == 200
    assert response.json()["components"]["log"]["state"] == "off"


@pytest.mark.services
@pytest.mark.parametrize("store", ["redis", "postgres"])
def test_stores_return_published_records(settings: Settings, store: Store) -> None:
    """A record is returned as it was written, with its age by the store's clock."""
    alone = msgspec.structs.replace(settings, stores=(store,))
    open_postgres_session(settings).close()
    place = RedisStatusWriter(alone) if store == "redis" else PostgresStatusWriter(alone)
    for process in ("flow-1", "flow-0"):
        place.put(process, encode_status(flow_status(pid=7)))
    place.put("audit", encode_status(AuditStatus(at=AT, drifts={"redis": 2}, drift=2)))
    place.close()
    with TestClient(create_app(alone), "http://127.0.0.1") as http:
        body = http.get("/status").json()
        assert [process["process"] for process in body["processes"]] == ["flow-0", "flow-1"]
        assert all(0 <= process["age"] < 30 for process in body["processes"])
        assert (body["processes"][0]["pid"], body["audit"]["drifts"]) == (7, {"redis": 2})
        EXPIRE[store](alone)
        body = http.get("/status").json()
    assert (body["processes"], body["audit"]) == ([], None)


def _expire_in_redis(settings: Settings) -> None:
    with Redis.from_url(settings.redis) as redis:
        for key in redis.scan_iter(f"{settings.redis_prefix}status:*"):
            redis.delete(key)


def _expire_in_postgres(settings: Settings) -> None:
    with psycopg.connect(settings.postgres) as connection:
        connection.execute("UPDATE status SET at = now() - interval '61 seconds'")


EXPIRE: dict[str, Callable[[Settings], None]] = {
    "redis": _expire_in_redis,
    "postgres": _expire_in_postgres,
}


@pytest.mark.services
def test_a_database_without_the_status_table(settings: Settings) -> None:
    """If the flow is older than this API, totals are answered, and there are no records."""
    alone = msgspec.structs.replace(settings, stores=("postgres",))
    open_postgres_session(alone).close()
    with psycopg.connect(alone.postgres) as connection:
        connection.execute("DROP TABLE status")
    with TestClient(create_app(alone), "http://127.0.0.1") as http:
        assert http.get("/status").json()["processes"] == []
        assert http.get("/metrics/driver/nobody").status_code == 404
