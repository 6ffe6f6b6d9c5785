"""Transactions of a writer over a few Postgres connections, which are opened again when lost."""

import threading
import time
from collections.abc import Callable
from typing import Final, TypeVar

import psycopg

from mobility.settings import Settings, masked
from postgres.connection import Connection, connect
from postgres.server_check import UnsuitableServerError, check_connection
from sinks.connection_pool import ConnectionPool
from sinks.migrations import migrate, upgrade
from sinks.retry import (
    RETRY_SECONDS,
    START_RETRY_SECONDS,
    RetryPolicy,
    Sleep,
    StopRequested,
    no_stop,
)
from sinks.sql_files import sql_file
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

ANSWER_SECONDS: Final = 60.0
"""How long the server may send nothing: far beyond what a statement on a batch takes."""

_SHOWN_SECONDS: Final = 3.0

T = TypeVar("T")

_READ_ONLY: Final = psycopg.errors.ReadOnlySqlTransaction
_TRANSIENT: Final = (psycopg.OperationalError, psycopg.InterfaceError, _READ_ONLY)
_PERMANENT: Final = psycopg.errors.DiskFull
_ROLLED_BACK: Final = (psycopg.errors.LockNotAvailable, psycopg.errors.DeadlockDetected)
"""Errors that end the transaction and leave the connection usable."""


class PostgresSession:
    """Runs transactions, over new connections where the old ones were lost.

    Threads may share it: each transaction has a connection of its own, of at most `connections`.
    """

    def __init__(
        self,
        connect: Callable[[], Connection],
        name: str,
        fence: int | None = None,
        *,
        connections: int = 1,
        sleep: Sleep = time.sleep,
        stop_requested: StopRequested = no_stop,
    ) -> None:
        """Connect with `connect` when it is needed; messages name the store `name`.

        With a fencing token `fence` each transaction first checks that no higher token was taken,
        and none can be taken until the transaction ends.
        """
        self.name = name
        self.connections = connections
        self._fence = fence
        self._retry = RetryPolicy(name, _remedy, sleep=sleep, stop_requested=stop_requested)
        self._pool = ConnectionPool(connect, connections, stop_requested)
        self._users = 1
        self._lock = threading.Lock()

    @property
    def is_closed(self) -> bool:
        """Whether all users have closed it."""
        return self._users <= 0

    def share(self) -> "PostgresSession":
        """Return the session for one more user: it ends when all have closed it."""
        with self._lock:
            self._users += 1
        return self

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

    def waits_for(self) -> str | None:
        """Return what the store is waited for, to be shown to people; None where it is not."""
        if (failure := self._retry.failure) is not None:
            return f"{self.name} is not available: {failure}"
        if (seconds := self._pool.silent_seconds()) > _SHOWN_SECONDS:
            return f"{self.name} has not answered a request for {seconds:.0f} s"
        return None

    def close(self) -> None:
        """Close the connections, if this is the last user."""
        with self._lock:
            self._users -= 1
            is_last = self.is_closed
        if is_last:
            self._pool.close()

    def _run_once(self, work: Callable[[Connection], T]) -> T:
        with self._pool.lend() as connection:
            try:
                with connection.transaction():
                    self._check_fencing_token(connection)
                    return work(connection)
            except _TRANSIENT as error:
                if not isinstance(error, _ROLLED_BACK):
                    connection.close()
                    # Those of the same server are lost as well.
                    self._pool.close_idle()
                raise

    def _check_fencing_token(self, connection: Connection) -> None:
        if self._fence is None:
            return
        cursor = connection.execute(sql_file("check_fencing_token.sql"))
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
    connections: int = 1,
    sleep: Sleep = time.sleep,
    stop_requested: StopRequested = no_stop,
    retry_seconds: float = START_RETRY_SECONDS,
) -> PostgresSession:
    """Return a connected session on the Postgres of these settings, its schema migrated.

    With a `writer` each connection holds the advisory lock of that role, and a flow's transactions
    check its fencing token; that of a backfill is exclusive, so it has one connection. Raises
    StoreError where the store was filled with other settings, another flow writes to it, it is not
    one that can be used (postgres/server_check.py), or it does not answer for `retry_seconds`.
    """
    name = f"Postgres at {masked(settings.postgres)}"

    def open_connection() -> Connection:
        connection = connect(
            settings.postgres,
            writer or "reader",
            answer_seconds=ANSWER_SECONDS,
            stop_requested=stop_requested,
        )
        try:
            _check_server(connection, settings)
            _check_writable(connection)
            connection.isolation_level = psycopg.IsolationLevel.READ_COMMITTED  # see reconcile.sql
            connection.execute(sql_file("prepare_session.sql"))
            if writer is not None:
                _acquire_writer_lock(connection, writer, name)
            upgrade(connection)
            with connection.transaction():
                migrate(connection, measures=settings.measures)
                _initialize(connection, settings, name)
        except BaseException:
            connection.close()
            raise
        return connection

    fence = settings.fence if writer in FLOWS else None
    session = PostgresSession(
        open_connection,
        name,
        fence,
        connections=connections,
        sleep=sleep,
        stop_requested=stop_requested,
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
            connection.execute(sql_file("acquire_backfill_lock.sql"), params)
        except psycopg.errors.LockNotAvailable:
            refuse_backfill(name)
        return
    connection.execute(sql_file("acquire_flow_lock.sql"), params)
    for (other,) in connection.execute(sql_file("select_other_flows.sql"), params):
        # At once: the server releases it a moment after the end of the connection.
        connection.execute("SELECT pg_advisory_unlock_all()")
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
