"""What only Postgres has: a schema, views, locks and a session."""

import secrets
import threading
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from typing import Any

import msgspec
import polars as pl
import psycopg
import pytest
from polars.testing import assert_frame_equal

from benchmarks.tenant import empty_tenant, tenant_settings
from mobility.entities import BY_NAME, ENTITIES, Entity
from mobility.keys import LAST_WINDOW
from mobility.measures import ADDED
from mobility.settings import Settings
from mobility.sketched_measures import SKETCH_BY_NAME
from mobility.totals import highest_versions
from postgres.connection import Connection
from sinks.fencing import take_fencing_token
from sinks.migrations import migrate
from sinks.postgres import SPLIT_ROWS, connect_postgres
from sinks.postgres_session import open_postgres_session
from sinks.sql_files import migration_files
from sinks.store import TOTALS_SCHEMA, AmountTooLargeError, StoreError
from tests.databases import query
from tests.waiting import until

pytestmark = pytest.mark.services

DRIVER = BY_NAME["driver"]
Build = Any


def writer_locks(settings: Settings) -> list[int]:
    """Return the roles that hold the writer's lock of this schema, as their second keys."""
    rows = query(
        settings,
        "SELECT DISTINCT objid::integer FROM pg_locks "
        "WHERE locktype = 'advisory' AND granted AND objsubid = 2 "
        "AND database = (SELECT oid FROM pg_database WHERE datname = current_database()) "
        "AND classid::bigint = hashtext('mobility-hub ' || current_schema()) & 2147483647 "
        "ORDER BY 1",
    )
    return [role for (role,) in rows]


def test_the_views_show_units(settings: Settings, window: Build, frame: Build) -> None:
    """Minutes, kilometres, currency units and times, exact to the last digit."""
    store = connect_postgres(settings, "main")
    rows = frame(window(trip_count=2, total_duration=25_000_001, total_revenue=-1))
    store.apply(DRIVER, rows)
    store.close()
    (seen,) = query(
        settings,
        "SELECT id, window_start AT TIME ZONE 'UTC', window_end AT TIME ZONE 'UTC', trip_count, "
        "avg_duration, total_duration, total_distance, total_revenue, "
        "start_time AT TIME ZONE 'UTC', pane, generation, "
        "last_start_time AT TIME ZONE 'UTC' FROM driver_windows",
    )
    assert [str(value) for value in seen] == [
        *("d1", "2025-01-01 00:00:00", "2025-01-01 00:05:00", "2", "12.5000005"),
        *("25.000001", "3.250000", "-0.000001", "2025-01-01 00:00:05", "early", "0"),
        "2025-01-01 00:01:05",
    ]
    (metrics,) = query(settings, "SELECT total_duration, avg_duration FROM driver_metrics")
    assert metrics == (Decimal("25.000001"), 12.5000005)


def test_the_largest_windows_fit(settings: Settings, window: Build, frame: Build) -> None:
    """The largest int64 is stored and shown exactly; a larger window is refused by name."""
    store = connect_postgres(settings, "main")
    store.apply(DRIVER, frame(window(total_duration=2**63 - 1)))
    assert store.windows(DRIVER)["total_duration"].to_list() == [2**63 - 1]
    (shown,) = query(settings, "SELECT total_duration FROM driver_windows")
    assert shown == (Decimal("9223372036854.775807"),)
    with pytest.raises(AmountTooLargeError, match="can't hold total_revenue of driver 'd3'"):
        store.apply(DRIVER, frame(window("d2"), window("d3", total_revenue=-(2**63))))
    assert store.windows(DRIVER).height == 1
    store.close()


