"""Rollups of the ledger of Postgres: what they hold, whatever is written meanwhile."""

import itertools
import random
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import product
from typing import Any

import msgspec
import pytest

from mobility.entities import BY_NAME
from mobility.settings import Settings
from sinks.ledger_maintenance import maintain_ledger
from sinks.postgres import PostgresStore, connect_postgres
from tests.databases import query
from tests.rollups import check_rollups, time_of

pytestmark = pytest.mark.services

CELL = BY_NAME["h3"]
"""An entity with rollups of hours and of days."""

Build = Any

HOUR = 12
DAY = 24 * HOUR
WEEK = 7 * DAY
"""Windows. The first one is of a Wednesday, 2025-01-01."""

MONDAY = 5 * DAY


@pytest.fixture
def alone(settings: Settings) -> Settings:
    """Return settings of a store without a follower."""
    return msgspec.structs.replace(settings, stores=("postgres",))


@pytest.fixture
def store(alone: Settings) -> Iterator[PostgresStore]:
    """Return an empty store."""
    store = connect_postgres(alone, "main")
    yield store
    store.close()


def move_watermark(store: PostgresStore, window: Build, at: int) -> None:
    """Let all windows before a place be past their lateness."""
    lateness = Settings().open_ms
    store.record_progress(CELL, 0, 1, window(at=at)["window_start"] + lateness)


def intervals(settings: Settings, name: str) -> list[tuple[str, str, int]]:
    """Return the rollups: id, start of the interval in UTC, trips."""
    rows = query(settings, f"SELECT id, interval_start, trip_count FROM h3_{name}")  # noqa: S608 - a name of a test
    ordered = sorted(rows, key=lambda row: (row[1], row[0]))
    return [(each, f"{time_of(start):%d %H:%M}", trips) for each, start, trips in ordered]


def test_hours_and_days_past_their_lateness(
    alone: Settings, store: PostgresStore, window: Build, frame: Build
) -> None:
    """An hour with a window that still takes trips is not rolled up, nor is its day."""
    places = (0, 1, HOUR - 1, HOUR, DAY - 1, DAY, DAY + HOUR)
    store.apply(CELL, frame(*(window(each, at=at) for at in places for each in "ab")))
    maintain_ledger(alone)
    assert check_rollups(alone.postgres, "h3") == {}
    move_watermark(store, window, at=HOUR - 1)
    maintain_ledger(alone)
    assert check_rollups(alone.postgres, "h3") == {"hours": 0, "days": 0}
    move_watermark(store, window, at=DAY + HOUR)
    maintain_ledger(alone)
    assert check_rollups(alone.postgres, "h3") == {"hours": 8, "days": 2}
    trips = window()["trip_count"]
    assert intervals(alone, "days") == [(each, "01 00:00", 5 * trips) for each in "ab"]
    assert intervals(alone, "hours")[-1] == ("b", "02 00:00", trips)


def test_nothing_without_trips(
    alone: Settings, store: PostgresStore, window: Build, frame: Build
) -> None:
    """A window that a backfill has emptied is in no rollup."""
    store.apply(CELL, frame(window("a"), window("b", trip_count=0, generation=1)))
    move_watermark(store, window, at=DAY)
    maintain_ledger(alone)
    assert [each for each, _, _ in intervals(alone, "hours")] == ["a"]
    assert check_rollups(alone.postgres, "h3") == {"hours": 1, "days": 1}


@pytest.mark.parametrize(
    "late",
    [
        {"trip_count": 9, "max_price": 7_000_000},
        {"trip_count": 0, "generation": 1, "max_price": None},
        {"entity_id": "new"},
        {"entity_id": "older", "at": -3 * WEEK},
    ],
)
def test_what_comes_later_is_rolled_up_again(
    alone: Settings, store: PostgresStore, window: Build, frame: Build, late: dict[str, Any]
) -> None:
    """A late window, a backfill, another id, what is older than all: never counted twice."""
    store.apply(CELL, frame(window("a", max_price=5), window("a", at=HOUR), window("a", at=1)))
    move_watermark(store, window, at=WEEK)
    maintain_ledger(alone)
    store.apply(CELL, frame(window(**({"entity_id": "a"} | late))))
    stale = query(alone, "SELECT count(*) FROM stale_hours")
    assert stale == [(1,)]
    check_rollups(alone.postgres, "h3")
    maintain_ledger(alone)
    assert query(alone, "SELECT count(*) FROM stale_hours") == [(0,)]
    compared = check_rollups(alone.postgres, "h3")
    assert compared["hours"] >= 2


