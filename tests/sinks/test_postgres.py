"""What only the lasting store has: a schema, views, locks and a session."""

import threading
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from itertools import chain
from typing import Any

import msgspec
import psycopg
import pytest

from mobility.entities import BY_NAME, ENTITIES, Entity
from mobility.settings import Settings
from sinks.migrations import migrate
from sinks.postgres import SPLIT, connect_postgres
from sinks.postgres_session import open_session
from sinks.scripts import numbered
from sinks.store import StoreError
from sinks.versions import coalesced

pytestmark = pytest.mark.services

DRIVER = BY_NAME["driver"]
Build = Any


def query(settings: Settings, statement: str) -> list[tuple[Any, ...]]:
    """Return what a person with psql would see."""
    with psycopg.connect(settings.postgres, autocommit=True) as connection:
        return connection.execute(statement).fetchall()


def test_the_views_speak_in_units(settings: Settings, window: Build, frame: Build) -> None:
    """The views show minutes, kilometres, currency and times, exact to the last place."""
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


def test_the_largest_totals_fit(settings: Settings, window: Build, frame: Build) -> None:
    """A sum at the end of int64 is stored and shown exactly; one beyond is an error, not a wrap."""
    store = connect_postgres(settings, "main")
    store.apply(DRIVER, frame(window(total_duration=2**63 - 1)))
    assert store.totals(DRIVER)["total_duration"].to_list() == [2**63 - 1]
    (shown,) = query(settings, "SELECT total_duration FROM driver_metrics")
    assert shown == (Decimal("9223372036854.775807"),)
    with pytest.raises(StoreError, match="out of range"):
        store.apply(DRIVER, frame(window(at=1, total_duration=1)))
    assert store.windows(DRIVER).height == 1
    store.close()


def test_starts_at_once_make_one_schema(settings: Settings) -> None:
    """Ten starts on an empty database run every file once; ten more run none."""

    def start(_: int) -> None:
        connect_postgres(settings, "main").close()

    with ThreadPoolExecutor(10) as pool:
        list(pool.map(start, range(10)))
        first = query(settings, "SELECT * FROM migrations ORDER BY scope, number")
        list(pool.map(start, range(10)))
    assert query(settings, "SELECT * FROM migrations ORDER BY scope, number") == first
    assert len(first) == len(numbered("store")) + len(ENTITIES) * len(numbered("entity"))


def test_a_fifth_entity_gets_its_tables(settings: Settings) -> None:
    """One more row in the table of entities is all that a new entity needs, whatever its name."""
    connect_postgres(settings, "main").close()
    fifth = Entity('odd "name"', id_field="x", id_column="x")
    with psycopg.connect(settings.postgres) as connection:
        migrate(connection, (*ENTITIES, fifth))
    assert query(settings, 'SELECT * FROM "odd ""name""_metrics"') == []


def test_tables_of_an_earlier_release_get_their_latest_starts(settings: Settings) -> None:
    """They knew the earliest alone: it stands for both, and windows without trips have none."""
    last = max(numbered("entity"))
    assert numbered("entity")[last] == "0004_last_start_time.sql"
    with psycopg.connect(settings.postgres) as connection:
        migrate(connection)
        connection.execute("DROP VIEW driver_metrics, driver_windows")
        connection.execute("ALTER TABLE driver_totals DROP COLUMN last_start_time")
        connection.execute("ALTER TABLE driver_ledger DROP COLUMN last_start_time")
        connection.execute("DELETE FROM migrations WHERE scope = 'driver' AND number = %s", [last])
        connection.execute(
            "INSERT INTO driver_ledger VALUES ('d', 0, 1, 1, 1, 1, 7, 'late', 0), "
            "('d', 300000, 2, 1, 1, 1, 300008, 'late', 0), "
            "('d', 600000, 0, 0, 0, 0, 600000, 'late', 1)"
        )
        connection.execute("INSERT INTO driver_totals VALUES ('d', 3, 2, 2, 2, 7)")
    store = connect_postgres(settings, "main")
    assert store.totals(DRIVER).row(0)[-2:] == (7, 300_008)
    assert store.windows(DRIVER)["last_start_time"].to_list() == [7, 300_008, 600_000]
    store.close()


