"""Query plans: no query about single ids scans a whole table."""

import secrets
from datetime import UTC, datetime
from typing import LiteralString

import msgspec
import psycopg
import pytest
from litestar.testing import TestClient

from api.app import create_app
from mobility.entities import BY_NAME
from mobility.settings import Settings
from sinks.postgres import connect_postgres
from tests.databases import prepare_ledger
from tests.waiting import until

pytestmark = pytest.mark.services

DRIVER = BY_NAME["driver"]
IDS = 60_000
WINDOWS = 4
START = datetime(2025, 1, 1, 8, tzinfo=UTC)
EARLIER = datetime(2024, 12, 3, 8, tzinfo=UTC)

_TOTALS = """
    INSERT INTO driver_totals
        (id, trip_count, total_duration, total_distance, total_revenue, start_time,
        last_start_time, newest_window)
    SELECT 'd' || to_char(number, 'FM000000'), 1, 1, 1, number, %(start)s, %(start)s, %(start)s
    FROM generate_series(1, %(ids)s) AS number
"""
_LEDGER = """
    INSERT INTO driver_ledger
        (id, window_start, trip_count, total_duration, total_distance, total_revenue, start_time,
        last_start_time, pane, generation)
    SELECT id, %(start)s + place * 300000, 1, 1, 1, 1, %(start)s, %(start)s, 'on_time', 0
    FROM driver_totals, generate_series(0, %(windows)s - 1) AS place
    ORDER BY place, id
"""
_SCANS = """
    SELECT coalesce(sum(seq_scan), 0)
    FROM pg_stat_user_tables
    WHERE schemaname = current_schema()
        AND (relname = 'driver_totals' OR relname LIKE 'driver_ledger_%%')
"""
_SCANS_OF_EARLIER = """
    SELECT coalesce(sum(seq_scan + idx_scan), 0)
    FROM pg_stat_user_tables
    WHERE schemaname = current_schema() AND relname = 'driver_ledger_20241202'
"""


@pytest.fixture
def large(settings: Settings) -> Settings:
    """Return settings with Postgres, with tables large enough for the planner to use indexes."""
    one_store = msgspec.structs.replace(settings, stores=("postgres",))
    store = connect_postgres(one_store, "main")
    store.record_progress(DRIVER, 0, 1, int(START.timestamp() * 1_000))
    store.close()
    values = {"ids": IDS, "windows": WINDOWS, "start": int(START.timestamp() * 1_000)}
    with psycopg.connect(one_store.postgres, autocommit=True) as connection:
        connection.execute(_TOTALS, values)
        prepare_ledger(one_store.postgres, DRIVER, EARLIER, START)
        connection.execute(_LEDGER, values)
        connection.execute(_LEDGER, {**values, "start": int(EARLIER.timestamp() * 1_000)})
        connection.execute("VACUUM ANALYZE driver_totals, driver_ledger")
        connection.execute("SELECT pg_stat_force_next_flush()")
    return one_store


def scans(settings: Settings, path: str, **body: object) -> int:
    """Send a request; return the number of sequential scans of the tables."""
    name = f"plans_{secrets.token_hex(4)}"
    named = f"{settings.postgres}&application_name={name}"
    before = _scans(settings)
    with TestClient(
        create_app(msgspec.structs.replace(settings, postgres=named)), "http://127.0.0.1"
    ) as http:
        answer = http.post(path, json=body) if body else http.get(path)
        assert answer.status_code in {200, 201}, answer.text
    # The statistics of a session are visible to others once it has ended.
    until(lambda: not _sessions(settings, name), "the API's sessions to end")
    return _scans(settings) - before


@pytest.mark.parametrize(
    "path",
    [
        "/metrics/driver/d000007",
        "/metrics/driver/d000007?from=2025-01-01T08:10:00Z&to=2025-01-01T08:40:00Z",
        "/metrics/driver/d000007/windows?from=2025-01-01T08:00:00Z&to=2025-01-02T08:00:00Z",
        "/metrics/driver?prefix=d0100&limit=50",
    ],
)
def test_queries_about_ids_use_the_primary_keys(large: Settings, path: str) -> None:
    """Totals, ranges, series and pages scan no table; the number of ids uses an index, too."""
    assert scans(large, path) == 0


def test_an_export_uses_the_index_by_time(large: Settings) -> None:
    """Only the windows of its hours are read, of all ids."""
    assert scans(large, "/windows/driver?from=2025-01-01T08:15:00Z&to=2025-01-01T09:00:00Z") == 0
    assert scans(large, "/windows/driver?from=2024-12-09&to=2025-02-01&hours=9-10") == 0


def test_hours_of_top_ids_use_the_index_by_time(large: Settings) -> None:
    """Windows of other hours are not read."""
    assert scans(large, "/top/driver?from=2024-12-09&to=2025-02-01&hours=9-10") == 0


@pytest.mark.parametrize(
    "path",
    [
        "/metrics/driver/d000007",
        "/metrics/driver/d000007/windows?from=2025-01-01T08:00:00Z&to=2025-01-02T08:00:00Z",
        "/metrics/driver?sort=-revenue&from=2025-01-01&to=2025-01-02",
        "/top/driver?from=2024-12-09&to=2025-02-01&hours=9-10",
        "/windows/driver?from=2025-01-01&to=2025-01-02",
        "/summary/driver?from=2025-01-01&to=2025-01-02",
        "/status",
    ],
)
def test_other_weeks_are_not_read(large: Settings, path: str) -> None:
    """A query reads the partitions of its range."""
    before = _number(large, _SCANS_OF_EARLIER)
    scans(large, path)
    assert _number(large, _SCANS_OF_EARLIER) == before


def test_a_batch_uses_the_primary_key(large: Settings) -> None:
    """A thousand ids are a thousand lookups in the index."""
    ids = [f"d{number:06}" for number in range(1, IDS, IDS // 1_000)]
    assert scans(large, "/batch/driver", ids=ids[:1_000]) == 0


def test_a_scan_is_detected(large: Settings) -> None:
    """A sorted list reads all totals (ADR 12), and the test counts that scan."""
    assert scans(large, "/metrics/driver?sort=-revenue&limit=5") > 0


def _scans(settings: Settings) -> int:
    return _number(settings, _SCANS)


def _sessions(settings: Settings, name: str) -> int:
    return _number(
        settings,
        "SELECT count(*) FROM pg_stat_activity WHERE application_name = %(name)s",
        name=name,
    )


def _number(settings: Settings, query: LiteralString, **values: object) -> int:
    with psycopg.connect(settings.postgres, autocommit=True) as connection:
        row = connection.execute(query, values).fetchone()
        assert row is not None
        return int(row[0])
