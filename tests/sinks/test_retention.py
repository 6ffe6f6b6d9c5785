"""Weeks that are dropped from the ledger of Postgres: totals stay, whatever happens meanwhile."""

import random
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace
from typing import Any, LiteralString

import msgspec
import polars as pl
import psycopg
import pytest
from polars.testing import assert_frame_equal
from psycopg import sql

from mobility.entities import BY_NAME
from mobility.measures import EXTREMES, MEASURES
from mobility.settings import Settings
from mobility.totals import highest_versions
from sinks.ledger_maintenance import LedgerMaintenance, maintain_ledger
from sinks.postgres import PostgresStore, connect_postgres
from sinks.store import TOTALS_SCHEMA, ApplyResult
from tests.databases import query
from tests.waiting import until

pytestmark = pytest.mark.services

DRIVER = BY_NAME["driver"]
Build = Any

DAY = 86_400_000
WEEK = 7 * 24 * 12
"""Windows."""


@pytest.fixture
def kept(settings: Settings) -> Settings:
    """Return settings that keep a day, of a store without a follower."""
    return msgspec.structs.replace(settings, stores=("postgres",), retention="panes:1d")


@pytest.fixture
def store(kept: Settings) -> Iterator[PostgresStore]:
    """Return an empty store."""
    store = connect_postgres(kept, "main")
    yield store
    store.close()


def tables(settings: Settings) -> list[str]:
    """Return the tables of partitions, attached or not."""
    rows = query(
        settings,
        "SELECT relname FROM pg_class WHERE relnamespace = current_schema()::regnamespace "
        "AND relkind = 'r' AND relname LIKE 'driver_ledger_%' ORDER BY 1",
    )
    return [name for (name,) in rows]


def move_watermark(store: PostgresStore, window: Build, at: int) -> None:
    """Let all windows before a place be complete."""
    store.record_progress(DRIVER, 0, 1, window(at=at)["window_start"])


def expected_totals(rows: pl.DataFrame) -> pl.DataFrame:
    """Return the totals of windows, computed on their own."""
    counted = highest_versions(rows)
    has_trips = pl.col("trip_count") > 0
    best = {"min": pl.Expr.min, "max": pl.Expr.max}
    return (
        counted.group_by("id")
        .agg(
            best[each.kind](pl.col(each.name).filter(has_trips))
            if each.name in EXTREMES
            else pl.col(each.name).sum()
            for each in MEASURES
        )
        .select(TOTALS_SCHEMA.names())
        .cast(TOTALS_SCHEMA)
        .sort("id")
    )


def test_weeks_that_are_wholly_past_are_dropped(
    kept: Settings, store: PostgresStore, window: Build, frame: Build
) -> None:
    """Totals stay, also minima and maxima; a window of that time is refused and counted."""
    rows = frame(*(window(each, at=k * WEEK) for k in range(4) for each in ("a", "b")))
    store.apply(DRIVER, rows)
    maintain_ledger(kept)
    assert len(tables(kept)) == 4
    # 2025-01-13 is a Monday: of the week before, a day has to be kept.
    move_watermark(store, window, at=12 * 288)
    maintain_ledger(kept)
    assert tables(kept)[0] == "driver_ledger_20250106"
    move_watermark(store, window, at=13 * 288 + 1)
    maintain_ledger(kept)
    assert tables(kept) == ["driver_ledger_20250113", "driver_ledger_20250120"]
    assert_frame_equal(store.totals(DRIVER), expected_totals(rows))
    assert store.windows(DRIVER).height == 4
    late = frame(window("a", at=3), window("a", at=2 * WEEK + 1), window("c", at=WEEK))
    assert store.apply(DRIVER, late) == ApplyResult(applied=1, too_old=2)
    assert store.apply(DRIVER, late) == ApplyResult(unchanged=1, too_old=2)
    assert_frame_equal(store.totals(DRIVER), expected_totals(pl.concat([rows, late.slice(1, 1)])))
    state = "SELECT kept_from, oldest_window, refused FROM sequence_numbers WHERE entity = 'driver'"
    monday = 1_736_726_400_000
    assert query(kept, state) == [(monday, window(at=0)["window_start"], 4)]
    other = connect_postgres(kept, "main")
    assert other.apply(DRIVER, late) == ApplyResult(unchanged=1, too_old=2)
    other.close()


def test_all_is_kept_by_default(
    settings: Settings, store: PostgresStore, window: Build, frame: Build
) -> None:
    """And without a watermark nothing is old."""
    store.apply(DRIVER, frame(window()))
    maintain_ledger(msgspec.structs.replace(settings, retention="panes:1d"))
    move_watermark(store, window, at=99 * WEEK)
    maintain_ledger(settings)
    assert len(tables(settings)) == 1


def test_an_extreme_of_a_dropped_week_is_found(
    kept: Settings, store: PostgresStore, window: Build, frame: Build
) -> None:
    """A backfill takes the best of a kept week away: the next best one was dropped."""
    first, second = window(at=0, max_price=5), window(at=2 * WEEK, max_price=9)
    store.apply(DRIVER, frame(first, second))
    move_watermark(store, window, at=2 * WEEK)
    maintain_ledger(kept)
    emptied = {**second, "trip_count": 0, "generation": 1, "max_price": None}
    assert store.apply(DRIVER, frame(emptied)).applied == 1
    totals = store.totals(DRIVER)
    assert totals.select("start_time", "last_start_time", "max_price").row(0) == (
        first["start_time"],
        first["last_start_time"],
        5,
    )


