"""The stores of release 0.1 are upgraded while they are read."""

import random
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import psycopg
import pytest
from psycopg import sql

from mobility.settings import Settings
from tests.chaos.conftest import ReportFigure, Rounds
from tests.chaos.exact import assert_exact
from tests.chaos.tenant import Tenant, one_day_ago
from tests.databases import query
from tests.sinks.earlier_schemas import make_schema_of_0_1

pytestmark = [
    pytest.mark.chaos,
    pytest.mark.parametrize("stores", [("postgres",)], indirect=True, ids=["postgres"]),
]

_WINDOWS_OF_ID = 200
_WINDOW = 300_000
_YEAR = 365 * 86_400_000

_FILL = sql.SQL(
    """
    INSERT INTO driver_ledger
    SELECT 'earlier ' || id, {start} + number * {window}, 1 + (id + number) % 3, 60, 70, 80,
        {start} + number * {window} + id, 'on_time', 0
    FROM generate_series(1, {ids}) AS id, generate_series(0, {windows} - 1) AS number;

    INSERT INTO driver_totals
        (id, trip_count, total_duration, total_distance, total_revenue, start_time)
    SELECT id, sum(trip_count), sum(total_duration), sum(total_distance), sum(total_revenue),
        min(start_time)
    FROM driver_ledger
    GROUP BY id
    """
)
_SUMS = "SELECT count(*), sum(trip_count), sum(total_duration), min(start_time) FROM "
_EARLIER = "WHERE id LIKE 'earlier %'"


class Reader:
    """Reads an id over and over, as an API does; `slowest` is the longest answer in seconds."""

    def __init__(self, settings: Settings) -> None:
        self.slowest = 0.0
        self.answers = 0
        self._settings = settings
        self._leaving = threading.Event()

    def run(self) -> None:
        """Read until the context of `reading` ends."""
        with psycopg.connect(self._settings.postgres, autocommit=True) as connection:
            while not self._leaving.wait(0.01):
                begun = time.monotonic()
                rows = [
                    connection.execute(statement).rowcount
                    for statement in (
                        "SELECT trip_count FROM driver_metrics WHERE id = 'earlier 7'",
                        "SELECT trip_count FROM driver_windows WHERE id = 'earlier 7'",
                    )
                ]
                assert rows == [1, _WINDOWS_OF_ID]
                self.slowest = max(self.slowest, time.monotonic() - begun)
                self.answers += 1

    @contextmanager
    def reading(self) -> Iterator[None]:
        """Read in a thread meanwhile; raises what that has failed with."""
        with ThreadPoolExecutor(1) as pool:
            running = pool.submit(self.run)
            try:
                yield
            finally:
                self._leaving.set()
            running.result()


def test_the_stores_of_release_0_1(
    tenant: Tenant, rounds: Rounds, rng: random.Random, report_figure: ReportFigure
) -> None:
    """Under load. No reader waits for long, no total changes, and new trips count."""
    settings, flow = tenant.settings, tenant.flow
    windows = {"quick": 200_000, "full": 20_000_000}[rounds]
    make_schema_of_0_1(settings)
    with psycopg.connect(settings.postgres) as connection:
        values = {
            "start": one_day_ago() - _YEAR,
            "window": _WINDOW,
            "windows": _WINDOWS_OF_ID,
            "ids": windows // _WINDOWS_OF_ID,
        }
        connection.execute(
            _FILL.format(**{name: sql.Literal(each) for name, each in values.items()})
        )
    before = query(settings, _SUMS + "driver_totals")
    latest = query(settings, "SELECT max(start_time) FROM driver_ledger")
    reader = Reader(settings)
    with tenant.producer(rng.random()) as producer, reader.reading():
        flow.start()
        flow.wait_until_read(2_000)
    assert flow.stop()[0] == 0
    flow.run_to_end()
    assert query(settings, f"{_SUMS} driver_totals {_EARLIER}") == before
    newest = "SELECT max(last_start_time) FROM driver_totals "
    assert query(settings, newest + _EARLIER) == latest
    windows_of_before = "SELECT count(*) FROM driver_ledger "
    assert query(settings, windows_of_before + _EARLIER) == [(windows,)]
    # What is left is what the log has.
    with psycopg.connect(settings.postgres) as connection:
        connection.execute("DELETE FROM driver_totals WHERE id LIKE 'earlier %'")
        connection.execute("TRUNCATE driver_ledger_earlier")
    assert_exact(settings, producer)
    report_figure(
        f"{windows:,} windows upgraded; of {reader.answers:,} answers meanwhile the slowest took "
        f"{reader.slowest:.2f} s"
    )
    assert reader.slowest < 5
