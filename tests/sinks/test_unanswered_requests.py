"""A Postgres that takes requests and does not answer: it is waited for, but not at a stop."""

import os
import signal
import socket
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from typing import Any

import psycopg
import pytest

from mobility.entities import BY_NAME
from mobility.settings import Settings
from postgres import connection as connections
from postgres.connection import Connection
from sinks import connection_pool, postgres_session
from sinks.fencing import take_fencing_token
from sinks.postgres import PostgresStore, open_session
from sinks.postgres_session import open_postgres_session
from sinks.store import StoreError
from tests.waiting import DEADLINE, until

pytestmark = pytest.mark.services

DRIVER = BY_NAME["driver"]
Build = Any


@contextmanager
def stopped(pids: list[int]) -> Iterator[None]:
    """Stop processes of the server: they take requests, and answer none."""
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGCONT)


def test_a_batch_is_written_over_another_connection(
    settings: Settings, window: Build, frame: Build, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Once the server was silent for too long; meanwhile the session says what it waits for."""
    monkeypatch.setattr(postgres_session, "ANSWER_SECONDS", 3.0)
    monkeypatch.setattr(postgres_session, "_SHOWN_SECONDS", 0.5)
    session = open_session(settings, "main")
    store = PostgresStore(session)
    assert session.waits_for() is None
    pid = session.run(lambda connection: connection.info.backend_pid)
    with stopped([pid]), ThreadPoolExecutor(1) as pool:
        writing = pool.submit(store.apply, DRIVER, frame(window()))
        reason = until(session.waits_for, "what is waited for")
        assert reason is not None
        assert "has not answered a request for" in reason
        assert "MOBILITY" not in reason
        assert writing.result().applied == 1
    assert session.waits_for() is None
    store.close()


def test_a_stop_does_not_wait_for_the_answer(
    settings: Settings, window: Build, frame: Build, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each write ends with an error, and is written again after the next start."""
    monkeypatch.setattr(connections, "STOP_SECONDS", 0.5)
    stop = threading.Event()
    session = open_session(settings, "main", stop_requested=stop.is_set)
    store, writers = PostgresStore(session), session.connections

    def occupy(connection: Connection) -> int:
        all_open.wait(DEADLINE)
        return connection.info.backend_pid

    all_open = threading.Barrier(writers)
    with ThreadPoolExecutor(writers) as pool:
        pids = list(pool.map(lambda _: session.run(occupy), range(writers)))
        with stopped(pids):
            writing = [
                pool.submit(store.apply, DRIVER, frame(window(f"d{n}"))) for n in range(writers)
            ]
            stop.set()
            for each in writing:
                with pytest.raises(StoreError, match="a stop was requested"):
                    each.result(DEADLINE)
    store.close()


def test_a_stop_does_not_wait_for_a_free_connection(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another thread has it, and does not give it back."""
    monkeypatch.setattr(connection_pool, "STOP_SECONDS", 0.5)
    session = open_postgres_session(settings, stop_requested=lambda: True)

    def occupy(_: Connection) -> None:
        with pytest.raises(StoreError, match="no connection became free"):
            session.run(lambda connection: connection.execute("SELECT 1"))

    session.run(occupy)
    session.close()


def test_a_stop_during_the_start() -> None:
    """The server takes the connection and says nothing; the start ends at its first failure."""
    with closing(socket.create_server(("127.0.0.1", 0))) as silent:
        url = f"postgresql://hub@127.0.0.1:{silent.getsockname()[1]}/hub"
        settings = Settings(postgres=url, stores=("postgres",))
        with pytest.raises(StoreError, match="a stop was requested"):
            take_fencing_token(settings, "this test", stop_requested=lambda: True)


def test_it_is_closed_by_its_last_user(settings: Settings) -> None:
    """Until then the others go on, over connections that are opened once."""
    session = open_postgres_session(settings)
    pid = session.run(lambda connection: connection.info.backend_pid)
    other = session.share()
    session.close()
    assert other.run(lambda connection: connection.info.backend_pid) == pid
    other.close()
    with psycopg.connect(settings.postgres, autocommit=True) as connection:
        query = "SELECT count(*) FROM pg_stat_activity WHERE pid = %s"
        until(lambda: connection.execute(query, [pid]).fetchall() == [(0,)], "its end")
