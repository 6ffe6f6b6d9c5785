"""The latency of a day's series with 20 million windows of a million ids in Postgres."""

import asyncio
from functools import partial
from random import Random
from statistics import median
from typing import Final, LiteralString

import httpx
import psycopg

from audit.command_runner import ShowProgress
from benchmarks.benchmark_run import BenchmarkRun
from benchmarks.http_load import LoadResult, latency_ms, run_load
from benchmarks.section import Section, Target
from benchmarks.service import is_listening, run_service, wait_until
from benchmarks.tenant import empty_tenant, served_settings
from benchmarks.timed_command import BenchmarkError
from mobility.entities import BY_NAME
from mobility.settings import Settings
from postgres.connection import Connection
from sinks.connecting import connect_authority
from sinks.partitions import create_partitions, week_of

_TENANT: Final = "bench_series"
_ENTITY: Final = BY_NAME["passenger"]
_IDS: Final = 1_000_000
_WINDOWS: Final = 20
_DISTANCE_MS: Final = 14 * 300_000
_NOON: Final = 1_735_732_800_000
_DAY: Final = "from=2025-01-01T12:00:00Z&to=2025-01-02T12:00:00Z"
_ASKED: Final = 20_000
_CONNECTIONS: Final = (1, 16)
_SECONDS: Final = 10.0
_MAX_P99_MS: Final = 50.0
_TIMEOUT: Final = 30.0

_TEXT: Final = (
    f"`GET /metrics/passenger/<id>/windows` of a day, from a Postgres that holds "
    f"{_IDS * _WINDOWS:,} windows of {_IDS:,} ids, {_WINDOWS} each, in the order of time; "
    f"{_ASKED:,} random ids; each connection sends the next request after each response. No query "
    "scanned a whole table."
)

_TOTALS: Final[LiteralString] = """
    INSERT INTO passenger_totals
        (id, trip_count, total_duration, total_distance, total_revenue, start_time,
        last_start_time, newest_window)
    SELECT
        'p' || to_char(number, 'FM0000000'), %(windows)s, 1, 1, 1, %(start)s, %(start)s,
        %(start)s + (%(windows)s - 1) * %(distance)s
    FROM generate_series(1, %(ids)s) AS number
"""
_LEDGER: Final[LiteralString] = """
    INSERT INTO passenger_ledger
        (id, window_start, trip_count, total_duration, total_distance, total_revenue, start_time,
        last_start_time, pane, generation)
    SELECT id, %(start)s + %(index)s * %(distance)s, 1, 1, 1, 1, %(start)s, %(start)s, 'on_time', 0
    FROM passenger_totals
"""
_SCANS: Final[LiteralString] = r"""
    SELECT coalesce(sum(seq_scan), 0)::int
    FROM pg_stat_user_tables
    WHERE schemaname = current_schema()
        AND (relname = 'passenger_totals' OR relname LIKE 'passenger\_ledger\_%')
"""


def measure(benchmark: BenchmarkRun) -> Section:
    """Fill Postgres, and send requests to the API."""
    settings = served_settings(benchmark.settings, _TENANT, "postgres")
    with empty_tenant(benchmark.settings, _TENANT):
        with benchmark.runner.step(f"series: {_IDS * _WINDOWS:,} windows") as update:
            _fill(settings, update)
        before = _scans(settings)
        with run_service(benchmark.runner, settings, "api"):
            wait_until(partial(is_listening, settings.api_port), "the API listens", _TIMEOUT)
            _check(settings)
            runs = _runs(benchmark, settings)
        if (scans := _scans(settings) - before) > 0:
            msg = f"Postgres scanned a whole table {scans} times"
            raise BenchmarkError(msg)
    return _section(runs)


Runs = dict[int, list[LoadResult]]
"""The runs of each number of connections."""


def _runs(benchmark: BenchmarkRun, settings: Settings) -> Runs:
    requests = [_request(settings.api_port, number) for number in _numbers()]
    runs: Runs = {}
    for turn in range(1, benchmark.repeat + 1):
        for connections in _CONNECTIONS:
            with benchmark.runner.step(f"series, {connections} connections, {turn}"):
                run = asyncio.run(run_load(settings.api_port, requests, connections, _SECONDS))
            runs.setdefault(connections, []).append(run)
    return runs


def _section(runs: Runs) -> Section:
    rows, targets = [], []
    for connections, each in runs.items():
        rate = median(run.rate for run in each)
        middle, slowest = latency_ms(each, 0.5), latency_ms(each, 0.99)
        rows.append((f"{connections}", f"{rate:,.0f}", f"{middle:.1f}", f"{slowest:.1f}"))
        what = f"p99 of a day's series, ms, {connections} connections"
        targets.append(Target(what, slowest, _MAX_P99_MS, most=True))
    headings = ("connections", "requests/s", "p50, ms", "p99, ms")
    return Section(
        "series", "Series", _TEXT, headings=headings, rows=tuple(rows), targets=tuple(targets)
    )


def _fill(settings: Settings, update: ShowProgress) -> None:
    """Write totals and windows, and then create the indexes, which is faster."""
    store = connect_authority(settings, "main")
    store.record_progress(_ENTITY, 0, 1, _NOON + _WINDOWS * _DISTANCE_MS)
    store.close()
    values: dict[str, int] = {
        "ids": _IDS,
        "windows": _WINDOWS,
        "start": _NOON,
        "distance": _DISTANCE_MS,
    }
    weeks = {week_of(_NOON + index * _DISTANCE_MS) for index in range(_WINDOWS)}
    with Connection.connect(settings.postgres) as connection:
        create_partitions(connection, _ENTITY, weeks)
    with psycopg.connect(settings.postgres, autocommit=True) as connection:
        connection.execute("ALTER TABLE passenger_ledger DROP CONSTRAINT passenger_ledger_pkey")
        connection.execute(_TOTALS, values)
        for index in range(_WINDOWS):
            update(f"{index * _IDS:,} windows")
            connection.execute(_LEDGER, values | {"index": index})
        update("indexes")
        connection.execute("ALTER TABLE passenger_ledger ADD PRIMARY KEY (id, window_start)")
        connection.execute("VACUUM ANALYZE passenger_totals, passenger_ledger")
        # The scans of this session are counted now, and so not among those of the API.
        connection.execute("SELECT pg_stat_force_next_flush()")


def _scans(settings: Settings) -> int:
    with psycopg.connect(settings.postgres, autocommit=True) as connection:
        ((scans,),) = connection.execute(_SCANS).fetchall()
    return int(scans)


def _numbers() -> list[int]:
    return Random(1).sample(range(1, _IDS + 1), _ASKED)  # noqa: S311 - not for security


def _path(number: int) -> str:
    return f"/metrics/{_ENTITY.name}/p{number:07}/windows?{_DAY}"


def _request(port: int, number: int) -> bytes:
    return f"GET {_path(number)} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n\r\n".encode()


def _check(settings: Settings) -> None:
    """Raise BenchmarkError if a response does not have all windows of the day."""
    response = httpx.get(f"http://127.0.0.1:{settings.api_port}{_path(1)}", timeout=_TIMEOUT)
    found = len(response.raise_for_status().json()["items"])
    if found != _WINDOWS:
        msg = f"the API knows {found} windows of an id that has {_WINDOWS}"
        raise BenchmarkError(msg)