def test_concurrent_starts_migrate_once(settings: Settings) -> None:
    """Ten starts on an empty schema run every migration once; ten more run none."""

    def start(_: int) -> None:
        connect_postgres(settings, "main").close()

    with ThreadPoolExecutor(10) as pool:
        list(pool.map(start, range(10)))
        first = query(settings, "SELECT * FROM migrations ORDER BY scope, number")
        list(pool.map(start, range(10)))
    assert query(settings, "SELECT * FROM migrations ORDER BY scope, number") == first
    files = len(migration_files("store")) + len(ENTITIES) * len(migration_files("entity"))
    assert len(first) == files


def test_a_fifth_entity_gets_its_tables(settings: Settings) -> None:
    """An entity that is added gets its tables, whatever characters its name has."""
    connect_postgres(settings, "main").close()
    fifth = Entity('odd "name"', id_field="x", id_column="x")
    with Connection.connect(settings.postgres) as connection:
        migrate(connection, (*ENTITIES, fifth))
    assert query(settings, 'SELECT * FROM "odd ""name""_metrics"') == []


def drop_added_columns(settings: Settings) -> None:
    """Let the tables be as an earlier release has made them."""
    with psycopg.connect(settings.postgres) as connection:
        for name in ("driver_ledger", "driver_totals"):
            for each in ADDED:
                connection.execute(f"ALTER TABLE {name} DROP COLUMN {each.name} CASCADE")


def test_a_measure_that_is_added_gets_its_columns(
    settings: Settings, window: Build, frame: Build
) -> None:
    """Null in the windows that there are, and in totals the one of the windows since."""
    store = connect_postgres(settings, "main")
    store.apply(DRIVER, frame(window(), window("d2")))
    store.close()
    drop_added_columns(settings)
    store = connect_postgres(settings, "main")
    new = [window(at=1, max_price=-7), window("d3", max_price=2**62)]
    assert store.apply(DRIVER, frame(*new)).applied == 2
    assert store.totals(DRIVER)["max_price"].to_list() == [-7, None, 2**62]
    assert store.windows(DRIVER)["max_price"].to_list() == [None, -7, None, 2**62]
    store.apply(DRIVER, frame(window(trip_count=2, max_price=5), window(at=1, generation=1)))
    assert store.totals(DRIVER)["max_price"].to_list() == [5, None, 2**62]
    store.close()
    seen = query(settings, "SELECT max_price FROM driver_windows WHERE max_price < 9 ORDER BY 1")
    assert seen == [(Decimal("0.000005"),)]
    assert query(settings, "SELECT max_price FROM driver_metrics WHERE id = 'd2'") == [(None,)]


def test_all_trips_of_before_had_the_amounts_that_are_optional_now(
    settings: Settings, window: Build, frame: Build
) -> None:
    """A count that is added needs no rewriting: where it is null, the trip count stands for it."""
    store = connect_postgres(settings, "main")
    store.apply(DRIVER, frame(window(trip_count=4), window(at=1, trip_count=3), window("d2")))
    store.close()
    drop_added_columns(settings)
    store = connect_postgres(settings, "main")
    assert store.totals(DRIVER)["revenue_count"].to_list() == [7, 1]
    assert store.windows(DRIVER)["revenue_count"].to_list() == [4, 3, 1]
    store.apply(DRIVER, frame(window(trip_count=6, revenue_count=1, distance_count=0)))
    assert store.totals(DRIVER).select("trip_count", "revenue_count", "distance_count").rows() == [
        (9, 4, 3),
        (1, 1, 1),
    ]
    store.close()
    for view in ("driver_windows", "driver_metrics"):
        whole = "SELECT sum(trip_count), sum(revenue_count), sum(distance_count) FROM"
        assert query(settings, f"{whole} {view}") == [(10, 5, 4)]


def test_a_newer_schema_is_refused(settings: Settings) -> None:
    """A program does not touch a schema that a newer version has migrated."""
    connect_postgres(settings, "main").close()
    with psycopg.connect(settings.postgres) as connection:
        connection.execute("INSERT INTO migrations (scope, number) VALUES ('driver', 99)")
    with pytest.raises(StoreError, match="version 99"):
        connect_postgres(settings, "main")


