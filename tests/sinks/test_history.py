"""The history of ids in Postgres, which are locked while it is used."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import psycopg
import pytest

from mobility.entities import BY_NAME
from mobility.settings import Settings
from sinks.history import History, PostgresHistory
from sinks.postgres import connect_postgres
from sinks.postgres_session import open_postgres_session
from tests.waiting import until

pytestmark = pytest.mark.services

DRIVER = BY_NAME["driver"]
Build = Any


def is_blocked(connection: psycopg.Connection[tuple[object, ...]]) -> bool:
    """Return whether a session that uses the totals of this schema waits for a lock."""
    rows = connection.execute(
        "SELECT FROM pg_locks AS waiting JOIN pg_locks AS uses USING (pid) "
        "WHERE NOT waiting.granted AND uses.relation = 'driver_totals'::regclass"
    ).fetchall()
    return bool(rows)


def test_ids_are_locked_while_their_history_is_used(
    settings: Settings, window: Build, frame: Build
) -> None:
    """A window that the history lacks is committed after the refill, and so is in Redis later."""
    store = connect_postgres(settings, "main")
    history = PostgresHistory(open_postgres_session(settings), settings)
    store.apply(DRIVER, frame(*(window(name, at=at) for name in ("d1", "d2") for at in (0, 1))))
    with ThreadPoolExecutor(1) as pool, psycopg.connect(settings.postgres) as watcher:
        writing = []

        def use(known: History) -> int:
            writing.append(pool.submit(store.apply, DRIVER, frame(window("d1", at=2))))
            until(lambda: is_blocked(watcher), "the writer to wait for the lock")
            assert not writing[0].done()
            return known.windows.height

        assert history.lock_and_read(DRIVER, ["d1", "d2"], use) == 4
        assert writing[0].result().applied == 1
    assert store.totals(DRIVER)["trip_count"].to_list() == [3, 2]
    for each in (history, store):
        each.close()