def test_a_newer_schema_is_refused(settings: Settings) -> None:
    """An old program does not touch what a newer one has upgraded."""
    connect_postgres(settings, "main").close()
    with psycopg.connect(settings.postgres) as connection:
        connection.execute("INSERT INTO migrations (scope, number) VALUES ('driver', 99)")
    with pytest.raises(StoreError, match="version 99"):
        connect_postgres(settings, "main")


def test_writers_of_the_same_ids_at_once(settings: Settings, window: Build, frame: Build) -> None:
    """Two sessions that bring versions of the same windows lose none and count none twice."""
    stores = [connect_postgres(settings, "main") for _ in range(2)]
    together = threading.Barrier(len(stores))

    def write(place: int) -> list[str]:
        unseen: list[str] = []
        for count in range(1, 21):
            rows = [window(f"d{n:02}", trip_count=2 * count + place) for n in range(50)]
            together.wait()
            unseen += stores[place].apply(DRIVER, frame(*rows)).unseen
        return unseen

    with ThreadPoolExecutor(len(stores)) as pool:
        unseen = [*pool.map(write, range(len(stores)))]
    assert sorted(chain.from_iterable(unseen)) == [f"d{n:02}" for n in range(50)]
    totals = stores[0].totals(DRIVER)
    assert totals["trip_count"].to_list() == [41] * 50
    assert totals["total_duration"].to_list() == [12_500_000] * 50
    for store in stores:
        store.close()


def test_only_new_ids_are_unseen(settings: Settings, window: Build, frame: Build) -> None:
    """Among known ones, in a batch that is two transactions, and never for a second time."""
    store = connect_postgres(settings, "main")
    known, new = ([f"{kind}{n:04}" for n in range(SPLIT)] for kind in ("known", "new"))
    store.apply(DRIVER, frame(*map(window, known)))
    rows = coalesced(frame(*(window(name, at=1) for name in (*known, *new))))
    assert sorted(store.apply(DRIVER, rows).unseen) == new
    assert store.apply(DRIVER, rows).unseen == ()
    store.close()


def test_a_lost_connection_comes_back(settings: Settings, window: Build, frame: Build) -> None:
    """After the server ended the session the next batch is written over a new one."""
    waits: list[float] = []
    store = connect_postgres(settings, "main", wait=waits.append)
    query(
        settings,
        "SELECT pg_terminate_backend(pid) FROM pg_locks JOIN pg_stat_activity USING (pid) "
        "WHERE locktype = 'advisory' AND application_name = 'mobility-hub main' "
        "AND classid::bigint = hashtext('mobility-hub ' || current_schema()) & 2147483647",
    )
    store.apply(DRIVER, frame(window()))
    assert store.totals(DRIVER)["trip_count"].to_list() == [1]
    assert len(waits) == 1
    with pytest.raises(StoreError, match="`main`"):
        connect_postgres(settings, "serving")
    store.close()


def test_the_lock_goes_with_the_session(settings: Settings) -> None:
    """Once main has closed, serving may write; a reader never stands in the way."""
    reader = open_session(settings)
    connect_postgres(settings, "main").close()
    # The server notices a closed connection a moment later: that is what the waiting is for.
    for _ in range(100):
        if not query(settings, "SELECT FROM pg_locks WHERE locktype = 'advisory'"):
            break
    connect_postgres(settings, "serving").close()
    reader.close()


def test_two_hubs_in_one_database(settings: Settings, services: Settings) -> None:
    """Stores in two schemas share neither locks nor fingerprints."""
    with psycopg.connect(services.postgres, autocommit=True) as connection:
        connection.execute("CREATE SCHEMA sinks_other")
        try:
            url = settings.postgres.partition("options=")[0] + "options=-csearch_path%3Dsinks_other"
            main = connect_postgres(settings, "main")
            serving = connect_postgres(
                msgspec.structs.replace(settings, postgres=url, window=60), "serving"
            )
            main.close()
            serving.close()
        finally:
            connection.execute("DROP SCHEMA sinks_other CASCADE")
