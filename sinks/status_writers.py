"""Write status records to a store, each over a connection of its own."""

from typing import Final, Protocol

import redis
from redis.cluster import RedisCluster

from mobility.keys import RedisKeys
from mobility.settings import Settings, masked
from mobility.status import EXPIRY
from postgres.connection import Connection, connect
from redis_cluster.connection import connect as connect_redis
from sinks.sql_files import sql_file

_TIMEOUT_SECONDS: Final = 2
# Longer than the statement_timeout of a session: a server that is slow says so itself.
_ANSWER_SECONDS: Final = 3.0


class StatusWriter(Protocol):
    """Keeps the newest record of each process in one store; records expire."""

    name: str

    def put(self, process: str, record: bytes) -> None:
        """Replace the record of a process. Raises the errors of the store's client."""
        ...

    def close(self) -> None:
        """Close the connection; the next `put` opens another."""
        ...


class RedisStatusWriter:
    """Writes a key a process, which expires, and a set of the processes."""

    def __init__(self, settings: Settings) -> None:
        self.name = f"Redis at {masked(settings.redis)}"
        self._keys = RedisKeys.of(settings)
        self._url = settings.redis
        self._client: redis.Redis | RedisCluster | None = None

    def put(self, process: str, record: bytes) -> None:
        """Replace the record of a process; it expires after EXPIRY seconds."""
        if self._client is None:
            self._client = connect_redis(
                self._url, socket_connect_timeout=_TIMEOUT_SECONDS, socket_timeout=_TIMEOUT_SECONDS
            )
        with self._client.pipeline(transaction=False) as commands:
            commands.set(self._keys.status(process), record, ex=EXPIRY)
            commands.sadd(self._keys.processes, process)
            commands.execute()

    def close(self) -> None:
        """Close the connection; the next `put` opens another."""
        if self._client is not None:
            self._client.close()
            self._client = None


class PostgresStatusWriter:
    """Writes a row per process into the table `status`."""

    def __init__(self, settings: Settings) -> None:
        self.name = f"Postgres at {masked(settings.postgres)}"
        self._url = settings.postgres
        self._connection: Connection | None = None

    def put(self, process: str, record: bytes) -> None:
        """Replace the record of a process."""
        row = {"process": process, "record": record.decode()}
        self._connect().execute(sql_file("upsert_status.sql"), row)

    def close(self) -> None:
        """Close the connection."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _connect(self) -> Connection:
        if self._connection is None:
            self._connection = connect(
                self._url,
                "status",
                answer_seconds=_ANSWER_SECONDS,
                connect_seconds=_TIMEOUT_SECONDS,
            )
            self._connection.execute(sql_file("prepare_status_session.sql"))
        return self._connection
