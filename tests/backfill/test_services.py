"""Backfills on real services: topics and stores then have the batch answer with them."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import polars as pl
import pytest
import redis
from confluent_kafka import TopicPartition
from confluent_kafka.admin import AdminClient
from msgspec.structs import replace
from polars.testing import assert_frame_equal

from audit.delta_windows import read_delta
from audit.stores import read_postgres_totals, read_postgres_windows, read_redis_totals
from audit.topics import read_windows
from backfill.decoding import open_decoder
from backfill.trip_files import open_trip_files
from backfill.trip_log import RangeScan, find_first_offsets, read_late_trips
from backfill.window_range import WindowRange
from mobility.entities import BY_NAME
from mobility.keys import RedisKeys
from mobility.measures import MEASURE_SCHEMA
from mobility.records import PARTIAL_SCHEMA
from mobility.settings import Settings, Store, to_environ
from mobility.times import iso_time
from mobility.topics import trips_topic
from tests.backfill import reference
from tests.backfill.conftest import RunBackfill
from tests.backfill.killing import KILLED
from tests.dataflows.conftest import ROOT, Hub, trips_log
from tests.sinks.following import catch_up
from tests.strategies import MINUTE, NOON, Entry
from tests.waiting import DEADLINE, until

pytestmark = pytest.mark.services

START, END = NOON + 10 * MINUTE, NOON + 80 * MINUTE
RANGE = ("--from", iso_time(START), "--to", iso_time(END))
ENTITIES = ("driver", "vehicle_type")


def assert_everywhere(settings: Settings, trips: list[Entry]) -> None:
    """Assert that topics and stores hold the windows and totals of these trips."""
    windows, totals = [read_windows(settings, lambda _: None)], []
    if "postgres" in settings.stores:
        windows.append(read_postgres_windows(settings))
        totals.append(read_postgres_totals(settings))
    if "redis" in settings.stores:
        if settings.is_followed:
            catch_up(settings)
        totals.append(read_redis_totals(settings))
    if "delta" in settings.stores:
        windows.append(pl.concat(read_delta(settings, BY_NAME[name]) for name in ENTITIES))
    for entity in ENTITIES:
        expected = reference.windows(trips, entity, settings)
        for found in windows:
            filled = found.filter(pl.col("entity") == entity, pl.col("trip_count") > 0)
            ours = filled.select(PARTIAL_SCHEMA.names()).sort("id", "window_start")
            assert_frame_equal(ours, expected)
        for found in totals:
            filled = found.filter(pl.col("entity") == entity, pl.col("trip_count") > 0)
            ours = filled.select("id", *MEASURE_SCHEMA).sort("id")
            assert_frame_equal(ours, reference.totals(expected))


def ndjson(path: Path, *trips: Entry) -> Path:
    """Write corrections to a file."""
    path.write_bytes(b"\n".join(trip.value or b"" for trip in trips))
    return path


def run_flow(hub: Hub) -> None:
    """Run the flow to the end of the log."""
    run = hub.run()
    assert run.returncode == 0, run.stderr[-3_000:]


Snapshot = tuple[int, pl.DataFrame, pl.DataFrame]


def snapshot(hub: Hub) -> Snapshot:
    """Return what a dry run must not change: a topic's size, Postgres' windows, Redis' totals."""
    keys = ["entity", "id"]
    return (
        len(hub.messages("aggregated.driver")),
        read_postgres_windows(hub.settings).sort(*keys, "window_start"),
        read_redis_totals(hub.settings).sort(keys),
    )


def assert_unchanged(hub: Hub, before: Snapshot) -> None:
    """Assert that a snapshot is still right."""
    messages, windows, totals = snapshot(hub)
    assert before[0] == messages
    assert_frame_equal(before[1], windows)
    assert_frame_equal(before[2], totals)


def assert_late_trips_found(
    settings: Settings, counted: list[Entry], everything: list[Entry]
) -> None:
    """Assert that the late trips of the range, of which there are some, are in `trips_late`."""
    on_time = {id(trip) for trip in counted}
    late = [t for t in everything if START <= t.time < END and id(t) not in on_time]
    window_range = WindowRange(START, END)
    with open_trip_files(window_range, settings) as files:
        scan = RangeScan(settings, window_range, pl.Series(dtype=pl.String), files)
        read_late_trips(scan, open_decoder(settings), lambda _: None)
        found = {name for part in files.parts() for name in files.read(part)["trip_id"]}
    assert found >= {trip.trip_id for trip in late} != set()