def test_concurrent_writers_of_the_same_ids(
    settings: Settings, window: Build, frame: Build
) -> None:
    """Two sessions that write versions of the same windows lose none and count none twice."""
    stores = [connect_postgres(settings, "main") for _ in range(2)]
    barrier = threading.Barrier(len(stores))

    def write(number: int) -> None:
        for count in range(1, 21):
            rows = [window(f"d{n:02}", trip_count=2 * count + number) for n in range(50)]
            barrier.wait()
            stores[number].apply(DRIVER, frame(*rows))

    with ThreadPoolExecutor(len(stores)) as pool:
        for written in [pool.submit(write, number) for number in range(len(stores))]:
            written.result()
    totals = stores[0].totals(DRIVER)
    assert totals["trip_count"].to_list() == [41] * 50
    assert totals["total_duration"].to_list() == [12_500_000] * 50
    for store in stores:
        store.close()


def test_a_followed_store_returns_what_it_has_touched(
    settings: Settings, window: Build, frame: Build
) -> None:
    """Totals after it of known and of new ids, of a batch that is two transactions, and no more."""
    followed = msgspec.structs.replace(settings, stores=("redis", "postgres"))
    store = connect_postgres(followed, "main")
    known, new = ([f"{kind}{n:04}" for n in range(SPLIT_ROWS)] for kind in ("known", "new"))
    store.apply(DRIVER, frame(*(window(name, at=2) for name in known)))
    rows = highest_versions(frame(*(window(name, at=1) for name in (*known, *new))))
    result = store.apply(DRIVER, rows)
    assert result.touched is not None
    assert result.sequence_number is not None
    assert result.touched.number == result.sequence_number.number == 4
    touched = result.touched.totals.sort("id")
    assert_frame_equal(touched.select(TOTALS_SCHEMA.names()), store.totals(DRIVER))
    newest = window(at=2)["window_start"], window(at=1)["window_start"]
    assert touched[LAST_WINDOW].to_list() == [newest[0]] * len(known) + [newest[1]] * len(new)
    assert_frame_equal(result.touched.windows.sort("id"), rows)

    changes = frame(window("known0000", at=1), window("new0000", at=1, trip_count=5))
    changed = store.apply(DRIVER, changes).touched
    assert changed is not None
    assert changed.totals["id"].to_list() == ["new0000"]
    assert changed.totals["trip_count"].to_list() == [5]
    assert_frame_equal(changed.windows, changes.tail(1))
    store.close()


def test_a_lost_connection_is_replaced(settings: Settings, window: Build, frame: Build) -> None:
    """After the server ended the session the next batch is written over a new one."""
    sleeps: list[float] = []
    store = connect_postgres(settings, "main", sleep=sleeps.append)
    query(
        settings,
        "SELECT pg_terminate_backend(pid) FROM pg_locks JOIN pg_stat_activity USING (pid) "
        "WHERE locktype = 'advisory' AND application_name = 'mobility-hub main' "
        "AND classid::bigint = hashtext('mobility-hub ' || current_schema()) & 2147483647",
    )
    store.apply(DRIVER, frame(window()))
    assert store.totals(DRIVER)["trip_count"].to_list() == [1]
    assert len(sleeps) == 1
    with pytest.raises(StoreError, match="`main`"):
        connect_postgres(settings, "serving")
    store.close()


def test_the_lock_goes_with_the_session(settings: Settings) -> None:
    """Once main has closed, serving may write; a reader holds no lock."""
    reader = open_postgres_session(settings)
    assert writer_locks(settings) == []
    main = connect_postgres(settings, "main")
    assert writer_locks(settings) == [1]
    main.close()
    # The server notices the closed connection a moment later.
    until(lambda: writer_locks(settings) == [], "the release of main's lock")
    serving = connect_postgres(settings, "serving")
    assert writer_locks(settings) == [2]
    serving.close()
    reader.close()


