"""The ledger of Postgres in weeks: how it gets partitions, and how an earlier one becomes one."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import UTC, datetime
from typing import Any

import polars as pl
import psycopg
import pytest

from mobility.entities import BY_NAME, Entity
from mobility.measures import STARTS
from mobility.rollups import FIRST_WEEK
from mobility.settings import Settings
from mobility.sketched_measures import Sketch
from postgres.connection import Connection
from sinks import postgres as postgres_module
from sinks.new_windows import copy_windows
from sinks.partitioning_upgrade import prepare_partitioning
from sinks.partitions import Partition, read_partitions
from sinks.postgres import connect_postgres
from tests.databases import query
from tests.sinks.earlier_schemas import make_schema_of_0_1, make_schema_without_partitions
from tests.waiting import until

pytestmark = pytest.mark.services

DRIVER = BY_NAME["driver"]
Build = Any

WEEK_OF_WINDOWS = 7 * 24 * 12


def ms(*date: int) -> int:
    """Return midnight of a date in epoch ms."""
    return int(datetime(*date, tzinfo=UTC).timestamp() * 1_000)  # type: ignore[misc, arg-type]


def partitions(settings: Settings) -> list[Partition]:
    """Return the partitions of drivers."""
    with Connection.connect(settings.postgres) as connection:
        return read_partitions(connection, DRIVER)


def test_a_partition_is_a_week(settings: Settings, window: Build, frame: Build) -> None:
    """From Monday on; all that is before the year 2000 is one; one without windows is not there."""
    starts = [
        ms(2025, 1, 5) + 86_100_000,
        ms(2025, 1, 6),
        ms(2025, 3, 31),
        ms(1, 1, 1),
        ms(1969, 12, 31),
        FIRST_WEEK - 300_000,
        FIRST_WEEK,
    ]
    with closing(connect_postgres(settings, "main")) as store:
        assert partitions(settings) == []
        rows = frame(*(window(window_start=start) for start in starts))
        assert store.apply(DRIVER, rows).applied == len(starts)
        assert store.windows(DRIVER)["window_start"].to_list() == sorted(starts)
    assert partitions(settings) == [
        Partition("driver_ledger_earlier", None, FIRST_WEEK),
        Partition("driver_ledger_20000103", FIRST_WEEK, ms(2000, 1, 10)),
        Partition("driver_ledger_20241230", ms(2024, 12, 30), ms(2025, 1, 6)),
        Partition("driver_ledger_20250106", ms(2025, 1, 6), ms(2025, 1, 13)),
        Partition("driver_ledger_20250331", ms(2025, 3, 31), ms(2025, 4, 7)),
    ]


@pytest.mark.parametrize("pane", ["on_time", "late"])
def test_windows_at_the_same_address_in_two_weeks(
    settings: Settings, window: Build, frame: Build, pane: str
) -> None:
    """The first row of each partition has the same ctid: each window gets its own version."""
    ids = ("a", "b", "c")
    ats = (0, WEEK_OF_WINDOWS, 2 * WEEK_OF_WINDOWS)
    with closing(connect_postgres(settings, "main")) as store:
        for at in ats:
            store.apply(DRIVER, frame(*(window(each, at=at, pane=pane) for each in ids)))
        addresses = query(settings, "SELECT id, ctid::text FROM driver_ledger GROUP BY 1, 2")
        assert len(addresses) == len(ids)
        changed = [
            window(each, at=at, trip_count=10 + at + place, total_duration=at)
            for place, each in enumerate(ids)
            for at in ats[:2]
        ]
        assert store.apply(DRIVER, frame(*changed)).applied == len(changed)
        assert store.windows(DRIVER)["trip_count"].to_list() == [
            *(10, 10 + WEEK_OF_WINDOWS, 1),
            *(11, 11 + WEEK_OF_WINDOWS, 1),
            *(12, 12 + WEEK_OF_WINDOWS, 1),
        ]
        expected = [21 + 2 * place + WEEK_OF_WINDOWS for place in range(3)]
        assert store.totals(DRIVER)["trip_count"].to_list() == expected


def test_extremes_are_found_in_all_weeks(settings: Settings, window: Build, frame: Build) -> None:
    """A backfill takes one away: the next one is in a partition that it does not write to."""
    with closing(connect_postgres(settings, "main")) as store:
        store.apply(DRIVER, frame(*(window(at=k * WEEK_OF_WINDOWS) for k in range(3))))
        first, second = window(at=0), window(at=WEEK_OF_WINDOWS)
        emptied = {**first, "trip_count": 0, "generation": 1}
        assert store.apply(DRIVER, frame(emptied)).applied == 1
        starts = store.totals(DRIVER).select(STARTS).row(0)
        last = window(at=2 * WEEK_OF_WINDOWS)["last_start_time"]
        assert starts == (second["start_time"], last)


def test_writers_that_need_new_weeks_at_once(
    settings: Settings, window: Build, frame: Build
) -> None:
    """Four sessions begin the same weeks: none fails, none waits for another for ever."""
    weeks = 6
    stores = [connect_postgres(settings, "main") for _ in range(4)]
    barrier = threading.Barrier(len(stores))

    def write(number: int) -> None:
        for week in range(weeks):
            ids = [f"d{n:02}" for n in range(20)]
            rows = [window(each, at=week * WEEK_OF_WINDOWS + number) for each in ids]
            barrier.wait()
            stores[number].apply(DRIVER, frame(*rows))

    with ThreadPoolExecutor(len(stores)) as pool:
        for written in [pool.submit(write, number) for number in range(len(stores))]:
            written.result()
    assert stores[0].totals(DRIVER)["trip_count"].to_list() == [weeks * len(stores)] * 20
    assert len(partitions(settings)) == weeks
    for store in stores:
        store.close()


def test_a_partition_stays_when_its_windows_are_rolled_back(
    settings: Settings, window: Build, frame: Build, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is made before them, so the next attempt needs none, and nobody waits meanwhile."""
    seen: list[int] = []

    def copy_and_lose(
        connection: Connection, entity: Entity, rows: pl.DataFrame, sketches: tuple[Sketch, ...]
    ) -> None:
        copy_windows(connection, entity, rows, sketches)
        seen.append(len(partitions(settings)))
        if len(seen) == 1:
            connection.close()

    monkeypatch.setattr(postgres_module, "copy_windows", copy_and_lose)
    with closing(connect_postgres(settings, "main", sleep=lambda _: None)) as store:
        store.apply(DRIVER, frame(window(pane="on_time")))
        assert store.totals(DRIVER)["trip_count"].to_list() == [1]
    assert seen == [1, 1]