def write_log(hub: Hub, invalid: bytes) -> list[list[Entry | bytes]]:
    """Let the flow read a log of trips and one invalid message; return the log."""
    log: list[list[Entry | bytes]] = [list(entries) for entries in trips_log(1)]
    log[0].insert(100, invalid)
    hub.write(log)
    run_flow(hub)
    return log


def moved_trip(entries: list[Entry | bytes]) -> Entry:
    """Return a correction that gives a trip of the range to another driver."""
    trips = [each for each in entries if isinstance(each, Entry) and each.trip_id is not None]
    wrong = next(t for t in trips if t.driver == "d1" and START + MINUTE < t.time < END)
    return Entry(wrong.time, wrong.trip_id, "d-other", wrong.vehicle, 7)


def test_late_and_dead_trips_are_counted_and_reverted(
    stored: Hub, backfill: RunBackfill, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A dry run changes nothing, --apply gives the batch answer, a revert the original one."""
    dead = Entry(NOON + 31 * MINUTE, "dead", "d1", "car", 5_000_000)
    log = write_log(stored, b'{"trip_id": "dead", "price": -1}')
    original = reference.counted_trips(log, stored.settings, with_late=False)
    assert_everywhere(stored.settings, original)
    everything = reference.counted_trips(log, stored.settings, with_late=True)
    assert_late_trips_found(stored.settings, original, everything)

    moved = moved_trip(log[1])
    file = ndjson(tmp_path / "given.ndjson", dead, moved)
    recount = reference.with_corrections(everything, [dead, moved], START, END)
    expected = reference.with_range_replaced(original, recount, START, END)

    before = snapshot(stored)
    assert backfill(*RANGE, "--with", file) == 0
    assert "--apply" in capsys.readouterr().out
    assert_unchanged(stored, before)
    assert not (tmp_path / "records").exists()

    assert backfill(*RANGE, "--with", file, "--apply") == 0
    assert_everywhere(stored.settings, expected)
    capsys.readouterr()
    messages = snapshot(stored)[0]
    # The correction counts in every later recount of its window.
    for files in (("--with", file), ()):
        assert backfill(*RANGE, *files, "--apply") == 0
        assert "No difference" in capsys.readouterr().out
    assert snapshot(stored)[0] == messages

    assert backfill("--take-back", "0001") == 0
    assert_everywhere(stored.settings, expected)
    assert backfill("--take-back", "0001", "--apply") == 0
    assert_everywhere(stored.settings, original)
    assert backfill("--take-back", "0001", "--apply") == 2
    assert "is reverted already" in capsys.readouterr().err
    record = json.loads((tmp_path / "records" / "0002" / "record.json").read_bytes())
    assert (record["takes_back"], record["generation"], record["status"]) == ("0001", 2, "applied")
    assert backfill("--list") == 0
    assert "reverted by 0002" in capsys.readouterr().out


def short_log(*trips: Entry) -> list[list[Entry]]:
    """Return a log with these trips; the watermark of each partition then moves two hours on."""
    rest = [Entry(NOON + 120 * MINUTE, punctuation=True)]
    return [[*trips, *rest], rest, rest]


@pytest.mark.parametrize("stores", [("redis", "postgres"), ("redis",), ("delta",), ()])
def test_a_trip_that_moves_leaves_an_empty_window(
    stored: Hub, backfill: RunBackfill, tmp_path: Path, stores: tuple[Store, ...]
) -> None:
    """One driver loses the only trip, another the earliest one; a revert restores both."""
    stored.settings = replace(stored.settings, stores=stores)
    alone = Entry(NOON + 12 * MINUTE, "t1", "one", "car", 3)
    first, second = (Entry(NOON + at * MINUTE, f"t{at}", "two", "car", at) for at in (20, 40))
    stored.write(short_log(alone, first, second))
    run_flow(stored)
    original = [alone, first, second]
    moved = [Entry(trip.time + 1, trip.trip_id, "three", "bike", 9) for trip in (alone, first)]
    file = ndjson(tmp_path / "given.ndjson", *moved)
    assert backfill(*RANGE, "--with", file, "--apply") == 0
    assert_everywhere(stored.settings, [*moved, second])
    assert backfill("--take-back", "0001", "--apply") == 0
    assert_everywhere(stored.settings, original)
    assert backfill(*RANGE, "--with", file, "--apply") == 0
    assert_everywhere(stored.settings, [*moved, second])


def test_the_flow_goes_on_and_overwrites_nothing(
    stored: Hub, backfill: RunBackfill, tmp_path: Path
) -> None:
    """Old windows come back neither by trips meanwhile nor by reading the whole log again."""
    log = trips_log(2)
    stored.write(log)
    flow = stored.start()
    stored.wait_for_windows(BY_NAME["driver"])
    given = [Entry(NOON + 33 * MINUTE, "given", "d1", "car", 5)]
    file = ndjson(tmp_path / "given", *given)
    # It is refused until each store, one after the other, has all windows of the range.
    until(
        lambda: backfill(*RANGE, "--with", file, "--apply"),
        "a backfill that succeeds",
        lambda code: code == 0,
    )

    more = trips_log(3, start=NOON + 120 * MINUTE)
    stored.write(more)
    whole = [one + two for one, two in zip(log, more, strict=True)]
    original = reference.counted_trips(whole, stored.settings, with_late=False)
    recount = reference.with_corrections(
        reference.counted_trips(log, stored.settings, with_late=True), given, START, END
    )
    expected = reference.with_range_replaced(original, recount, START, END)
    last = max(reference.window_of(trip, stored.settings) for trip in expected)
    until(
        lambda: max(read_postgres_windows(stored.settings)["window_start"], default=None),
        f"the window that begins at {last}",
        lambda newest: newest == last,
    )
    flow.send_signal(signal.SIGTERM)
    assert flow.wait(DEADLINE) == 0
    run_flow(stored)
    assert_everywhere(stored.settings, expected)

    stored.recovery = tmp_path / "anew"
    run_flow(stored)
    assert_everywhere(stored.settings, expected)


def run_killed(hub: Hub, function: str, *arguments: object) -> None:
    """Run a backfill that is killed where it calls a function, and end its lease in Redis."""
    others = {k: v for k, v in os.environ.items() if not k.startswith("MOBILITY_")}
    command = [sys.executable, "-c", KILLED, function, *map(str, arguments)]
    run = subprocess.run(command, env=others | to_environ(hub.settings), cwd=ROOT, check=False)
    assert run.returncode == -signal.SIGKILL
    with redis.Redis.from_url(hub.settings.redis) as client:
        client.hset(RedisKeys.of(hub.settings).meta, "backfill_until", 0)


@pytest.mark.parametrize(
    "function",
    [
        "backfill.run.write_windows",
        "sinks.postgres.PostgresStore.apply",
        "backfill.journal.Journal.finish",
    ],
)
def test_a_backfill_that_was_killed_is_finished_by_the_same_command(
    stored: Hub,
    backfill: RunBackfill,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    function: str,
) -> None:
    """Until then others of the same windows are refused; record and generation do not change."""
    trip = Entry(NOON + 12 * MINUTE, "t1", "one", "car", 3)
    stored.write(short_log(trip))
    run_flow(stored)
    moved = Entry(trip.time, "t1", "two", "car", 4)
    command = (*RANGE, "--with", ndjson(tmp_path / "given", moved))
    records = ("--records", tmp_path / "records")

    run_killed(stored, function, *command, "--apply", *records)
    for other in (RANGE, (*command, ndjson(tmp_path / "more", trip))):
        assert backfill(*other, "--apply") == 2
        assert f"--with {tmp_path / 'given'} --apply" in capsys.readouterr().err
    assert backfill("--take-back", "0001", "--apply") == 2
    assert backfill(*command) == 0
    assert "not finished" in capsys.readouterr().out
    assert backfill(*command, "--apply") == 0
    assert_everywhere(stored.settings, [moved])
    assert backfill("--list") == 0
    assert "0002" not in capsys.readouterr().out
    assert read_windows(stored.settings, lambda _: None)["generation"].max() == 1

    run_killed(stored, function, "--take-back", "0001", "--apply", *records)
    assert backfill(*command, "--apply") == 2
    assert "just backfill --take-back 0001 --apply" in capsys.readouterr().err
    assert backfill("--take-back", "0001", "--apply") == 0
    assert_everywhere(stored.settings, [trip])


def test_a_later_backfill_of_the_same_windows_is_reverted_first(
    stored: Hub, backfill: RunBackfill, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Backfills with windows in common are reverted in reverse order."""
    trips = [Entry(NOON + at * MINUTE, f"t{at}", "one", "car", at) for at in (12, 40)]
    stored.write(short_log(*trips))
    run_flow(stored)
    once, twice, other = (
        Entry(trips[which].time, trips[which].trip_id, name, "car", 7)
        for which, name in ((0, "two"), (0, "three"), (1, "four"))
    )
    for number, given in enumerate((once, twice, other)):
        file = ndjson(tmp_path / f"{number}", given)
        assert backfill(*RANGE, "--with", file, "--apply") == 0
    assert_everywhere(stored.settings, [twice, other])
    assert backfill("--take-back", "0001", "--apply") == 2
    assert "revert 0002 first" in capsys.readouterr().err
    assert backfill("--take-back", "0002", "--apply") == 0
    assert_everywhere(stored.settings, [once, other])
    assert backfill("--take-back", "0001", "--apply") == 0
    assert_everywhere(stored.settings, [trips[0], other])


def test_windows_of_an_unrecorded_backfill_are_refused(
    stored: Hub, backfill: RunBackfill, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its corrections are in no topic: a recount without them needs --unrecorded."""
    trip = Entry(NOON + 12 * MINUTE, "t1", "one", "car", 3)
    stored.write(short_log(trip))
    run_flow(stored)
    moved = Entry(trip.time, "t1", "two", "car", 4)
    assert backfill(*RANGE, "--with", ndjson(tmp_path / "given", moved), "--apply") == 0
    elsewhere = ("--records", tmp_path / "elsewhere")
    assert backfill(*RANGE, "--apply", last=elsewhere) == 2
    assert "--unrecorded" in capsys.readouterr().err
    assert backfill(*RANGE, "--apply", "--unrecorded", last=elsewhere) == 0
    assert_everywhere(stored.settings, [trip])


def test_windows_that_are_not_complete_are_refused(
    stored: Hub, backfill: RunBackfill, capsys: pytest.CaptureFixture[str]
) -> None:
    """A window that accepts trips can't be recounted; the error says which windows can."""
    stored.write(short_log(Entry(NOON + 12 * MINUTE, "t1", "one", "car", 3))[:2])
    late = (*RANGE[:2], "--to", iso_time(NOON + 110 * MINUTE))
    assert backfill(*RANGE) == 2
    assert "partitions without an event time" in capsys.readouterr().err
    stored.write([[], [], short_log()[0]])
    assert backfill(*late) == 2
    assert f"--to {iso_time(NOON + 105 * MINUTE)}" in capsys.readouterr().err
    assert backfill(*late[:3], iso_time(NOON + 105 * MINUTE)) == 0
    run_flow(stored)
    assert backfill(*late) == 2
    assert "the flow that writes to the stores has the watermark" in capsys.readouterr().err


def test_a_log_that_no_longer_covers_the_range_is_refused(
    stored: Hub, backfill: RunBackfill, capsys: pytest.CaptureFixture[str]
) -> None:
    """The error names the partitions; a range that can have lost no trips is accepted."""
    trips = [Entry(NOON + at * MINUTE, f"t{at}", "one", "car", at) for at in (12, 40)]
    stored.write(short_log(*trips))
    topic = trips_topic(stored.settings)
    admin = AdminClient({"bootstrap.servers": stored.settings.kafka})
    for done in admin.delete_records([TopicPartition(topic, 0, 1)]).values():
        done.result()
    for done in admin.delete_records([TopicPartition(topic, 2, 1)]).values():
        done.result()
    assert backfill(*RANGE) == 2
    output = capsys.readouterr().err
    assert "partition 0 begins at offset 1, appended 20" in output
    assert "partition 2 begins at offset 1 and is empty" in output
    assert "partition 1" not in output
    stored.write(short_log())
    # No event time is that far ahead of its append time: what was deleted is older than this.
    ahead = int(time.time() * 1_000) // 300_000 * 300_000 + 3_600_000
    later = WindowRange(ahead, ahead + 300_000)
    assert find_first_offsets(stored.settings, topic, later) == {0: 4, 1: 2, 2: 2}


def test_windows_that_redis_alone_refuses_are_named(
    stored: Hub, backfill: RunBackfill, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Those that are older than the ledger of an id; the others are written."""
    stored.settings = replace(stored.settings, stores=("redis",), redis_ledger_hours=1)
    old = Entry(NOON + 12 * MINUTE, "t1", "one", "car", 3)
    trips = [old, *(Entry(NOON + at * MINUTE, f"t{at}", "one", "car", at) for at in (60, 100))]
    stored.write(short_log(*trips))
    run_flow(stored)
    given = [
        Entry(trips[0].time, "t1", "one", "car", 4),
        Entry(trips[1].time, "t60", "one", "car", 5),
    ]
    assert backfill(*RANGE, "--with", ndjson(tmp_path / "given", *given), "--apply") == 0
    output = capsys.readouterr().out
    assert f"driver one, {iso_time(NOON + 10 * MINUTE)}" in output
    assert (
        f"driver one, {iso_time(NOON + 60 * MINUTE)}\n" not in output.partition("Redis refused")[2]
    )
    totals = read_redis_totals(stored.settings).filter(pl.col("id") == "one")
    assert totals["total_revenue"].item() == 3 + 5 + 100
    sent = read_windows(stored.settings, lambda _: None).filter(pl.col("id") == "one")
    assert sent["total_revenue"].sum() == 4 + 5 + 100