def test_what_changes_nothing_is_not_rolled_up_again(
    alone: Settings, store: PostgresStore, window: Build, frame: Build
) -> None:
    """After a crash windows come again; and most windows are newer than what is rolled up."""
    rows = frame(*(window(each, at=at) for at in (0, HOUR) for each in "ab"))
    store.apply(CELL, rows)
    move_watermark(store, window, at=DAY)
    maintain_ledger(alone)
    store.apply(CELL, rows)
    store.apply(CELL, frame(window(at=DAY)))
    assert query(alone, "SELECT count(*) FROM stale_hours") == [(0,)]


@pytest.mark.parametrize(
    ("zone", "day", "hour"),
    [
        ("Asia/Kolkata", "01 18:30", "01 18:30"),
        ("America/New_York", "01 05:00", "01 19:00"),
        ("Australia/Adelaide", "01 14:30", "01 18:30"),
    ],
)
def test_days_are_those_of_the_time_zone(
    alone: Settings,
    store: PostgresStore,
    window: Build,
    frame: Build,
    zone: str,
    day: str,
    hour: str,
) -> None:
    """In winter; hours begin with those of its clocks. A later setting changes nothing."""
    store.apply(CELL, frame(window(at=19 * HOUR)))
    move_watermark(store, window, at=3 * DAY)
    maintain_ledger(msgspec.structs.replace(alone, timezone=zone))
    assert intervals(alone, "days") == [("d1", day, 1)]
    assert intervals(alone, "hours") == [("d1", hour, 1)]
    store.apply(CELL, frame(window(at=3 * DAY)))
    move_watermark(store, window, at=5 * DAY)
    maintain_ledger(alone)
    assert check_rollups(alone.postgres, "h3") == {"hours": 2, "days": 2}


