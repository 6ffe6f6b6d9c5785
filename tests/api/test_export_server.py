"""Exports of the running API: large ones, clients that leave, and a Postgres that fails."""

import secrets
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

import httpx
import msgspec
import psycopg
import pytest

from mobility.settings import Settings, to_environ
from sinks.postgres import connect_postgres
from stack.ports import find_free_port
from tests.api.expected import DRIVER, with_stores
from tests.api.test_main import api, wait_for_health
from tests.databases import prepare_ledger
from tests.waiting import DEADLINE, until

pytestmark = pytest.mark.services

START = int(datetime(2025, 1, 1, tzinfo=UTC).timestamp() * 1_000)
IDS, WINDOWS = 2_000, 120
"""Rows of 50 MB in NDJSON, which fit into no buffer on the way to a client that does not read."""

_LEDGER = """
    INSERT INTO driver_ledger
        (id, window_start, trip_count, total_duration, total_distance, total_revenue, start_time,
        last_start_time, pane, generation)
    SELECT 'd' || number, %(start)s + place * 300000, 1, 1, 1, 1, %(start)s, %(start)s, 'on_time', 0
    FROM generate_series(1, %(ids)s) AS number, generate_series(0, %(windows)s - 1) AS place
"""
_OPEN = """
    SELECT count(*) FROM pg_stat_activity
    WHERE application_name = %s AND backend_xmin IS NOT NULL
"""
_TERMINATE = (
    "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE application_name = %s"
)


@pytest.fixture
def large(settings: Settings) -> Settings:
    """Return settings with Postgres, whose sessions of the API have a name."""
    one = with_stores(settings, "postgres")
    store = connect_postgres(one, "main")
    store.record_progress(DRIVER, 0, 1, START)
    store.close()
    with psycopg.connect(one.postgres, autocommit=True) as connection:
        day = datetime.fromtimestamp(START / 1_000, UTC)
        newest = day + timedelta(minutes=5 * (WINDOWS - 1))
        prepare_ledger(one.postgres, DRIVER, day, newest)
        connection.execute(_LEDGER, {"start": START, "ids": IDS, "windows": WINDOWS})
        connection.execute("ANALYZE driver_ledger")
    name = f"export_{secrets.token_hex(4)}"
    port = find_free_port()
    named = f"{one.postgres}&application_name={name}"
    return msgspec.structs.replace(one, postgres=named, api_port=port)


@contextmanager
def served(settings: Settings) -> Iterator[httpx.Client]:
    """Run the API; yield a client of it."""
    with api(to_environ(settings)):
        wait_for_health(settings.api_port)
        base = f"http://127.0.0.1:{settings.api_port}"
        with httpx.Client(base_url=base, timeout=DEADLINE) as http:
            yield http


def open_exports(settings: Settings) -> int:
    """Return the number of sessions of the API that read an export."""
    with psycopg.connect(settings.postgres.partition("&application_name")[0]) as connection:
        row = connection.execute(_OPEN, (name_of(settings),)).fetchone()
    assert row is not None
    return int(row[0])


def name_of(settings: Settings) -> str:
    """Return the name of the API's sessions."""
    return settings.postgres.rpartition("=")[2]


def test_all_rows_come_and_the_query_ends_with_the_client(large: Settings) -> None:
    """An export has every row once; one that is left, or only asked for by HEAD, leaves nothing."""
    with served(large) as http:
        lines = set(http.get("/windows/driver").content.splitlines())
        assert len(lines) == IDS * WINDOWS
        assert http.head("/windows/driver").headers["mobility-store"] == "postgres"
        until(lambda: open_exports(large), "no export after HEAD", lambda found: found == 0)
        with http.stream("GET", "/windows/driver") as response:
            parts = response.iter_raw()
            next(parts)
            assert open_exports(large) == 1
        until(lambda: open_exports(large), "no export of a client", lambda found: found == 0)


def test_a_third_export_and_other_requests(large: Settings) -> None:
    """Two clients that read slowly make a third export wait, and nothing else."""
    with (
        served(large) as http,
        http.stream("GET", "/windows/driver") as first,
        http.stream("GET", "/windows/driver?format=csv") as second,
    ):
        parts = [response.iter_raw() for response in (first, second)]
        assert all(map(next, parts))
        refused = http.get("/windows/driver?format=parquet")
        assert refused.status_code == 503
        assert refused.json()["type"] == "/problems/too-many-exports"
        assert refused.headers["retry-after"] == "10"
        assert http.get("/top/driver?limit=1").status_code == 200
        assert http.get("/health").status_code == 200


def test_a_stop_ends_exports(large: Settings) -> None:
    """The server does not wait for a client that reads slowly, and reports nothing."""
    with api(to_environ(large)) as process:
        wait_for_health(large.api_port)
        with httpx.stream(
            "GET", f"http://127.0.0.1:{large.api_port}/windows/driver", timeout=DEADLINE
        ) as response:
            parts = response.iter_raw()
            next(parts)
            process.send_signal(signal.SIGTERM)
            _, errors = process.communicate(timeout=DEADLINE)
            with pytest.raises(httpx.RemoteProtocolError):
                for _ in parts:
                    pass
    assert process.returncode == 0
    # After STOP_SECONDS it would print the stacks of what it has to end.
    assert "Traceback" not in errors
    assert "most recent call first" not in errors


@pytest.mark.parametrize("name", ["ndjson", "csv"])
def test_a_failure_of_postgres_cuts_it_off(large: Settings, name: str) -> None:
    """The client gets an error and not an end: a part must not look like the whole."""
    with served(large) as http, http.stream("GET", f"/windows/driver?format={name}") as response:
        parts = response.iter_raw()
        next(parts)
        with psycopg.connect(large.postgres.partition("&application_name")[0]) as connection:
            assert connection.execute(_TERMINATE, (name_of(large),)).fetchall()
        with pytest.raises(httpx.RemoteProtocolError):
            for _ in parts:
                pass