@pytest.mark.parametrize("pane", ["on_time", "late"])
def test_a_partition_that_is_gone_is_made_again(
    settings: Settings, window: Build, frame: Build, pane: str
) -> None:
    """As where a store was replaced by an earlier copy of it."""
    with closing(connect_postgres(settings, "main")) as store:
        store.apply(DRIVER, frame(window(pane=pane)))
        with psycopg.connect(settings.postgres) as connection:
            connection.execute("DROP TABLE driver_ledger_20241230")
        store.apply(DRIVER, frame(window(at=1, pane=pane)))
        assert store.windows(DRIVER).height == 1
    assert len(partitions(settings)) == 1


def test_a_new_partition_waits_for_no_reader(
    settings: Settings, window: Build, frame: Build
) -> None:
    """Nor does a reader wait for it: both go on while the other's transaction is open."""
    with (
        closing(connect_postgres(settings, "main")) as store,
        psycopg.connect(settings.postgres) as reader,
    ):
        store.apply(DRIVER, frame(window()))
        count = "SELECT count(*) FROM driver_ledger"
        assert reader.execute(count).fetchone() == (1,)
        store.apply(DRIVER, frame(window(at=WEEK_OF_WINDOWS)))
        assert reader.execute(count).fetchone() == (2,)


def test_a_batch_plans_the_partitions_of_its_windows(
    settings: Settings, window: Build, frame: Build
) -> None:
    """Whatever else the ledger has."""
    with closing(connect_postgres(settings, "main")) as store:
        store.apply(DRIVER, frame(*(window(at=k * WEEK_OF_WINDOWS) for k in range(5))))
    # The statistics of a session are visible to others once it has ended.
    until(lambda: sum(each[2] for each in _uses(settings).values()) == 6, "the first statistics")
    before = _uses(settings)
    with closing(connect_postgres(settings, "main")) as store:
        store.apply(DRIVER, frame(window(at=2 * WEEK_OF_WINDOWS, trip_count=2)))
        store.apply(DRIVER, frame(window(at=2 * WEEK_OF_WINDOWS + 1, trip_count=2)))
    until(lambda: _uses(settings) != before, "the statistics of the session")
    changed = {name for name, uses in _uses(settings).items() if uses != before[name]}
    assert changed <= {"driver_ledger_20250113", "driver_totals"}


