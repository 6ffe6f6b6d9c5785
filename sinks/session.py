"""A connection to Postgres that comes back after a restart of the server."""

import threading
from collections.abc import Callable
from typing import Final, TypeVar

import psycopg

from mobility.settings import Settings, masked
from sinks.migrations import Connection, migrate
from sinks.scripts import text
from sinks.store import WRITERS, StoreError, Writer, refuse_fingerprint, refuse_writer

Wait = Callable[[float], object]
"""Waits some seconds; tests pass one that returns at once."""

pause: Final[Wait] = threading.Event().wait

T = TypeVar("T")

_DELAYS: Final = (0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 5.0, 5.0)
_LOST: Final = (psycopg.OperationalError, psycopg.InterfaceError)


class Session:
    """Runs transactions, over a new connection where the old one is lost."""

    def __init__(self, connect: Callable[[], Connection], name: str, wait: Wait = pause) -> None:
        """Connect with `connect` at first use and after a loss; `name` stands in messages."""
        self._connect = connect
        self._name = name
        self._wait = wait
        self._connection: Connection | None = None

    def run(self, work: Callable[[Connection], T]) -> T:
        """Return what `work` returns, which runs in one transaction.

        It runs again after a lost connection or a deadlock, also where only the answer to its
        commit was lost: it must be harmless twice. Raises StoreError after some 16 seconds of
        that, and at once for whatever another attempt would not change.
        """
        for delay in (*_DELAYS, None):
            try:
                return self._attempt(work)
            except _LOST as error:
                self.close()
                if delay is None:
                    msg = (
                        f"Postgres at {self._name} does not answer: {error}".strip()
                        + "\nIs it running, and is MOBILITY_POSTGRES right?"
                    )
                    raise StoreError(msg) from error
                self._wait(delay)
            except psycopg.Error as error:
                msg = f"Postgres at {self._name} refused a statement: {error}"
                raise StoreError(msg) from error
        raise AssertionError  # the last attempt returns or raises

    def close(self) -> None:
        """Close the connection, if there is one."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _attempt(self, work: Callable[[Connection], T]) -> T:
        if self._connection is None:
            self._connection = self._connect()
        with self._connection.transaction():
            return work(self._connection)


def open_session(
    settings: Settings, writer: Writer | None = None, *, wait: Wait = pause
) -> Session:
    """Return a session on the store of these settings, its schema up to date.

    With a `writer` the session holds that flow's lock. Raises StoreError where the store was filled
    with other settings, another flow writes to it, or it does not answer.
    """
    name = masked(settings.postgres)

    def connect() -> Connection:
        connection = psycopg.connect(
            settings.postgres,
            autocommit=True,
            # A plan made for an empty ledger would be kept while it grows.
            prepare_threshold=None,
            client_encoding="UTF8",
            connect_timeout=10,
            tcp_user_timeout=30_000,
            application_name=f"mobility-hub {writer or 'reader'}",
        )
        connection.isolation_level = psycopg.IsolationLevel.READ_COMMITTED  # see reconcile.sql
        try:
            if writer is not None:
                _claim(connection, writer, name)
            with connection.transaction():
                migrate(connection)
                _sign(connection, settings, name)
            connection.execute(text("sql", "session.sql"))
        except BaseException:
            connection.close()
            raise
        return connection

    session = Session(connect, name, wait)
    session.run(lambda connection: connection.execute("SELECT 1"))
    return session


def _claim(connection: Connection, writer: Writer, name: str) -> None:
    ours = {"writer": WRITERS.index(writer) + 1}
    connection.execute(text("sql", "claim.sql"), ours)
    for (other,) in connection.execute(text("sql", "writers.sql"), ours):
        refuse_writer(f"Postgres at {name}", WRITERS[int(str(other)) - 1], writer)


def _sign(connection: Connection, settings: Settings, name: str) -> None:
    ours = {
        "fingerprint": settings.fingerprint,
        "answers": settings.answers,
        "window_ms": str(settings.window_ms),
    }
    with connection.cursor() as cursor:
        cursor.executemany(
            "INSERT INTO meta (name, value) VALUES (%s, %s) ON CONFLICT (name) DO NOTHING",
            list(ours.items()),
        )
    held = {str(key): str(value) for key, value in connection.execute("SELECT * FROM meta")}
    if held["fingerprint"] != settings.fingerprint:
        refuse_fingerprint(f"Postgres at {name}", held["fingerprint"], held["answers"], settings)
