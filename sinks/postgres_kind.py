"""Postgres in the registry: connections, fencing tokens, sequence numbers, status."""

from collections.abc import Mapping
from contextlib import closing
from typing import Final

import psycopg

from mobility.settings import Settings
from postgres.connection import Connection, connect
from sinks.postgres import PostgresStore, connect_postgres
from sinks.postgres_session import PostgresSession, open_postgres_session
from sinks.retry import StopRequested, no_stop
from sinks.sql_files import sql_file
from sinks.status_writers import PostgresStatusWriter, StatusWriter
from sinks.store import (
    SequenceNumber,
    StoreError,
    StoreRefusedError,
    WindowStore,
    WriterRole,
    check_numbers,
)

_ANSWER_SECONDS: Final = 2


class PostgresKind:
    """Postgres in the registry (`StoreKind`)."""

    linger = 0.0

    def connect(
        self, settings: Settings, writer: WriterRole, *, stop_requested: StopRequested = no_stop
    ) -> WindowStore:
        """Connect as `writer`, with a session of its own."""
        return connect_postgres(settings, writer, stop_requested=stop_requested)

    def take_fencing_token(
        self,
        settings: Settings,
        holder: str,
        writer: WriterRole | None,
        offered: int,
        stop_requested: StopRequested,
    ) -> int:
        """Take a token: concurrent starts take turns."""

        def take(connection: Connection) -> int:
            connection.execute(sql_file("lock_fencing_token.sql"))
            ((stored,),) = connection.execute("SELECT token FROM fence").fetchall()
            token = max(offered, int(str(stored)) + 1)
            connection.execute(
                "UPDATE fence SET token = %s, holder = %s, taken_at = now()", (token, holder)
            )
            return token

        with closing(_open_session(settings, writer, stop_requested)) as session:
            return session.run(take)

    def fencing_token(self, settings: Settings) -> int:
        """Return the token that was taken last."""
        try:
            with connect(
                settings.postgres,
                "fencing",
                answer_seconds=_ANSWER_SECONDS,
                connect_seconds=_ANSWER_SECONDS,
            ) as connection:
                ((token,),) = connection.execute("SELECT token FROM fence").fetchall()
        except psycopg.Error as error:
            msg = f"Postgres does not say which fencing token it holds: {error}"
            raise StoreError(msg) from error
        return int(str(token))

    def check_sequence_numbers(
        self,
        settings: Settings,
        writer: WriterRole,  # noqa: ARG002 - anybody may read
        known: Mapping[str, SequenceNumber],
    ) -> None:
        """Raise StoreBehindError where Postgres is behind a known number."""
        session = open_postgres_session(settings)
        with closing(PostgresStore(session)) as store:
            check_numbers(session.name, known, store.sequence_number)

    def status_writer(self, settings: Settings) -> StatusWriter:
        """Return what publishes status records in the table `status`."""
        return PostgresStatusWriter(settings)


def _open_session(
    settings: Settings, writer: WriterRole | None, stop_requested: StopRequested
) -> PostgresSession:
    """Connect to Postgres. A server that is read-only at the start is refused for good."""
    try:
        return open_postgres_session(settings, writer, stop_requested=stop_requested)
    except StoreError as error:
        if isinstance(error.__cause__, psycopg.errors.ReadOnlySqlTransaction):
            raise StoreRefusedError(str(error)) from error
        raise