def _uses(settings: Settings) -> dict[str, tuple[int, ...]]:
    rows = query(
        settings,
        "SELECT relname, seq_scan, coalesce(idx_scan, 0), n_tup_ins, n_tup_upd "
        "FROM pg_stat_user_tables WHERE schemaname = current_schema() "
        "AND relname LIKE 'driver%'",
    )
    return {name: tuple(uses) for name, *uses in rows}


def fill_earlier_tables(settings: Settings) -> None:
    """Write what an earlier release has written: of one id in two weeks, and of another one."""
    columns = (
        "id, window_start, trip_count, total_duration, total_distance, total_revenue, start_time, "
        "pane, generation"
    )
    has_last = query(
        settings,
        "SELECT FROM information_schema.columns WHERE table_schema = current_schema() "
        "AND table_name = 'driver_ledger' AND column_name = 'last_start_time'",
    )
    last, value = (", last_start_time", ", {start}") if has_last else ("", "")
    windows = [("d", ms(2025, 1, 1), 2), ("d", ms(2025, 1, 7), 3), ("e", ms(2024, 12, 31), 0)]
    with psycopg.connect(settings.postgres) as connection:
        for entity_id, start, trips in windows:
            connection.execute(
                f"INSERT INTO driver_ledger ({columns}{last}) VALUES ('{entity_id}', {start}, "  # noqa: S608 - ours
                f"{trips}, {trips}, {trips}, {trips}, {start}, 'late', 0"
                f"{value.format(start=start + 60_000)})"
            )
        for entity_id, trips, first, newest in (
            ("d", 5, ms(2025, 1, 1), ms(2025, 1, 7) + 60_000),
            ("e", 0, None, None),
        ):
            connection.execute(
                "INSERT INTO driver_totals (id, trip_count, total_duration, total_distance, "
                "total_revenue, start_time) VALUES (%s, %s, %s, %s, %s, %s)",
                [entity_id, trips, trips, trips, trips, first],
            )
            if has_last:
                connection.execute(
                    "UPDATE driver_totals SET last_start_time = %s WHERE id = %s",
                    [newest, entity_id],
                )


EARLIER = pytest.mark.parametrize(
    "make_schema", [make_schema_without_partitions, make_schema_of_0_1]
)


@EARLIER
def test_an_earlier_ledger_becomes_a_partition(
    settings: Settings, window: Build, frame: Build, make_schema: Callable[[Settings], None]
) -> None:
    """The same table, up to the end of its last week; later windows are in partitions of theirs."""
    make_schema(settings)
    fill_earlier_tables(settings)
    with psycopg.connect(settings.postgres) as connection:
        connection.execute("GRANT SELECT ON driver_ledger TO PUBLIC")
        connection.execute("CREATE VIEW own AS SELECT id, trip_count FROM driver_windows")
    table = query(settings, "SELECT oid FROM pg_class WHERE oid = 'driver_ledger'::regclass")
    with closing(connect_postgres(settings, "main")) as store:
        earlier = Partition("driver_ledger_earlier", None, ms(2025, 1, 13))
        assert partitions(settings) == [earlier]
        assert query(settings, "SELECT 'driver_ledger_earlier'::regclass::oid") == table
        assert store.windows(DRIVER)["trip_count"].to_list() == [2, 3, 0]
        newest = "SELECT id, newest_window FROM driver_totals ORDER BY id"
        assert query(settings, newest) == [("d", ms(2025, 1, 7)), ("e", ms(2024, 12, 31))]
        span = "SELECT oldest_window, newest_window FROM sequence_numbers WHERE entity = 'driver'"
        assert query(settings, span) == [(ms(2024, 12, 31), ms(2025, 1, 7))]
        rows = [
            {"window_start": ms(2025, 1, 7), "trip_count": 4},
            {"window_start": ms(2025, 1, 8)},
            {"window_start": ms(2024, 6, 1)},
            {"window_start": ms(2025, 1, 13)},
            {"window_start": ms(2025, 1, 20)},
        ]
        assert store.apply(DRIVER, frame(*(window("d", **row) for row in rows))).applied == 5
        assert store.totals(DRIVER)["trip_count"].to_list() == [10, 0]
        assert [each.name for each in partitions(settings)] == [
            "driver_ledger_earlier",
            "driver_ledger_20250113",
            "driver_ledger_20250120",
        ]
        assert query(settings, "SELECT count(*) FROM driver_ledger_earlier") == [(5,)]
        assert query(settings, span) == [(ms(2024, 6, 1), ms(2025, 1, 20))]
    assert query(settings, "SELECT sum(trip_count) FROM own WHERE id = 'd'") == [(10,)]
    public = "SELECT relacl::text LIKE '%=r/%' FROM pg_class WHERE oid = 'driver_ledger'::regclass"
    assert query(settings, public) == [(True,)]
    for entity in BY_NAME:
        kind = f"SELECT relkind FROM pg_class WHERE oid = '{entity}_ledger'::regclass"  # noqa: S608 - ours
        assert query(settings, kind) == [("p",)]


