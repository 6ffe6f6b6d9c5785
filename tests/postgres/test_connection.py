"""A server that takes a request and does not answer it."""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
import pytest

from mobility.settings import Settings
from postgres import connection as module
from postgres.connection import Connection, connect

pytestmark = pytest.mark.services


@contextmanager
def stopped_server(connection: Connection) -> Iterator[None]:
    """Stop the process of the server that serves a connection: it takes bytes, and sends none."""
    pid = connection.info.backend_pid
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


def test_a_server_that_sends_nothing_is_given_up(services: Settings) -> None:
    """The connection is closed then, and nothing that cleans up waits for the server again."""
    connection = connect(services.postgres, "test", answer_seconds=0.5)
    with (
        stopped_server(connection),
        pytest.raises(psycopg.OperationalError, match="has not answered a request for"),
        connection.transaction(),
    ):
        connection.execute("SELECT 1")
    assert connection.closed


def test_a_server_that_takes_no_more_bytes_is_given_up(services: Settings) -> None:
    """COPY sends without waiting, until the buffers on the way are full."""
    connection = connect(services.postgres, "test", answer_seconds=0.5)
    pid = connection.info.backend_pid
    connection.execute("CREATE TEMPORARY TABLE large (x text)")

    def send() -> None:
        with connection.cursor().copy("COPY large FROM STDIN") as copy:
            os.kill(pid, signal.SIGSTOP)
            for _ in range(1_000):
                copy.write("x" * 100_000 + "\n")

    with pytest.raises(psycopg.OperationalError, match="has not answered a request for"):
        send()
    os.kill(pid, signal.SIGCONT)
    assert connection.closed


def test_a_requested_stop_ends_the_wait(
    services: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where answers are waited for as long as they take."""
    monkeypatch.setattr(module, "STOP_SECONDS", 0.5)
    connection = connect(
        services.postgres, "test", answer_seconds=None, stop_requested=lambda: True
    )
    assert connection.execute("SELECT 1").fetchall() == [(1,)]
    with (
        stopped_server(connection),
        pytest.raises(psycopg.OperationalError, match="has not answered a request for"),
    ):
        connection.execute("SELECT 1")


def test_a_long_result_is_no_silence(services: Settings) -> None:
    """Each byte counts: the rows take twice as long as the server may be silent."""
    with connect(services.postgres, "test", answer_seconds=2.0) as connection:
        slow = "SELECT repeat('x', 20000), pg_sleep(0.2)::text FROM generate_series(1, 20)"
        assert len(connection.execute(slow).fetchall()) == 20


def test_a_statement_may_take_as_long_as_it_takes(services: Settings) -> None:
    """The bound is suspended for it, and in force again afterwards."""
    with connect(services.postgres, "test", answer_seconds=0.5) as connection:
        with connection.without_bound():
            connection.execute("SELECT pg_sleep(1)")
        with pytest.raises(psycopg.OperationalError):
            connection.execute("SELECT pg_sleep(60)")


def test_silence_is_known_while_it_lasts(
    services: Settings, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """For the status; after some seconds the log names the server, without its password."""
    monkeypatch.setattr(module, "_LOGGED_SECONDS", 0.2)
    connection = connect(services.postgres, "test", answer_seconds=1.0)
    connection.execute("SELECT 1")
    assert connection.silent_since is None
    with stopped_server(connection), pytest.raises(psycopg.OperationalError):
        connection.execute("SELECT 1")
    assert connection.silent_since is None
    (line,) = caplog.messages
    assert line.startswith("Postgres at postgresql://mobility:***@")
    assert "has not answered for" in line
