"""Questions over a month, answered from the ledger of Postgres alone and with its rollups."""

import time
from functools import partial
from statistics import median
from typing import Final, LiteralString

import httpx
import psycopg
from psycopg import sql

from audit.command_runner import ShowProgress
from benchmarks.benchmark_run import BenchmarkRun
from benchmarks.section import Section
from benchmarks.service import is_listening, run_service, wait_until
from benchmarks.tenant import empty_tenant, served_settings
from benchmarks.timed_command import BenchmarkError
from mobility.entities import BY_NAME, Entity
from mobility.rollups import DAY
from mobility.settings import Settings
from postgres.connection import Connection
from sinks.connecting import connect_authority
from sinks.ledger_maintenance import maintain_ledger
from sinks.partitions import create_partitions, week_of

_TENANT: Final = "bench_rollups"
_START: Final = 1_735_689_600_000
_DAYS: Final = 31
_WINDOWS_A_DAY: Final = 288
_IDS: Final[dict[Entity, tuple[int, int]]] = {
    # The number of ids, and of how many windows each has one: cells are busy, drivers are not.
    BY_NAME["h3"]: (300, 1),
    BY_NAME["driver"]: (30_000, 100),
}
_MONTH: Final = "from=2025-01-01T00:05:00Z&to=2025-01-31T23:55:00Z"
_QUESTIONS: Final = {
    "the first ten": "/top/{}?" + _MONTH,
    "percentiles of ids": "/summary/{}?" + _MONTH,
    "hours of the week": "/week/{}?" + _MONTH,
    "days of one id": "/metrics/{}/i7/windows?granularity=P1D&" + _MONTH,
    "hours of one id": "/metrics/{}/i7/windows?granularity=PT1H&" + _MONTH,
    "days of all ids, CSV": "/windows/{}?granularity=P1D&format=csv&" + _MONTH,
}
_ASKED: Final = 5
_TIMEOUT: Final = 60.0

_TEXT: Final = (
    f"Questions over {_DAYS} days, each asked {_ASKED} times in turn without rollups and with "
    "them: the medians of the time to the last byte. "
    "`h3` has 300 cells with a window in each five minutes, `driver` 30,000 ids with one in a "
    "hundred. The last rows are what the rollups take: the time to make them, and their size, by "
    "those of the ledger."
)

_LEDGER: Final[LiteralString] = """
    INSERT INTO {table}
        (id, window_start, trip_count, total_duration, total_distance, total_revenue, start_time,
        last_start_time, pane, generation)
    SELECT 'i' || number, at, 1, number, number, number, at, at, 'on_time', 0
    FROM generate_series(0, {windows}::bigint - 1) AS index
    CROSS JOIN LATERAL (SELECT {start} + index * 300000 AS at) AS window_start
    CROSS JOIN generate_series(1, {ids}) AS number
    WHERE (number * 7919 + index) % {gap} = 0
"""
_TOTALS: Final[LiteralString] = """
    INSERT INTO {totals}
        (id, trip_count, total_duration, total_distance, total_revenue, start_time, newest_window)
    SELECT
        id, sum(trip_count), sum(total_duration), sum(total_distance), sum(total_revenue),
        min(start_time), max(window_start)
    FROM {table} GROUP BY id
"""


_NUMBERS: Final[LiteralString] = """
    INSERT INTO sequence_numbers (entity, number, oldest_window, newest_window)
    VALUES ({entity}, 1, {start}, {end} - 300000)
"""
_SIZES: Final[LiteralString] = r"""
    SELECT
        sum(pg_total_relation_size(oid)) FILTER (
            WHERE relname LIKE %(entity)s || '\_ledger\_%%'
        )::bigint,
        sum(pg_total_relation_size(oid)) FILTER (
            WHERE relname IN (%(entity)s || '_hours', %(entity)s || '_days')
        )::bigint
    FROM pg_class
    WHERE relnamespace = current_schema()::regnamespace AND relkind = 'r'
"""


def measure(benchmark: BenchmarkRun) -> Section:
    """Fill Postgres, make rollups, and ask the API with and without them in turn."""
    settings = served_settings(benchmark.settings, _TENANT, "postgres")
    with empty_tenant(benchmark.settings, _TENANT):
        with benchmark.runner.step("rollups: a month of windows") as update:
            seconds = _fill(settings, update)
        with run_service(benchmark.runner, settings, "api"):
            wait_until(partial(is_listening, settings.api_port), "the API listens", _TIMEOUT)
            rows = [
                _asked(benchmark, settings, entity, what) for entity in _IDS for what in _QUESTIONS
            ]
        rows += _cost(settings, seconds)
    headings = ("entity", "what", "ledger", "rollups", "ratio")
    return Section("rollups", "Rollups", _TEXT, headings=headings, rows=tuple(rows))