def test_tables_of_an_earlier_release_get_their_latest_starts(settings: Settings) -> None:
    """They had only earliest starts, which become the latest as well; empty windows have none."""
    make_schema_of_0_1(settings)
    fill_earlier_tables(settings)
    with closing(connect_postgres(settings, "main")) as store:
        starts = store.totals(DRIVER).select("id", *STARTS).rows()
        assert starts == [("d", ms(2025, 1, 1), ms(2025, 1, 7)), ("e", None, None)]
        assert store.windows(DRIVER)["last_start_time"].to_list() == [
            *(ms(2025, 1, 1), ms(2025, 1, 7), ms(2024, 12, 31))
        ]


@EARLIER
def test_starts_that_upgrade_at_once(
    settings: Settings, make_schema: Callable[[Settings], None]
) -> None:
    """One partitions the ledger, and the others find it done."""
    make_schema(settings)
    fill_earlier_tables(settings)
    with ThreadPoolExecutor(4) as pool:
        for started in [pool.submit(connect_postgres, settings, "main") for _ in range(4)]:
            started.result().close()
    assert partitions(settings) == [Partition("driver_ledger_earlier", None, ms(2025, 1, 13))]


def test_an_upgrade_that_ended_midway_goes_on(
    settings: Settings, window: Build, frame: Build
) -> None:
    """What is prepared may be there already; and windows may have come since, in the same week."""
    make_schema_without_partitions(settings)
    fill_earlier_tables(settings)
    with Connection.connect(settings.postgres, autocommit=True) as connection:
        prepare_partitioning(connection, DRIVER)
    with psycopg.connect(settings.postgres) as connection:
        connection.execute(
            "INSERT INTO driver_ledger "
            "SELECT 'late', window_start + 300000, 1, 1, 1, 1, 1, 'late', 0, 1 "
            " FROM driver_ledger WHERE trip_count = 3"
        )
        connection.execute("INSERT INTO driver_totals (id, trip_count) VALUES ('late', 1)")
    with closing(connect_postgres(settings, "main")) as store:
        assert store.apply(DRIVER, frame(window("late", at=WEEK_OF_WINDOWS * 9))).applied == 1
        assert store.windows(DRIVER).filter(pl.col("id") == "late").height == 2
    assert partitions(settings)[0] == Partition("driver_ledger_earlier", None, ms(2025, 1, 13))


def test_an_upgrade_waits_for_a_reader_and_holds_up_no_other(settings: Settings) -> None:
    """It gives its place in the queue up after a second, again and again."""
    make_schema_without_partitions(settings)
    fill_earlier_tables(settings)
    waits: list[float] = []
    waited = threading.Event()

    def wait(seconds: float) -> None:
        waits.append(seconds)
        waited.set()
        threading.Event().wait(0.05)

    count = "SELECT count(*) FROM driver_ledger"
    with ThreadPoolExecutor(1) as pool, psycopg.connect(settings.postgres) as reader:
        reader.execute(count)
        started = pool.submit(connect_postgres, settings, "main", sleep=wait)
        assert waited.wait(30)
        assert query(settings, count) == [(3,)]
        reader.commit()
        started.result().close()
    assert waits
    assert [each.name for each in partitions(settings)] == ["driver_ledger_earlier"]