def test_dropped_amid_writers(
    kept: Settings, store: PostgresStore, window: Build, frame: Build
) -> None:
    """Whatever comes first, the drop or a window, each window that is applied counts once."""
    writers = [store, connect_postgres(kept, "backfill")]
    applied: list[pl.DataFrame] = []
    choose = random.Random(7)  # noqa: S311 - a seed for a test
    ends = threading.Event()

    def write(number: int) -> None:
        for step in range(60):
            at = step * 150 + choose.choice((0, 0, 0, -2000, -4000))
            ids = [f"d{number}{n:02}" for n in range(10)]
            rows = frame(*(window(each, at=max(at, 0), generation=number) for each in ids))
            result = writers[number].apply(DRIVER, rows)
            # All are of one window start: either all were counted, or none.
            assert result.too_old in {0, len(ids)}
            if not result.too_old:
                applied.append(rows)
            if number == 0:
                move_watermark(store, window, at=step * 150)

    def drop() -> None:
        while not ends.is_set():
            maintain_ledger(kept)

    with ThreadPoolExecutor(3) as pool:
        dropping = pool.submit(drop)
        for written in [pool.submit(write, number) for number in range(2)]:
            written.result()
        ends.set()
        dropping.result()
    writers[1].close()
    maintain_ledger(kept)
    assert len(tables(kept)) < 6
    assert_frame_equal(store.totals(DRIVER), expected_totals(pl.concat(applied)))


def test_readers_and_writers_go_on_while_a_week_is_dropped(
    kept: Settings, store: PostgresStore, window: Build, frame: Build
) -> None:
    """It waits for a reader of the ledger, and gives up; a later round goes on where it was."""
    store.apply(DRIVER, frame(window(at=0), window(at=2 * WEEK)))
    move_watermark(store, window, at=2 * WEEK)
    count = "SELECT count(*) FROM driver_ledger WHERE window_start >= 1736726400000"
    with psycopg.connect(kept.postgres) as reader:
        assert reader.execute(count).fetchone() == (1,)
        maintain_ledger(kept)
        assert len(tables(kept)) == 2
        assert store.apply(DRIVER, frame(window(at=2 * WEEK + 1))).applied == 1
        assert store.apply(DRIVER, frame(window(at=3 * WEEK))).applied == 1
        assert store.apply(DRIVER, frame(window(at=0, trip_count=7))).too_old == 1
        assert query(kept, count) == [(3,)]
        assert reader.execute(count).fetchone() == (3,)

    def dropped() -> bool:
        maintain_ledger(kept)
        return tables(kept) == ["driver_ledger_20250113", "driver_ledger_20250120"]

    # Transactions of other tests, which are older, are waited for as well.
    until(dropped, "the week to be dropped")
    assert store.totals(DRIVER)["trip_count"].to_list() == [4]


@pytest.mark.parametrize("step", ["DETACH", "DROP"])
def test_a_crash_between_the_steps(
    kept: Settings,
    store: PostgresStore,
    window: Build,
    frame: Build,
    monkeypatch: pytest.MonkeyPatch,
    step: str,
) -> None:
    """The next round finds what was done."""
    store.apply(DRIVER, frame(window(at=0), window(at=2 * WEEK)))
    move_watermark(store, window, at=2 * WEEK)

    def crash(text: LiteralString) -> sql.SQL:
        if step in text:
            msg = "crashed"
            raise RuntimeError(msg)
        return sql.SQL(text)

    with monkeypatch.context() as patch:
        patch.setattr("sinks.retention.sql", SimpleNamespace(**{**vars(sql), "SQL": crash}))
        with pytest.raises(RuntimeError, match="crashed"):
            maintain_ledger(kept)
    assert len(tables(kept)) == 2
    assert store.apply(DRIVER, frame(window(at=0, trip_count=7))).too_old == 1
    maintain_ledger(kept)
    assert len(tables(kept)) == 1
    assert store.totals(DRIVER)["trip_count"].to_list() == [2]


def test_one_process_drops(
    kept: Settings, store: PostgresStore, window: Build, frame: Build
) -> None:
    """Others leave the round to it."""
    store.apply(DRIVER, frame(window(at=0), window(at=2 * WEEK)))
    move_watermark(store, window, at=2 * WEEK)
    with psycopg.connect(kept.postgres, autocommit=True) as other:
        other.execute(
            "SELECT pg_advisory_lock(hashtext('mobility-hub ' || current_schema()) & 2147483647, 4)"
        )
        maintain_ledger(kept)
        assert len(tables(kept)) == 2
    threads = [LedgerMaintenance(kept, every=0.01) for _ in range(3)]
    for thread in threads:
        thread.start()
    until(lambda: len(tables(kept)) == 1, "the week to be dropped")
    for thread in threads:
        thread.close()
    assert store.totals(DRIVER)["trip_count"].to_list() == [2]