def test_an_interval_is_cut_where_a_week_ends(
    alone: Settings, store: PostgresStore, window: Build, frame: Build
) -> None:
    """So that the week before can be dropped, and what comes later is added to the rest only."""
    kept = msgspec.structs.replace(alone, timezone="Asia/Kolkata", retention="panes:1d")
    store.apply(CELL, frame(window(at=0), window(at=MONDAY - 1), window(at=MONDAY)))
    move_watermark(store, window, at=MONDAY + HOUR // 2)
    maintain_ledger(kept)
    assert check_rollups(alone.postgres, "h3") == {"hours": 3, "days": 1}
    move_watermark(store, window, at=MONDAY + 3 * DAY)
    maintain_ledger(kept)
    assert query(alone, "SELECT count(*) FROM h3_ledger") == [(1,)]
    assert [start for _, start, _ in intervals(alone, "hours")] == [
        "31 23:30",
        "05 23:30",
        "06 00:00",
    ]
    store.apply(CELL, frame(window(at=MONDAY + 1)))
    assert store.apply(CELL, frame(window(at=MONDAY - 2))).too_old == 1
    maintain_ledger(kept)
    days = intervals(alone, "days")
    assert [start for _, start, _ in days] == ["31 18:30", "05 18:30", "06 00:00"]
    assert [trips for _, _, trips in days] == [1, 1, 2]
    check_rollups(alone.postgres, "h3")


def test_a_clock_that_was_never_set(
    alone: Settings, store: PostgresStore, window: Build, frame: Build
) -> None:
    """55 years without windows take few transactions."""
    ancient = window(at=-55 * 365 * DAY)
    store.apply(CELL, frame(ancient, window(at=0)))
    move_watermark(store, window, at=DAY)
    spans = itertools.count()
    maintain_ledger(alone, lambda _: next(spans) < 0)
    assert 0 < next(spans) <= 2_002
    assert check_rollups(alone.postgres, "h3") == {"hours": 2, "days": 2}


def test_hours_are_dropped_and_days_stay(
    alone: Settings, store: PostgresStore, window: Build, frame: Build
) -> None:
    """Each by its own retention, by whole weeks."""
    kept = msgspec.structs.replace(alone, retention="panes:1d,hours:14d")
    store.apply(CELL, frame(*(window(at=MONDAY + n * WEEK) for n in range(6))))
    move_watermark(store, window, at=MONDAY + 4 * WEEK + 2 * DAY)
    maintain_ledger(kept)
    starts = {name: [start for _, start, _ in intervals(alone, name)] for name in ("hours", "days")}
    assert starts["hours"] == ["20 00:00", "27 00:00", "03 00:00"]
    assert starts["days"] == ["06 00:00", "13 00:00", *starts["hours"]]
    kept_from = "SELECT name, kept_from FROM rollups WHERE entity = 'h3' ORDER BY 1"
    monday = window(at=MONDAY + 2 * WEEK)["window_start"]
    assert query(alone, kept_from) == [("days", None), ("hours", monday)]
    check_rollups(alone.postgres, "h3")


def test_sums_beyond_a_bigint(
    alone: Settings, store: PostgresStore, window: Build, frame: Build
) -> None:
    """A window holds up to 2^63 - 1 millionths, an hour of them more."""
    store.apply(CELL, frame(*(window(at=at, total_revenue=2**63 - 1) for at in range(3))))
    move_watermark(store, window, at=DAY)
    maintain_ledger(alone)
    assert check_rollups(alone.postgres, "h3") == {"hours": 1, "days": 1}


def test_a_store_that_has_dropped_windows_already(
    alone: Settings, store: PostgresStore, window: Build, frame: Build
) -> None:
    """Before it was upgraded: its rollups begin with the first whole interval."""
    store.apply(CELL, frame(window(at=MONDAY), window(at=MONDAY + DAY)))
    dropped = "UPDATE sequence_numbers SET kept_from = oldest_window RETURNING 1"
    assert query(alone, dropped) == [(1,)]
    move_watermark(store, window, at=MONDAY + 3 * DAY)
    maintain_ledger(msgspec.structs.replace(alone, timezone="Asia/Kolkata"))
    assert check_rollups(alone.postgres, "h3") == {"hours": 1, "days": 1}
    # Of these hours of UTC, one half is before the first whole interval.
    store.apply(CELL, frame(window(at=MONDAY + 9), window(at=MONDAY + 18 * HOUR + 9)))
    maintain_ledger(alone)
    assert check_rollups(alone.postgres, "h3") == {"hours": 3, "days": 1}


@pytest.mark.parametrize(
    ("retention", "rollups"),
    [
        ("", {("driver", "days")}),
        ("panes:14d", {("driver", "days"), ("passenger", "days")}),
        ("panes:14d,hours:14d", set(product(["driver", "passenger"], ["days", "hours"]))),
    ],
)
def test_entities_have_the_rollups_that_are_worth_it(
    alone: Settings,
    store: PostgresStore,
    window: Build,
    frame: Build,
    retention: str,
    rollups: set[tuple[str, str]],
) -> None:
    """Or those that stand in for what is dropped; what was begun goes on without the setting."""
    found = []
    for days, settings in ((2, msgspec.structs.replace(alone, retention=retention)), (3, alone)):
        for name in ("driver", "passenger"):
            store.apply(BY_NAME[name], frame(window(at=0)))
            watermark = window(at=days * DAY)["window_start"] + settings.open_ms
            store.record_progress(BY_NAME[name], 0, 1, watermark)
        maintain_ledger(settings)
        states = query(alone, "SELECT entity, name, rolled_up_to FROM rollups")
        found.append({(entity, name): time for entity, name, time in states})
    assert found[0].keys() == found[1].keys() == rollups
    assert all(found[1][each] - time == 24 * 3_600_000 for each, time in found[0].items())


def test_older_windows_that_come_before_anything_is_rolled_up(
    alone: Settings, store: PostgresStore, window: Build, frame: Build
) -> None:
    """As from a shard that has said nothing yet: they are no late windows, and are rolled up."""
    store.apply(CELL, frame(window(at=3 * DAY)))
    store.record_progress(CELL, 0, 1, None)
    maintain_ledger(alone)
    store.apply(CELL, frame(window(at=DAY), window(at=0)))
    check_rollups(alone.postgres, "h3")
    move_watermark(store, window, at=5 * DAY)
    maintain_ledger(alone)
    assert check_rollups(alone.postgres, "h3") == {"hours": 3, "days": 3}


def test_days_are_not_made_of_hours_of_other_clocks(
    alone: Settings, store: PostgresStore, window: Build, frame: Build
) -> None:
    """Hours that were begun later, when MOBILITY_TIMEZONE was another one."""
    driver, half = BY_NAME["driver"], 18 * HOUR + HOUR // 2
    places = (half - 1, half, DAY + half - 1, DAY + half, 4 * DAY)
    store.apply(driver, frame(*(window(at=at) for at in places)))
    store.record_progress(driver, 0, 1, window(at=HOUR)["window_start"] + alone.open_ms)
    maintain_ledger(msgspec.structs.replace(alone, timezone="Asia/Kolkata"))
    store.record_progress(driver, 0, 1, window(at=4 * DAY)["window_start"] + alone.open_ms)
    maintain_ledger(msgspec.structs.replace(alone, retention="panes:90d,hours:90d"))
    assert check_rollups(alone.postgres, "driver") == {"hours": 2, "days": 3}


def test_days_of_hours_that_lack_a_measure(
    alone: Settings, store: PostgresStore, window: Build, frame: Build
) -> None:
    """Those of before it was added: another measure stands for it, as in windows."""
    store.apply(CELL, frame(*(window(at=at, trip_count=2, revenue_count=2) for at in (0, HOUR))))
    move_watermark(store, window, at=DAY)
    maintain_ledger(alone)
    assert query(alone, "UPDATE h3_hours SET revenue_count = NULL RETURNING 1") == [(1,), (1,)]
    store.apply(CELL, frame(window(at=2 * HOUR, trip_count=3, revenue_count=1)))
    maintain_ledger(alone)
    assert query(alone, "SELECT revenue_count FROM h3_days") == [(5,)]


def test_writers_and_rollups_at_once(alone: Settings, window: Build, frame: Build) -> None:
    """Whatever comes first, a reader finds no rollup that lacks a window, or has one twice."""
    writers = [connect_postgres(alone, "main"), connect_postgres(alone, "backfill")]
    kept = msgspec.structs.replace(alone, timezone="Asia/Kolkata", retention="panes:7d")
    choose = random.Random(7)  # noqa: S311 - a seed for a test
    ends = threading.Event()

    def write(number: int) -> None:
        for step in range(80):
            back = (
                choose.choice((0, 0, HOUR, DAY, WEEK)) if number == 0 else choose.randint(0, WEEK)
            )
            at = max(step * 40 - back, 0)
            rows = [
                window(
                    f"d{n}", at=at + choose.randint(0, 30), generation=step * number, trip_count=n
                )
                for n in range(10)
            ]
            writers[number].apply(CELL, frame(*rows).unique(["id", "window_start"]))
            if number == 0:
                move_watermark(writers[0], window, at=step * 40)

    def maintain() -> None:
        while not ends.is_set():
            maintain_ledger(kept)

    def compare() -> int:
        most = 0
        while not ends.is_set():
            most = max(most, check_rollups(alone.postgres, "h3").get("hours", 0))
        return most

    with ThreadPoolExecutor(4) as pool:
        maintaining, comparing = pool.submit(maintain), pool.submit(compare)
        try:
            for written in [pool.submit(write, number) for number in range(2)]:
                written.result()
        finally:
            ends.set()
        maintaining.result()
        assert comparing.result() > 0
    for writer in writers:
        writer.close()
    maintain_ledger(kept)
    assert query(alone, "SELECT count(*) FROM stale_hours") == [(0,)]
    assert check_rollups(alone.postgres, "h3")["hours"] > 0
