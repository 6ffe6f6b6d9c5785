"""The flow on a real Kafka, run by its command: the results equal one batch computation."""

import json
import signal
import sqlite3
import subprocess
from collections.abc import Sequence
from contextlib import closing

import polars as pl
import psycopg
import pytest
import redis
from polars.testing import assert_frame_equal

from mobility.entities import BY_NAME
from mobility.settings import Settings
from mobility.topics import trips_topic
from tests.dataflows.conftest import Hub, trips_log
from tests.dataflows.doubles import batch_answer
from tests.process_tree import kill_all
from tests.strategies import MINUTE, NOON, Entry
from tests.waiting import DEADLINE, until

pytestmark = pytest.mark.services

DRIVER, VEHICLE = BY_NAME["driver"], BY_NAME["vehicle_type"]


def assert_exact(hub: Hub, log: list[list[Entry]]) -> None:
    """Assert that the aggregated topics hold the batch answer."""
    for entity in (DRIVER, VEHICLE):
        assert_frame_equal(hub.windows(entity), batch_answer(log, entity, hub.settings))


def assert_succeeded(run: subprocess.CompletedProcess[str]) -> None:
    """Assert that a run succeeded; show its output otherwise."""
    assert run.returncode == 0, run.stderr[-3_000:]


def concat_logs(one: list[list[Entry]], two: list[list[Entry]]) -> list[list[Entry]]:
    """Return one log followed by another."""
    return [a + b for a, b in zip(one, two, strict=True)]


@pytest.mark.parametrize("processes", ["1", "2"])
def test_the_log_becomes_windows(hub: Hub, processes: str) -> None:
    """Each message is a dead letter, a late trip or counted, and counted trips are enriched.

    With any number of processes.
    """
    hub.make_topics()
    log = trips_log(1)
    poison = [b"\xff\xfe", b"{", b"[]", b'{"start_time":"soon"}', b'{"price":NaN}']
    dirty = [
        [message for pair in zip(entries, poison * 80, strict=True) for message in pair]
        for entries in log
    ]
    hub.write(dirty)
    assert_succeeded(hub.run("--processes", processes, enriched=("driver",)))
    assert_exact(hub, log)

    dead = hub.messages("trips_dlq")
    assert len(dead) == 3 * 400
    for message in dead:
        headers = dict(message.headers() or [])
        assert headers.keys() == {"topic", "partition", "offset", "error", "detail"}
        assert headers["topic"] == f"{hub.settings.topic_prefix}trips_stream".encode()
        partition, offset = int(headers["partition"] or b""), int(headers["offset"] or b"")
        assert message.value() == dirty[partition][offset]
        assert message.key() == f"key-{partition}".encode()
    errors = {dict(message.headers() or [])["error"] for message in dead}
    assert errors == {b"not_utf8", b"not_json", b"not_object", b"missing_field"}

    late = positions(hub, "trips_late")
    assert late == late_positions(dirty, hub.settings)
    records = [json.loads(message.value() or b"") for message in hub.messages("enriched.driver")]
    enriched = {(record["log"]["partition"], record["log"]["offset"]) for record in records}
    assert len(enriched) == len(records)
    assert {record["log"]["topic"] for record in records} == {trips_topic(hub.settings)}
    drivers = batch_answer(log, DRIVER, hub.settings)["trip_count"].sum()
    assert len(enriched) == drivers
    assert enriched.isdisjoint(late)
    for message in hub.messages("enriched.driver")[:50]:
        record = json.loads(message.value() or b"")
        assert record["driver_id"].encode() == message.key()
        assert record["vehicle_type"]


def late_positions(
    log: Sequence[Sequence[Entry | bytes]], settings: Settings
) -> set[tuple[int, int]]:
    """Return the positions of the late trips, found trip by trip."""
    places = set()
    slack = (settings.out_of_orderness + settings.allowed_lateness) * 1_000
    for partition, messages in enumerate(log):
        latest = 0
        for offset, entry in enumerate(messages):
            if isinstance(entry, bytes):
                continue
            latest = max(latest, entry.time)
            end = entry.time - entry.time % settings.window_ms + settings.window_ms
            if not entry.punctuation and end + slack < latest:
                places.add((partition, offset))
    return places


def positions(hub: Hub, topic: str) -> set[tuple[int, int]]:
    """Return the source positions of a topic's messages, which are distinct."""
    places = [dict(message.headers() or []) for message in hub.messages(topic)]
    found = [(int(place["partition"] or b""), int(place["offset"] or b"")) for place in places]
    assert len(found) == len(set(found))
    return set(found)