def _asked(
    benchmark: BenchmarkRun, settings: Settings, entity: Entity, what: str
) -> tuple[str, ...]:
    """Ask a question in turn without and with rollups; return the row of it."""
    path = _QUESTIONS[what].format(entity.name)
    found: tuple[list[float], list[float]] = ([], [])
    with (
        benchmark.runner.step(f"rollups: {entity.name}, {what}"),
        httpx.Client(base_url=f"http://127.0.0.1:{settings.api_port}", timeout=_TIMEOUT) as http,
    ):
        answers = set()
        for _ in range(_ASKED):
            for is_rolled, times in enumerate(found):
                _let_find(settings, is_rolled=bool(is_rolled))
                began = time.perf_counter()
                answers.add(http.get(path).raise_for_status().content)
                times.append(time.perf_counter() - began)
    if len(answers) != 1:
        msg = f"{what} of {entity.name}: the answers with and without rollups differ"
        raise BenchmarkError(msg)
    ledger, rollups = (median(times) * 1_000 for times in found)
    return entity.name, what, f"{ledger:,.0f} ms", f"{rollups:,.0f} ms", f"{ledger / rollups:.1f}"


def _fill(settings: Settings, update: ShowProgress) -> dict[str, tuple[float, float]]:
    """Write windows and rollups; return the seconds of both by entity."""
    store = connect_authority(settings, "main")
    end = _START + _DAYS * DAY
    seconds = {}
    for entity, (ids, gap) in _IDS.items():
        store.record_progress(entity, 0, 1, end + DAY)
        weeks = {week_of(start) for start in range(_START, end, DAY)}
        with Connection.connect(settings.postgres) as connection:
            create_partitions(connection, entity, weeks)
        values = {
            "table": sql.Identifier(f"{entity.name}_ledger"),
            "totals": sql.Identifier(f"{entity.name}_totals"),
            "entity": sql.Literal(entity.name),
            "start": sql.Literal(_START),
            "end": sql.Literal(end),
            "windows": sql.Literal(_DAYS * _WINDOWS_A_DAY),
            "ids": sql.Literal(ids),
            "gap": sql.Literal(gap),
        }
        with psycopg.connect(settings.postgres, autocommit=True) as connection:
            update(f"windows of {entity.name}")
            began = time.perf_counter()
            connection.execute(sql.SQL(_LEDGER).format(**values))
            written = time.perf_counter() - began
            connection.execute(sql.SQL(_TOTALS).format(**values))
            connection.execute(sql.SQL(_NUMBERS).format(**values))
        update(f"rollups of {entity.name}")
        began = time.perf_counter()
        maintain_ledger(settings)
        seconds[entity.name] = written, time.perf_counter() - began
    store.close()
    with psycopg.connect(settings.postgres, autocommit=True) as connection:
        connection.execute("VACUUM ANALYZE")
    return seconds


def _let_find(settings: Settings, *, is_rolled: bool) -> None:
    """Let the API find the rollups, or none: it reads their names."""
    update = "UPDATE rollups SET name = ltrim(name, '-')"
    hide = "UPDATE rollups SET name = '-' || ltrim(name, '-')"
    with psycopg.connect(settings.postgres, autocommit=True) as connection:
        connection.execute(update if is_rolled else hide)


def _cost(settings: Settings, seconds: dict[str, tuple[float, float]]) -> list[tuple[str, ...]]:
    """Return the rows of what rollups take of time and of space."""
    rows: list[tuple[str, ...]] = []
    with psycopg.connect(settings.postgres, autocommit=True) as connection:
        for name, (written, made) in seconds.items():
            ((ledger, rollups),) = connection.execute(_SIZES, {"entity": name}).fetchall()
            rows.append(
                (name, "to write", f"{written:.1f} s", f"{made:.1f} s", f"{written / made:.1f}")
            )
            sizes = (f"{size / 2**20:,.0f} MiB" for size in (ledger, rollups))
            rows.append((name, "on disk", *sizes, f"{ledger / rollups:.1f}"))
    return rows
