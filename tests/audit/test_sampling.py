"""The audit on real services: no difference in a correct system, and every injected one found."""

import json
import threading
from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from operator import lt

import msgspec
import psycopg
import pytest
import redis
from confluent_kafka import Producer

from mobility.settings import Settings, Store
from mobility.topics import trips_topic
from sinks.ledger_maintenance import maintain_ledger
from tests.audit.conftest import Audit, numbers, run_flow
from tests.broker.topic_contents import delete_before
from tests.dataflows.conftest import Hub, trips_log
from tests.follower import fill_follower
from tests.process_tree import kill_all
from tests.strategies import MINUTE, NOON
from tests.waiting import until

pytestmark = pytest.mark.services

Change = tuple[str, str, str, str]
"""A key of Redis, a field, a wrong value, and where the audit finds it."""


def fill(hub: Hub, *stores: Store) -> None:
    """Run the flow over two hours of trips, with these stores, by default both."""
    if stores:
        hub.settings = msgspec.structs.replace(hub.settings, stores=stores)
    hub.write(trips_log(11))
    run_flow(hub)
    if not stores:
        fill_follower(hub.settings)


POSTGRES = ("Postgres", "Postgres totals")
REDIS = ("Redis", "Redis totals")


@pytest.mark.parametrize("size", [["--all"], ["--windows", "20"]])
@pytest.mark.parametrize(
    ("stores", "outputs"),
    [
        ((), (*POSTGRES, "Redis totals")),
        (("postgres",), POSTGRES),
        (("redis",), REDIS),
        (("delta", "postgres"), ("Delta", *POSTGRES)),
    ],
    ids=["both", "postgres", "redis", "delta beside postgres"],
)
def test_a_correct_system_has_no_differences(
    audited: Hub, audit: Audit, size: list[str], stores: Sequence[Store], outputs: Sequence[str]
) -> None:
    """Every topic and store is compared, and the exit code is 0."""
    fill(audited, *stores)
    code, printed = audit(*size)
    assert code == 0, printed
    compared = numbers(printed)
    assert compared.keys() == {"aggregated", *outputs}
    assert min(compared.values()) > 0, printed
    assert "0 differences." in printed


def test_it_finds_what_was_tampered_with(audited: Hub, audit: Audit) -> None:
    """Wrong rows, fields and messages are found one by one, each in its topic or store."""
    fill(audited)
    assert audit("--all")[0] == 0
    with psycopg.connect(audited.settings.postgres, autocommit=True) as postgres:
        for change, undo, outputs in POSTGRES_CHANGES:
            postgres.execute(change)
            assert_found(audit, *outputs)
            postgres.execute(undo)
    assert_tampering_is_found(audited, audit, follower_changes(audited.settings))
    assert audit("--all")[0] == 0
    last = audited.messages("aggregated.driver")[-1]
    forged = json.loads(last.value() or b"")
    forged["trip_count"] += 1
    # Both windows are complete: they start in the first hour.
    for hour, kind in (("12:00:00", "different"), ("12:20:00", "different")):
        forged["window_start"] = f"2025-01-01T{hour}Z"
        forged["trip_count"] = 1_000
        audited.produce("aggregated.driver", json.dumps(forged).encode())
        code, printed = audit("--all")
        assert (code, f"aggregated: {kind}" in printed) == (1, True), printed


def test_it_finds_what_was_tampered_with_in_redis_alone(audited: Hub, audit: Audit) -> None:
    """Wrong totals and wrong windows are found one by one."""
    fill(audited, "redis")
    assert audit("--all")[0] == 0
    with redis.Redis.from_url(audited.settings.redis, decode_responses=True) as client:
        changes = [*totals_changes(audited.settings), *ledger_changes(client, audited.settings)]
    assert_tampering_is_found(audited, audit, changes)
    assert audit("--all")[0] == 0


def assert_tampering_is_found(hub: Hub, audit: Audit, changes: Iterable[Change]) -> None:
    """Make and undo each change; assert that the audit finds it in between."""
    with redis.Redis.from_url(hub.settings.redis, decode_responses=True) as client:
        for key, field, value, output in changes:
            before = client.hget(key, field)
            client.hset(key, field, value)
            assert_found(audit, output)
            if before is None:
                client.hdel(key, field)
            else:
                client.hset(key, field, before)


