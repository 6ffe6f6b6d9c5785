"""A Postgres that is read-only: waited for during a run, refused at a start."""

import logging
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import msgspec
import psycopg
import pytest

from mobility.entities import BY_NAME
from mobility.settings import Settings
from postgres.connection import Connection
from sinks.fencing import take_fencing_token
from sinks.postgres import connect_postgres
from sinks.postgres_session import open_postgres_session
from sinks.store import StoreError, StoreRefusedError
from tests.databases import new_database, set_read_only
from tests.waiting import DEADLINE

pytestmark = pytest.mark.services

DRIVER = BY_NAME["driver"]
Build = Any


@pytest.fixture
def own(services: Settings) -> Iterator[Settings]:
    """Return settings with a database of their own."""
    with new_database(services) as url:
        yield msgspec.structs.replace(services, postgres=url, stores=("postgres",))


def test_a_failover_is_waited_for(
    services: Settings, own: Settings, window: Build, frame: Build, caplog: pytest.LogCaptureFixture
) -> None:
    """The sessions end, the next ones can't write for a moment, and then the batch is written."""
    has_slept = threading.Event()
    store = connect_postgres(own, "main", sleep=lambda _: has_slept.set())
    set_read_only(services, own.postgres, True)
    with caplog.at_level(logging.WARNING), ThreadPoolExecutor(1) as pool:
        writing = pool.submit(store.apply, DRIVER, frame(window()))
        try:
            assert has_slept.wait(DEADLINE)
        finally:
            set_read_only(services, own.postgres, False)
        assert writing.result().applied == 1
    assert "answers again" in caplog.text
    store.close()


def test_a_session_that_becomes_read_only_is_replaced(settings: Settings) -> None:
    """The server refuses the write (25006); the transaction runs again over another connection."""
    session = open_postgres_session(settings, sleep=lambda _: None)
    pids: list[object] = []

    def write(connection: Connection) -> None:
        pids.append(connection.info.backend_pid)
        if len(pids) == 1:
            connection.execute("SET TRANSACTION READ ONLY")
        connection.execute("UPDATE fence SET token = 7")

    session.run(write)
    session.close()
    assert len(set(pids)) == 2
    with psycopg.connect(settings.postgres) as connection:
        assert connection.execute("SELECT token FROM fence").fetchall() == [(7,)]


def test_it_is_refused_at_a_start(services: Settings, own: Settings) -> None:
    """After a few seconds, in which a failover may end; the message has the remedy."""
    set_read_only(services, own.postgres, True)
    sleeps: list[float] = []
    with pytest.raises(StoreError, match="default_transaction_read_only") as error:
        open_postgres_session(own, sleep=sleeps.append)
    assert "Name the primary in MOBILITY_POSTGRES" in str(error.value)
    assert sum(sleeps) < 20
    with pytest.raises(StoreRefusedError, match="Name the primary"):
        take_fencing_token(own, "this test")
