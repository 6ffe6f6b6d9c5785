"""A connection to Postgres that comes back after a restart of the server."""

from collections.abc import Callable
from typing import Final, TypeVar

import psycopg

from mobility.settings import Settings, masked
from sinks.migrations import Connection, migrate
from sinks.retry import SECONDS, START_SECONDS, Patience, Stopping, Wait, never, pause
from sinks.scripts import text
from sinks.store import (
    FLOWS,
    WRITERS,
    StoreError,
    Writer,
    refuse_backfill,
    refuse_fence,
    refuse_fingerprint,
    refuse_writer,
)

T = TypeVar("T")

_LOST: Final = (psycopg.OperationalError, psycopg.InterfaceError)
_UNAVAILING: Final = psycopg.errors.DiskFull
_ONLY_ROLLED_BACK: Final = (psycopg.errors.LockNotAvailable, psycopg.errors.DeadlockDetected)


class Session:
    """Runs transactions, over a new connection where the old one is lost."""

    def __init__(
        self,
        connect: Callable[[], Connection],
        name: str,
        fence: int | None = None,
        *,
        wait: Wait = pause,
        stopping: Stopping = never,
    ) -> None:
        """Connect with `connect` at first use and after a loss; `name` stands in messages.

        With a `fence` each transaction begins with the check that no later token was taken, and
        none can be taken before it ends.
        """
        self._connect = connect
        self._name = name
        self._fence = fence
        self._patience = Patience(name, _advice, wait=wait, stopping=stopping)
        self._connection: Connection | None = None

    def run(self, work: Callable[[Connection], T], patience: float = SECONDS) -> T:
        """Return what `work` returns, which runs in one transaction.

        It runs again after a lost connection, a deadlock or a lock that somebody else held for too
        long, also where only the answer to its commit was lost: it must be harmless twice. Raises
        StoreError after `patience` seconds of that, and at once for whatever another attempt would
        not change.
        """
        try:
            return self._patience.run(lambda: self._attempt(work), patience)
        except psycopg.Error as error:
            msg = f"{self._name} refused a statement: {error}"
            raise StoreError(msg) from error

    def close(self) -> None:
        """Close the connection, if there is one."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _attempt(self, work: Callable[[Connection], T]) -> T:
        if self._connection is None:
            self._connection = self._connect()
        try:
            with self._connection.transaction():
                self._check_fence(self._connection)
                return work(self._connection)
        except _LOST as error:
            if not isinstance(error, _ONLY_ROLLED_BACK):
                self.close()
            raise

    def _check_fence(self, connection: Connection) -> None:
        if self._fence is None:
            return
        cursor = connection.execute(text("sql", "check_fencing_token.sql"))
        cursor.nextset()
        ((token, holder),) = cursor.fetchall()
        if int(str(token)) > self._fence:
            refuse_fence(self._name, str(token), str(holder), self._fence)


def _advice(error: Exception) -> str | None:
    if isinstance(error, psycopg.errors.LockNotAvailable):
        return "Somebody else holds a lock on its tables: pg_stat_activity and pg_locks name them."
    if isinstance(error, _LOST) and not isinstance(error, _UNAVAILING):
        return "Is it running, and is MOBILITY_POSTGRES right?"
    return None


def open_session(
    settings: Settings,
    writer: Writer | None = None,
    *,
    wait: Wait = pause,
    stopping: Stopping = never,
    patience: float = START_SECONDS,
) -> Session:
    """Return a session on the store of these settings, its schema up to date.

    With a `writer` the session holds that writer's lock, and a flow's is fenced. Raises StoreError
    where the store was filled with other settings, another flow writes to it, or it does not
    answer for `patience` seconds.
    """
    name = f"Postgres at {masked(settings.postgres)}"

    def connect() -> Connection:
        connection = psycopg.connect(
            settings.postgres,
            autocommit=True,
            # A plan made for an empty ledger would be kept while it grows.
            prepare_threshold=None,
            client_encoding="UTF8",
            connect_timeout=10,
            # A server whose machine has gone says nothing, ever.
            tcp_user_timeout=30_000,
            keepalives_idle=10,
            keepalives_interval=5,
            keepalives_count=4,
            application_name=f"mobility-hub {writer or 'reader'}",
        )
        connection.isolation_level = psycopg.IsolationLevel.READ_COMMITTED  # see reconcile.sql
        try:
            connection.execute(text("sql", "prepare_session.sql"))
            if writer is not None:
                _claim(connection, writer, name)
            with connection.transaction():
                migrate(connection)
                _sign(connection, settings, name)
        except BaseException:
            connection.close()
            raise
        return connection

    fence = settings.fence if writer in FLOWS else None
    session = Session(connect, name, fence, wait=wait, stopping=stopping)
    try:
        session.run(lambda connection: connection.execute("SELECT 1"), patience)
    except StoreError:
        session.close()
        raise
    return session


def _claim(connection: Connection, writer: Writer, name: str) -> None:
    ours = {"writer": WRITERS.index(writer) + 1, "flows": len(FLOWS)}
    if writer == "backfill":
        try:
            connection.execute(text("sql", "acquire_backfill_lock.sql"), ours)
        except psycopg.errors.LockNotAvailable:
            refuse_backfill(name)
        return
    connection.execute(text("sql", "acquire_flow_lock.sql"), ours)
    for (other,) in connection.execute(text("sql", "select_other_flows.sql"), ours):
        refuse_writer(name, WRITERS[int(str(other)) - 1], writer)


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
        refuse_fingerprint(name, held["fingerprint"], held["answers"], settings)