ONE = "id = 'd1' AND window_start = (SELECT min(window_start) FROM driver_ledger WHERE id = 'd1')"
POSTGRES_CHANGES = (
    (
        f"UPDATE driver_ledger SET total_revenue = total_revenue + 1 WHERE {ONE}",  # noqa: S608 - ours
        f"UPDATE driver_ledger SET total_revenue = total_revenue - 1 WHERE {ONE}",  # noqa: S608 - ours
        ("Postgres", "Postgres totals"),
    ),
    (
        "UPDATE driver_totals SET trip_count = trip_count + 1 WHERE id = 'd1'",
        "UPDATE driver_totals SET trip_count = trip_count - 1 WHERE id = 'd1'",
        ("Postgres totals",),
    ),
    (
        "UPDATE driver_totals SET last_start_time = last_start_time + 1 WHERE id = 'd1'",
        "UPDATE driver_totals SET last_start_time = last_start_time - 1 WHERE id = 'd1'",
        ("Postgres totals",),
    ),
    (
        f"UPDATE driver_ledger SET last_start_time = last_start_time + 1 WHERE {ONE}",  # noqa: S608 - ours
        f"UPDATE driver_ledger SET last_start_time = last_start_time - 1 WHERE {ONE}",  # noqa: S608 - ours
        ("Postgres",),
    ),
    (
        "INSERT INTO vehicle_type_ledger VALUES ('ghost', 1735732800000, 1, 1, 1, 1, 1, 'x', 0, 1)",
        "DELETE FROM vehicle_type_ledger WHERE id = 'ghost'",
        ("Postgres", "Postgres totals"),
    ),
)
"""Changes of Postgres, how to undo them, and where the audit finds them."""


def totals_changes(settings: Settings) -> Iterator[Change]:
    """Yield changes of totals."""
    key = f"{settings.redis_prefix}driver:d1"
    yield key, "trip_count", "1", "Redis totals"
    yield key, "total_revenue", "0.000001", "Redis totals"
    yield key, "last_start_time", "2025-01-01T00:00:00Z", "Redis totals"
    yield key, "avg_duration", "0.5", "Redis totals"


def follower_changes(settings: Settings) -> Iterator[Change]:
    """Yield changes of what Redis has as a follower: an id that Postgres lacks is one of them."""
    yield from totals_changes(settings)
    key = f"{settings.redis_prefix}driver:d1"
    yield key, "last_window_start", "2025-01-01T00:00:00Z", "Redis totals"
    yield f"{settings.redis_prefix}driver:ghost", "trip_count", "1", "Redis totals"


def ledger_changes(client: redis.Redis, settings: Settings) -> Iterator[Change]:
    """Yield changes of windows."""
    ledger = f"{settings.redis_prefix}ledger:driver:d1"
    start = min(str(each) for each in client.hkeys(ledger))
    window = json.loads(str(client.hget(ledger, start)))
    more = json.dumps(window | {"trip_count": window["trip_count"] + 1})
    later = json.dumps(window | {"last_start_time": window["last_start_time"] + 1})
    for output in ("Redis", "Redis totals"):
        yield ledger, start, more, output
        yield ledger, start, later, "Redis"
    yield ledger, str(NOON - 100 * MINUTE), more, "Redis totals"
    yield ledger, "before", more, "Redis totals"
    yield ledger, str(NOON + 3), more, "Redis"


def assert_found(audit: Audit, *outputs: str) -> None:
    """Assert that the audit fails and prints an example of each of these outputs."""
    code, printed = audit("--all")
    assert code == 1, printed
    for output in outputs:
        assert f"\n{output}: " in printed, printed