def test_two_schemas_of_one_database(
    settings: Settings, services: Settings, window: Build, frame: Build
) -> None:
    """Stores in two schemas share no lock, fingerprint, fencing token, window or progress."""
    ours = msgspec.structs.replace(settings, stores=("postgres",))
    name = f"test_{secrets.token_hex(4)}"
    other = msgspec.structs.replace(
        tenant_settings(services, name), stores=("postgres",), window=60
    )
    with empty_tenant(services, name):
        token = take_fencing_token(ours, "the newest cluster of one schema")
        main = connect_postgres(msgspec.structs.replace(ours, fence=token), "main")
        serving = connect_postgres(msgspec.structs.replace(other, fence=1), "serving")
        assert [writer_locks(ours), writer_locks(other)] == [[1], [2]]
        main.apply(DRIVER, frame(window(trip_count=2)))
        serving.apply(DRIVER, frame(window(trip_count=3)))
        main.record_progress(DRIVER, 0, 1, 5_000)
        totals = [store.totals(DRIVER)["trip_count"].to_list() for store in (main, serving)]
        assert totals == [[2], [3]]
        assert [store.progress(DRIVER) for store in (main, serving)] == [{0: 5_000}, {}]
        select = "SELECT value FROM meta WHERE name = 'fingerprint'"
        fingerprints = [query(each, select) for each in (ours, other)]
        assert fingerprints == [[(ours.fingerprint,)], [(other.fingerprint,)]]
        assert ours.fingerprint != other.fingerprint
        for store in (main, serving):
            store.close()


SKETCH = "duration_histogram"
TABLES = (
    "SELECT DISTINCT table_name FROM information_schema.columns "
    "WHERE column_name = 'duration_histogram' AND table_schema = current_schema() ORDER BY 1"
)


def with_sketch(rows: pl.DataFrame, data: bytes | None) -> pl.DataFrame:
    """Return windows with one sketch, the same in all of them."""
    return rows.with_columns(pl.lit(data, pl.Binary).alias(SKETCH))


def sketches_in_ledger(settings: Settings) -> list[bytes | None]:
    """Return the sketches of the windows in the ledger, in the order of ids and windows."""
    return [
        None if data is None else bytes(data)
        for (data,) in query(settings, "SELECT duration_histogram FROM driver_ledger ORDER BY id")
    ]


def test_sketches_stand_in_the_ledger_alone(
    settings: Settings, window: Build, frame: Build
) -> None:
    """A window has that of its version. One of an update without it is not known any more."""
    store = connect_postgres(settings, "main")
    store.apply(DRIVER, frame(window("a"), window("b")))
    store.close()
    assert not query(settings, TABLES)

    switched_on = msgspec.structs.replace(settings, measures=tuple(SKETCH_BY_NAME))
    store = connect_postgres(switched_on, "main")
    assert sketches_in_ledger(settings) == [None, None]
    rows = frame(window("a", trip_count=2), window("c"))
    assert store.apply(DRIVER, with_sketch(rows, b"\x00\xff")).applied == 2
    assert store.apply(DRIVER, with_sketch(rows, b"\x00\xff")).unchanged == 2
    assert sketches_in_ledger(settings) == [b"\x00\xff", None, b"\x00\xff"]
    store.apply(DRIVER, with_sketch(frame(window("c")), b""))
    assert sketches_in_ledger(settings) == [b"\x00\xff", None, b""]
    store.close()

    store = connect_postgres(settings, "main")
    store.apply(DRIVER, frame(window("a", trip_count=3), window("d")))
    assert sketches_in_ledger(settings) == [None, None, b"", None]
    store.close()
    assert query(settings, TABLES) == [
        ("driver_ledger",),
        ("driver_ledger_20241230",),
        ("h3_ledger",),
        ("passenger_ledger",),
        ("vehicle_type_ledger",),
    ]
