"""How long the series of a day takes where Postgres holds 20 million windows of a million ids."""

import asyncio
from functools import partial
from random import Random
from statistics import median
from typing import Final, LiteralString

import httpx
import msgspec
import psycopg

from audit.steps import Update, free_port
from benchmarks.bench import Bench
from benchmarks.load import Answered, loaded, milliseconds
from benchmarks.running import BenchmarkError
from benchmarks.section import Section, Target
from benchmarks.service import listens, running, wait_until
from benchmarks.tenant import emptied, tenant
from mobility.entities import BY_NAME
from mobility.settings import Settings
from sinks.store_pair import connect_stores

_TENANT: Final = "bench_series"
_ENTITY: Final = BY_NAME["passenger"]
_IDS: Final = 1_000_000
_WINDOWS: Final = 20
_APART: Final = 14 * 300_000
_NOON: Final = 1_735_732_800_000
_DAY: Final = "from=2025-01-01T12:00:00Z&to=2025-01-02T12:00:00Z"
_ASKED: Final = 20_000
_CONNECTIONS: Final = (1, 16)
_SECONDS: Final = 10.0
_MOST: Final = 50.0
_PATIENCE: Final = 30.0

_TEXT: Final = (
    f"`GET /metrics/passenger/<id>/windows` over a day, from a Postgres that holds "
    f"{_IDS * _WINDOWS:,} windows of {_IDS:,} ids, {_WINDOWS} each, in the order of time; "
    f"{_ASKED:,} random ids, each connection asking again once it is answered. No question read a "
    "table from end to end."
)

_TOTALS: Final[LiteralString] = """
    INSERT INTO passenger_totals
        (id, trip_count, total_duration, total_distance, total_revenue, start_time,
        last_start_time)
    SELECT 'p' || to_char(number, 'FM0000000'), %(windows)s, 1, 1, 1, %(start)s, %(start)s
    FROM generate_series(1, %(ids)s) AS number
"""
_LEDGER: Final[LiteralString] = """
    INSERT INTO passenger_ledger
        (id, window_start, trip_count, total_duration, total_distance, total_revenue, start_time,
        last_start_time, pane, generation)
    SELECT id, %(start)s + %(place)s * %(apart)s, 1, 1, 1, 1, %(start)s, %(start)s, 'on_time', 0
    FROM passenger_totals
"""
_SCANS: Final[LiteralString] = """
    SELECT coalesce(sum(seq_scan), 0)::int
    FROM pg_stat_user_tables
    WHERE schemaname = current_schema() AND relname IN ('passenger_totals', 'passenger_ledger')
"""


def measure(bench: Bench) -> Section:
    """Fill Postgres, and ask the API."""
    settings = msgspec.structs.replace(
        tenant(bench.settings, _TENANT), stores=("postgres",), api_port=free_port(), api_rate=0
    )
    with emptied(bench.settings, _TENANT):
        with bench.commands.step(f"series: {_IDS * _WINDOWS:,} windows") as update:
            _fill(settings, update)
        before = _scans(settings)
        with running(bench.commands, settings, "api"):
            wait_until(partial(listens, settings.api_port), "the API listens", _PATIENCE)
            _check(settings)
            runs = _runs(bench, settings)
        if (scans := _scans(settings) - before) > 0:
            msg = f"Postgres read a whole table {scans} times"
            raise BenchmarkError(msg)
    return _section(runs)


Runs = dict[int, list[Answered]]


def _runs(bench: Bench, settings: Settings) -> Runs:
    requests = [_request(settings.api_port, number) for number in _numbers()]
    runs: Runs = {}
    for turn in range(1, bench.repeat + 1):
        for connections in _CONNECTIONS:
            with bench.commands.step(f"series, {connections} connections, {turn}"):
                run = asyncio.run(loaded(settings.api_port, requests, connections, _SECONDS))
            runs.setdefault(connections, []).append(run)
    return runs


def _section(runs: Runs) -> Section:
    rows, targets = [], []
    for connections, each in runs.items():
        rate = median(run.rate for run in each)
        middle, slowest = milliseconds(each, 0.5), milliseconds(each, 0.99)
        rows.append((f"{connections}", f"{rate:,.0f}", f"{middle:.1f}", f"{slowest:.1f}"))
        what = f"p99 of a day's series, ms, {connections} connections"
        targets.append(Target(what, slowest, _MOST, most=True))
    headings = ("connections", "requests/s", "p50, ms", "p99, ms")
    return Section(
        "series", "Series", _TEXT, headings=headings, rows=tuple(rows), targets=tuple(targets)
    )


def _fill(settings: Settings, update: Update) -> None:
    """Write totals and windows; indexes come afterwards, which is sooner done."""
    store = connect_stores(settings, "main")
    store.record_progress(_ENTITY, 0, 1, _NOON + _WINDOWS * _APART)
    store.close()
    values: dict[str, int] = {"ids": _IDS, "windows": _WINDOWS, "start": _NOON, "apart": _APART}
    with psycopg.connect(settings.postgres, autocommit=True) as connection:
        connection.execute("ALTER TABLE passenger_ledger DROP CONSTRAINT passenger_ledger_pkey")
        connection.execute(_TOTALS, values)
        for place in range(_WINDOWS):
            update(f"{place * _IDS:,} windows")
            connection.execute(_LEDGER, values | {"place": place})
        update("indexes")
        connection.execute("ALTER TABLE passenger_ledger ADD PRIMARY KEY (id, window_start)")
        connection.execute("VACUUM ANALYZE passenger_totals, passenger_ledger")
        # What this session has read is counted now, and not among what the API reads.
        connection.execute("SELECT pg_stat_force_next_flush()")


def _scans(settings: Settings) -> int:
    with psycopg.connect(settings.postgres, autocommit=True) as connection:
        ((scans,),) = connection.execute(_SCANS).fetchall()
    return int(scans)


def _numbers() -> list[int]:
    return Random(1).sample(range(1, _IDS + 1), _ASKED)  # noqa: S311 - any ids will do


def _path(number: int) -> str:
    return f"/metrics/{_ENTITY.name}/p{number:07}/windows?{_DAY}"


def _request(port: int, number: int) -> bytes:
    return f"GET {_path(number)} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n\r\n".encode()


def _check(settings: Settings) -> None:
    """Raise BenchmarkError where an answer has not all windows of the day."""
    response = httpx.get(f"http://127.0.0.1:{settings.api_port}{_path(1)}", timeout=_PATIENCE)
    found = len(response.raise_for_status().json()["items"])
    if found != _WINDOWS:
        msg = f"the API knows {found} windows of an id that has {_WINDOWS}"
        raise BenchmarkError(msg)