def test_windows_of_an_unknown_backfill_are_not_compared(audited: Hub, audit: Audit) -> None:
    """Nothing says what they should be: only their number is reported, and what to do."""
    fill(audited)
    with psycopg.connect(audited.settings.postgres, autocommit=True) as postgres:
        postgres.execute(
            "UPDATE driver_ledger SET generation = 1, trip_count = trip_count + 1 WHERE id = 'd1'"
        )
        postgres.execute(
            "UPDATE driver_totals SET trip_count = ("
            "SELECT sum(trip_count) FROM driver_ledger WHERE id = 'd1') WHERE id = 'd1'"
        )
    fill_follower(audited.settings)
    code, printed = audit("--all", "--entity", "driver")
    assert code == 0, printed
    backfilled = numbers(printed, 3)
    assert backfilled["Postgres"] > 0
    assert backfilled["Postgres"] == backfilled["aggregated"]
    assert "has no record of the backfill that has written them" in printed


def test_deleted_messages_are_no_difference(audited: Hub, audit: Audit) -> None:
    """Windows from the deleted beginning are not compared; stores of other settings are refused."""
    fill(audited)
    offsets = {partition: 100 * partition for partition in range(3)}
    delete_before(audited.settings, trips_topic(audited.settings), offsets)
    code, printed = audit("--all")
    assert (code, "retention deleted the beginning of the log" in printed) == (0, True), printed
    assert numbers(printed)["Postgres"] == 0
    assert numbers(printed)["Postgres totals"] > 0
    audited.settings = msgspec.structs.replace(audited.settings, window=60)
    code, printed = audit()
    assert code == 2
    assert "MOBILITY_WINDOW=60" in printed


def test_live_traffic_and_kills_are_no_drift(audited: Hub, audit: Audit) -> None:
    """While trips arrive and the flow is killed and resumed, no audit finds a difference."""
    audited.settings = msgspec.structs.replace(audited.settings, idle_after=2)
    stop = threading.Event()
    sender = threading.Thread(target=send_trips, args=(audited, stop))
    sender.start()
    try:
        for kill in (True, False, True):
            flow = audited.start()
            count = compared_now(audit)
            until(partial(compared_now, audit), f"over {count} windows", partial(lt, count))
            if kill:
                kill_all(flow)
            else:
                flow.terminate()
            flow.communicate()
            compared_now(audit)
    finally:
        stop.set()
        sender.join()


def compared_now(audit: Audit) -> int:
    """Run an audit that must not fail; return how many windows of Postgres it compared."""
    code, printed = audit("--all")
    assert code == 0, printed
    return numbers(printed)["Postgres"]


def send_trips(hub: Hub, stop: threading.Event) -> None:
    """Send trips, with event time faster than the clock, to every partition until `stop` is set."""
    producer = Producer({"bootstrap.servers": hub.settings.kafka})
    number = 0
    while not stop.wait(0.05):
        for partition in range(3):
            number += 1
            moment = NOON + number * 2_000 - (number % 7) * 4_000
            trip = {"trip_id": f"t{number - number % 11}", "driver_id": f"d{number % 40}"}
            amounts = dict.fromkeys(("duration_min", "distance_km", "price"), number % 90 / 7)
            value = json.dumps({**trip, **amounts, "start_time": moment}).encode()
            producer.produce(trips_topic(hub.settings), value, partition=partition)
        producer.poll(0)
    producer.flush(30)


def test_windows_that_were_dropped_are_left_out(audited: Hub, audit: Audit) -> None:
    """Totals are still those of all windows; one that is wrong is found."""
    fill(audited, "postgres")
    kept = msgspec.structs.replace(audited.settings, retention="panes:1d")
    with psycopg.connect(kept.postgres, autocommit=True) as postgres:
        watermarks = postgres.execute("SELECT entity, shard, watermark FROM progress").fetchall()
        postgres.execute("UPDATE progress SET watermark = watermark + 30 * 86400000::bigint")
        maintain_ledger(kept)
        for entity, shard, watermark in watermarks:
            postgres.execute(
                "UPDATE progress SET watermark = %s WHERE entity = %s AND shard = %s",
                [watermark, entity, shard],
            )
        windows = postgres.execute("SELECT count(*) FROM driver_ledger").fetchall()
        assert windows == [(0,)]
        code, printed = audit("--all")
        assert code == 0, printed
        assert numbers(printed)["Postgres totals"] > 0
        postgres.execute("UPDATE driver_before SET total_revenue = total_revenue + 1")
        code, printed = audit("--all")
        assert code == 1
        assert "Postgres totals" in printed
