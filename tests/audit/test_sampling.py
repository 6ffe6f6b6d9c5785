"""The audit on real services: silent where all is well, and loud where it is not."""

import json
import subprocess
import threading
from collections.abc import Callable, Iterator
from functools import partial
from operator import lt

import msgspec
import psycopg
import pytest
import redis
from confluent_kafka import Producer, TopicPartition
from confluent_kafka.admin import AdminClient

from audit import sampling
from mobility.settings import Settings, to_environ
from mobility.topics import trips_topic
from tests.dataflows.conftest import Hub, trips_log
from tests.strategies import MINUTE, NOON
from tests.waiting import until

pytestmark = pytest.mark.services

Audit = Callable[..., tuple[int, str]]


@pytest.fixture
def fed(hub: Hub) -> Hub:
    """Return a tenant with both stores and a status folder, and the topics."""
    hub.settings = msgspec.structs.replace(
        hub.settings,
        stores=("redis", "postgres"),
        status_dir=str(hub.recovery.parent / "status"),
    )
    hub.make_topics()
    return hub


@pytest.fixture
def audit(hub: Hub, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Audit:
    """Return what runs the command: its exit code and what it said."""

    def run(*arguments: str) -> tuple[int, str]:
        for name, value in to_environ(hub.settings).items():
            monkeypatch.setenv(name, value)
        monkeypatch.setenv("COLUMNS", "200")
        code = sampling.main([*arguments, "--seed", "7"])
        captured = capsys.readouterr()
        return code, captured.out + captured.err

    return run


def compared(said: str) -> dict[str, int]:
    """Return the numbers of the column `compared`, by place."""
    rows = [[cell.strip() for cell in line.split("│")] for line in said.splitlines() if "│" in line]
    return {row[1]: int(row[2].replace(",", "")) for row in rows}


def filled(fed: Hub) -> None:
    """Run the flow over two hours of trips."""
    fed.write(trips_log(11))
    run = fed.run()
    assert run.returncode == 0, run.stderr[-3_000:]


@pytest.mark.parametrize("size", [["--all"], ["--windows", "20"]])
def test_nothing_differs_where_nothing_is_wrong(fed: Hub, audit: Audit, size: list[str]) -> None:
    """Every place is compared, and the exit code is 0."""
    filled(fed)
    code, said = audit(*size)
    assert code == 0, said
    numbers = compared(said)
    assert numbers.keys() == {
        "aggregated",
        "Postgres",
        "Postgres totals",
        "Redis",
        "Redis totals",
        "Redis summaries",
    }
    assert min(numbers.values()) > 0, said
    assert "0 differences." in said


def test_it_finds_what_was_tampered_with(fed: Hub, audit: Audit) -> None:
    """Wrong rows, fields and messages are found one by one, each at its place; then all is well."""
    filled(fed)
    assert audit("--all")[0] == 0
    with psycopg.connect(fed.settings.postgres, autocommit=True) as postgres:
        for change, undo, places in POSTGRES_FAULTS:
            postgres.execute(change)
            assert_found(audit, *places)
            postgres.execute(undo)
    with redis.Redis.from_url(fed.settings.redis, decode_responses=True) as client:
        for key, field, value, place in redis_faults(client, fed.settings):
            before = client.hget(key, field)
            client.hset(key, field, value)
            assert_found(audit, place)
            if before is None:
                client.hdel(key, field)
            else:
                client.hset(key, field, before)
    assert audit("--all")[0] == 0
    last = fed.messages("aggregated.driver")[-1]
    forged = json.loads(last.value() or b"")
    forged["trip_count"] += 1
    # The newest window is open still; one of the first hour is not.
    for hour, kind in (("12:00:00", "different"), ("12:20:00", "different")):
        forged["window_start"] = f"2025-01-01T{hour}Z"
        forged["trip_count"] = 1_000
        fed.produce("aggregated.driver", json.dumps(forged).encode())
        code, said = audit("--all")
        assert (code, f"aggregated: {kind}" in said) == (1, True), said


ONE = "id = 'd1' AND window_start = (SELECT min(window_start) FROM driver_ledger WHERE id = 'd1')"
POSTGRES_FAULTS = (
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
        "INSERT INTO vehicle_type_ledger VALUES ('ghost', 1735732800000, 1, 1, 1, 1, 1, 'x', 0, 1)",
        "DELETE FROM vehicle_type_ledger WHERE id = 'ghost'",
        ("Postgres", "Postgres totals"),
    ),
)
"""What is done to Postgres, what undoes it, and where it is found."""


