"""A Postgres connection that is opened again after it was lost, and the transactions over it."""

import time
from collections.abc import Callable
from typing import Final, TypeVar

import psycopg

from mobility.settings import Settings, masked
from postgres.connection import Connection, connect
from postgres.server_check import UnsuitableServerError, check_connection
from sinks.migrations import migrate
from sinks.retry import (
    RETRY_SECONDS,
    START_RETRY_SECONDS,
    RetryPolicy,
    Sleep,
    StopRequested,
    no_stop,
)
from sinks.scripts import text
from sinks.store import (
    FLOWS,
    WRITERS,
    StoreError,
    StoreRefusedError,
    WriterRole,
    refuse_backfill,
    refuse_fencing_token,
    refuse_fingerprint,
    refuse_writer,
)

T = TypeVar("T")

_READ_ONLY: Final = psycopg.errors.ReadOnlySqlTransaction
_TRANSIENT: Final = (psycopg.OperationalError, psycopg.InterfaceError, _READ_ONLY)
_PERMANENT: Final = psycopg.errors.DiskFull
_ROLLED_BACK: Final = (psycopg.errors.LockNotAvailable, psycopg.errors.DeadlockDetected)
"""Errors that end the transaction and leave the connection usable."""


class PostgresSession:
    """Runs transactions, over a new connection where the old one was lost."""

    def __init__(
        self,
        connect: Callable[[], Connection],
        name: str,
        fence: int | None = None,
        *,
        sleep: Sleep = time.sleep,
        stop_requested: StopRequested = no_stop,
    ) -> None:
        """Connect with `connect` at first use and after a loss; messages name the store `name`.

        With a fencing token `fence` each transaction first checks that no higher token was taken,
        and none can be taken until the transaction ends.
        """
        self._connect = connect
        self.name = name
        self._fence = fence
        self._retry = RetryPolicy(name, _remedy, sleep=sleep, stop_requested=stop_requested)
        self._connection: Connection | None = None

    def run(self, work: Callable[[Connection], T], retry_seconds: float = RETRY_SECONDS) -> T:
        """Return what `work` returns, which runs in one transaction and must be idempotent.

        It runs again after a lost connection, a deadlock or a lock timeout, also where the
        transaction was committed and only the reply was lost, and on a server that is read-only:
        after a failover it is the primary again, or another one is. Raises StoreError where that
        goes on for `retry_seconds`, and at once for an error that no retry would fix.
        """
        try:
            return self._retry.run(lambda: self._run_once(work), retry_seconds)
        except psycopg.Error as error:
            msg = f"{self.name} refused a statement: {error}"
            raise StoreError(msg) from error

    def close(self) -> None:
        """Close the connection, if there is one."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _run_once(self, work: Callable[[Connection], T]) -> T:
        if self._connection is None:
            self._connection = self._connect()
        try:
            with self._connection.transaction():
                self._check_fencing_token(self._connection)
                return work(self._connection)
        except _TRANSIENT as error:
            if not isinstance(error, _ROLLED_BACK):
                self.close()
            raise

    def _check_fencing_token(self, connection: Connection) -> None:
        if self._fence is None:
            return
        cursor = connection.execute(text("sql", "check_fencing_token.sql"))
        cursor.nextset()
        ((token, holder),) = cursor.fetchall()
        if int(str(token)) > self._fence:
            refuse_fencing_token(self.name, str(token), str(holder), self._fence)


def _remedy(error: Exception) -> str | None:
    if isinstance(error, psycopg.errors.LockNotAvailable):
        return "Another session holds a lock on its tables: see pg_stat_activity and pg_locks."
    if isinstance(error, _READ_ONLY):
        return (
            "It takes no writes. Name the primary in MOBILITY_POSTGRES (of several hosts, "
            "`target_session_attrs=read-write` takes it), or set default_transaction_read_only = "
            "off for the server, the database and the user."
        )
    if isinstance(error, _TRANSIENT) and not isinstance(error, _PERMANENT):
        return "Is it running, and is MOBILITY_POSTGRES right?"
    return None


def open_postgres_session(
    settings: Settings,
    writer: WriterRole | None = None,
    *,
    sleep: Sleep = time.sleep,
    stop_requested: StopRequested = no_stop,
    retry_seconds: float = START_RETRY_SECONDS,
) -> PostgresSession:
    """Return a connected session on the Postgres of these settings, its schema migrated.

    With a `writer` the session holds the advisory lock of that role, and a flow's transactions
    check its fencing token. Raises StoreError where the store was filled with other settings,
    another flow writes to it, it is not one that can be used (postgres/server_check.py), or it does
    not answer for `retry_seconds`.
    """
    name = f"Postgres at {masked(settings.postgres)}"

    def open_connection() -> Connection:
        connection = connect(settings.postgres, writer or "reader", answer_seconds=None)
        try:
            _check_server(connection, settings)
            _check_writable(connection)
            connection.isolation_level = psycopg.IsolationLevel.READ_COMMITTED  # see reconcile.sql
            connection.execute(text("sql", "prepare_session.sql"))
            if writer is not None:
                _acquire_writer_lock(connection, writer, name)
            with connection.transaction():
                migrate(connection)
                _initialize(connection, settings, name)
        except BaseException:
            connection.close()
            raise
        return connection

    fence = settings.fence if writer in FLOWS else None
    session = PostgresSession(
        open_connection, name, fence, sleep=sleep, stop_requested=stop_requested
    )
    try:
        session.run(lambda connection: connection.execute("SELECT 1"), retry_seconds)
    except StoreError:
        session.close()
        raise
    return session


def _check_server(connection: Connection, settings: Settings) -> None:
    try:
        check_connection(connection, settings.postgres)
    except UnsuitableServerError as error:
        raise StoreRefusedError(str(error)) from error


def _check_writable(connection: Connection) -> None:
    query = "SELECT pg_is_in_recovery(), current_setting('transaction_read_only')"
    ((in_recovery, read_only),) = connection.execute(query).fetchall()
    if in_recovery:
        msg = "it is a standby in recovery, which is read-only"
        raise _READ_ONLY(msg)
    if read_only == "on":
        msg = "its transactions are read-only (default_transaction_read_only)"
        raise _READ_ONLY(msg)


def _acquire_writer_lock(connection: Connection, writer: WriterRole, name: str) -> None:
    params = {"writer": WRITERS.index(writer) + 1, "flows": len(FLOWS)}
    if writer == "backfill":
        try:
            connection.execute(text("sql", "acquire_backfill_lock.sql"), params)
        except psycopg.errors.LockNotAvailable:
            refuse_backfill(name)
        return
    connection.execute(text("sql", "acquire_flow_lock.sql"), params)
    for (other,) in connection.execute(text("sql", "select_other_flows.sql"), params):
        refuse_writer(name, WRITERS[int(str(other)) - 1], writer)


def _initialize(connection: Connection, settings: Settings, name: str) -> None:
    """Store the fingerprint where there is none yet; refuse a store that has another one."""
    rows = {
        "fingerprint": settings.fingerprint,
        "answers": settings.answers,
        "window_ms": str(settings.window_ms),
    }
    with connection.cursor() as cursor:
        cursor.executemany(
            "INSERT INTO meta (name, value) VALUES (%s, %s) ON CONFLICT (name) DO NOTHING",
            list(rows.items()),
        )
    meta = {str(key): str(value) for key, value in connection.execute("SELECT * FROM meta")}
    if meta["fingerprint"] != settings.fingerprint:
        refuse_fingerprint(name, meta["fingerprint"], meta["answers"], settings)