def test_a_killed_flow_resumes_with_more_processes(hub: Hub) -> None:
    """After kill -9 of all processes, two processes resume, and the results are exact."""
    hub.make_topics()
    log, rest = trips_log(2), trips_log(3, NOON + 120 * MINUTE)
    hub.write(log)
    flow = hub.start()
    hub.wait_for_windows(DRIVER)
    until(lambda: snapshots(hub), "a snapshot")
    kill_all(flow)
    hub.write(rest)
    assert_succeeded(hub.run("--processes", "2"))
    assert_exact(hub, concat_logs(log, rest))


def snapshots(hub: Hub) -> int:
    """Return the number of snapshots in the recovery folder."""
    count = 0
    for path in hub.recovery.glob("*.sqlite3"):
        with closing(sqlite3.connect(path)) as connection:
            count += connection.execute("SELECT count(*) FROM snaps").fetchone()[0]
    return count


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_graceful_stop_loses_and_repeats_nothing(hub: Hub, number: signal.Signals) -> None:
    """SIGTERM and Ctrl-C end the flow with exit code 0, and the next run resumes there."""
    hub.make_topics()
    log, rest = trips_log(4), trips_log(5, NOON + 120 * MINUTE)
    hub.write(log)
    flow = hub.start("--processes", "2")
    hub.wait_for_windows(DRIVER)
    flow.send_signal(number)
    _, err = flow.communicate(timeout=DEADLINE)
    assert flow.returncode == 0, err[-3_000:]
    hub.write(rest)
    assert_succeeded(hub.run())
    assert_exact(hub, concat_logs(log, rest))


def test_a_second_instance_on_a_folder_is_refused(hub: Hub) -> None:
    """The second exits with a message; the first runs on."""
    hub.make_topics()
    first = hub.start()
    until(lambda: any(hub.recovery.glob("*.sqlite3")), "the recovery folder")
    second = hub.run()
    assert second.returncode == 2
    assert "Another instance is running" in second.stderr
    assert first.poll() is None


def test_dead_letters_that_cannot_be_written_stop_the_flow(hub: Hub) -> None:
    """The flow ends with an error, and its next run writes the dead letter."""
    hub.make_topics(trips_dlq={"max.message.bytes": "100"})
    hub.write([[b"x" * 500], [], []])
    run = hub.run()
    assert run.returncode not in {0, 2}
    assert "messages; the first for" in run.stderr
    assert "trips_dlq" in run.stderr


def test_a_start_with_other_answer_settings_is_refused(hub: Hub) -> None:
    """A recovery folder belongs to the settings that it was created with."""
    hub.make_topics()
    hub.write(trips_log(6, trips=40))
    assert_succeeded(hub.run())
    run = hub.run(window=60)
    assert run.returncode == 2
    assert "MOBILITY_WINDOW=60" in run.stderr
    assert "the recovery folder belongs to other settings" in run.stderr


def test_a_missing_topic_is_named_with_the_remedy(hub: Hub) -> None:
    """Without trips_stream the message says how to create it."""
    run = hub.run()
    assert run.returncode == 2
    assert f"no topic {hub.settings.topic_prefix}trips_stream" in run.stderr
    assert "just topics" in run.stderr


def test_the_serving_flow_writes_to_both_stores(hub: Hub) -> None:
    """The totals of each id are exact; a message that is not a window is a dead letter."""
    hub.make_topics()
    log = trips_log(7)
    hub.write(log)
    assert_succeeded(hub.run())
    hub.produce("aggregated.driver", b"garbage")
    serving = Hub(hub.settings, hub.recovery.with_name("serving"))
    for _ in range(2):
        assert_succeeded(serving.run("--flow", "serving", stores=("redis", "postgres")))

    windows = batch_answer(log, DRIVER, hub.settings)
    expected = windows.group_by("id").agg(pl.sum("trip_count", "total_revenue")).sort("id").rows()
    with psycopg.connect(hub.settings.postgres) as connection:
        query = "SELECT id, trip_count, (total_revenue * 1000000)::bigint FROM driver_metrics"
        assert sorted(connection.execute(query)) == expected
    with redis.Redis.from_url(hub.settings.redis, decode_responses=True) as client:
        for entity_id, count, _ in expected:
            key = f"{hub.settings.redis_prefix}driver:{entity_id}"
            assert client.hget(key, "trip_count") == str(count)
    (dead,) = hub.messages("trips_dlq")
    headers = dict(dead.headers() or [])
    assert (dead.value(), headers["error"]) == (b"garbage", b"not_a_window")
    assert headers["topic"] == f"{hub.settings.topic_prefix}aggregated.driver".encode()