def redis_faults(client: redis.Redis, settings: Settings) -> Iterator[tuple[str, str, str, str]]:
    """Yield keys, fields, wrong values, and where each is found."""
    prefix = settings.redis_prefix
    yield f"{prefix}driver:d1", "trip_count", "1", "Redis totals"
    yield f"{prefix}driver:d1", "total_revenue", "0.000001", "Redis totals"
    yield f"{prefix}driver:d1", "last_start_time", "2025-01-01T00:00:00Z", "Redis totals"
    ledger = f"{prefix}ledger:driver:d1"
    window = min(str(each) for each in client.hkeys(ledger) if each != "totals")
    numbers = str(client.hget(ledger, window)).split(" ")
    numbers[1] = str(int(numbers[1]) + 1)
    yield ledger, window, " ".join(numbers), "Redis"
    yield ledger, str(NOON - 100 * MINUTE), " ".join(numbers), "Redis summaries"
    yield ledger, str(NOON + 3), " ".join(numbers), "Redis"


def assert_found(audit: Audit, *places: str) -> None:
    """Assert that the audit fails and gives an example from each place."""
    code, said = audit("--all")
    assert code == 1, said
    for place in places:
        assert f"\n{place}: " in said, said


def test_what_a_backfill_counted_again_is_not_compared(fed: Hub, audit: Audit) -> None:
    """Windows of a later generation follow other rules: reported with their number."""
    filled(fed)
    with psycopg.connect(fed.settings.postgres, autocommit=True) as postgres:
        postgres.execute(
            "UPDATE driver_ledger SET generation = 1, trip_count = trip_count + 1 WHERE id = 'd1'"
        )
        postgres.execute(
            "UPDATE driver_totals SET trip_count = ("
            "SELECT sum(trip_count) FROM driver_ledger WHERE id = 'd1') WHERE id = 'd1'"
        )
    code, said = audit("--all", "--entity", "driver")
    assert code == 0, said
    rows = [line.split("│") for line in said.splitlines() if "│" in line]
    amended = {row[1].strip(): int(row[3]) for row in rows}
    assert amended["Postgres"] > 0
    assert amended["Postgres"] == amended["Redis"] == amended["aggregated"]


def test_what_it_can_not_know_is_no_difference(fed: Hub, audit: Audit) -> None:
    """A log without its beginning is out of reach; stores of other settings are refused."""
    filled(fed)
    topic = trips_topic(fed.settings)
    cuts = [TopicPartition(topic, partition, 100 * partition) for partition in range(3)]
    admin = AdminClient({"bootstrap.servers": fed.settings.kafka})
    for removal in admin.delete_records(cuts).values():
        removal.result()
    code, said = audit("--all")
    assert (code, "out of reach: " in said) == (0, True), said
    assert compared(said)["Postgres"] == 0
    assert compared(said)["Postgres totals"] > 0
    fed.settings = msgspec.structs.replace(fed.settings, window=60)
    code, said = audit()
    assert code == 2
    assert "MOBILITY_WINDOW=60" in said


def test_live_traffic_and_kills_are_no_drift(fed: Hub, audit: Audit) -> None:
    """While trips come and the flow is killed and resumed, each audit finds nothing wrong."""
    fed.settings = msgspec.structs.replace(fed.settings, idle_after=2)
    stop = threading.Event()
    feeder = threading.Thread(target=feed, args=(fed, stop))
    feeder.start()
    try:
        for kill in (True, False, True):
            flow = fed.start()
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
        feeder.join()


def kill_all(flow: subprocess.Popen[str]) -> None:
    """Kill the launcher and what it started, at once."""
    listing = ["ps", "-o", "pid=", "--ppid", str(flow.pid)]
    children = subprocess.run(listing, capture_output=True, text=True, check=True).stdout.split()
    flow.kill()
    subprocess.run(["kill", "-9", *children], check=True)


def compared_now(audit: Audit) -> int:
    """Run an audit that must not fail; return how many windows of Postgres it compared."""
    code, said = audit("--all")
    assert code == 0, said
    return compared(said)["Postgres"]


def feed(hub: Hub, stop: threading.Event) -> None:
    """Write trips of a fast-moving past into every partition until told to stop."""
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
