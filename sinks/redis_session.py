"""A Redis as the only store, for one writer: its lease, its fencing token, and transactions."""

import os
import secrets
import socket
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final, TypeVar

import redis
from redis.backoff import NoBackoff
from redis.connection import Connection
from redis.retry import Retry

from mobility.entities import Entity
from mobility.keys import INSTANCE_ID_FIELD, RedisKeys
from mobility.settings import Settings, masked
from redis_cluster.connection import asks_cluster
from sinks.redis_commands import NO_COMMANDS, Commands, command
from sinks.redis_transactions import Transaction, execute
from sinks.retry import RETRY_SECONDS, RetryPolicy, Sleep, StopRequested, no_stop
from sinks.store import (
    FLOWS,
    SequenceNumber,
    StoreError,
    WriterRole,
    refuse_backfill,
    refuse_cluster,
    refuse_fencing_token,
    refuse_fingerprint,
    refuse_follower,
    refuse_writer,
)

LEASE_MS: Final = 30_000
"""How long a writer keeps the store after its last transaction."""

LAYOUT: Final = 2
"""The layout of the keys: the meta hash has it in the field `layout`, from the second on."""

_PERMANENT: Final = (redis.AuthenticationError, redis.exceptions.AuthorizationError)
_TRANSIENT: Final = (redis.ConnectionError, redis.TimeoutError, redis.ReadOnlyError)

_META: Final = ("fingerprint", "answers", INSTANCE_ID_FIELD, "follows", "fence_holder")

T = TypeVar("T")


def redis_client(settings: Settings, url: str | None = None) -> redis.Redis:
    """Return a client without retries of its own: `RetryPolicy` is the only one that retries.

    `url` names another server than the one of the settings.
    """
    return redis.Redis.from_url(
        settings.redis if url is None else url,
        decode_responses=True,
        socket_connect_timeout=5,
        socket_timeout=10,
        retry=Retry(NoBackoff(), 0),
    )


class RedisSession:
    """Runs transactions as one writer and retries while Redis is unavailable.

    A transaction is executed only while no other flow has taken a fencing token, whose key is
    watched, and it extends the lease of its writer. Where Redis was emptied, the first transaction
    stores again what identifies it.
    """

    def __init__(
        self,
        client: redis.Redis,
        settings: Settings,
        writer: WriterRole,
        *,
        sleep: Sleep = time.sleep,
        stop_requested: StopRequested = no_stop,
        retry_seconds: float = RETRY_SECONDS,
    ) -> None:
        """Use `client`, which the session closes; retry each call for up to `retry_seconds`."""
        self.client = client
        self._settings = settings
        self._keys = RedisKeys.of(settings)
        self._writer = writer
        self.name = f"Redis at {masked(settings.redis)}"
        self._retry = RetryPolicy(self.name, _remedy, sleep=sleep, stop_requested=stop_requested)
        self._retry_seconds = retry_seconds
        self._fence = settings.fence if writer in FLOWS else None
        self._process = f"process {os.getpid()} on {socket.gethostname()} ({secrets.token_hex(4)})"
        # The processes of a flow share its lease; of backfills there is one at a time.
        is_flow = writer in FLOWS
        self._lease = self._keys.lease("flow" if is_flow else "backfill")
        self._holder = writer if is_flow else self._process

    def initialize(self, retry_seconds: float | None = None) -> None:
        """Take the writer's lease and store the fingerprint where there is none yet.

        Raises StoreError where the store was filled with other settings, follows Postgres, or
        another flow writes to it.
        """
        self._refuse_cluster(retry_seconds)
        self.run(lambda transaction: transaction.commit(NO_COMMANDS), retry_seconds)

    def take_fencing_token(self, offered: int, holder: str) -> int:
        """Take a fencing token not below `offered`, and return it.

        It is higher than every token taken before in this Redis. Raises StoreError where the store
        was filled with other settings.
        """
        self._refuse_cluster()
        keys, settings = self._keys, self._settings

        def take(connection: Connection) -> int:
            transaction = Transaction(connection)
            stored, (fingerprint, answers, first_release) = transaction.read(
                command("GET", keys.fence)
                + command("HMGET", keys.meta, "fingerprint", "answers", "fence"),
                [keys.fence],
            )
            if fingerprint not in (None, settings.fingerprint):
                refuse_fingerprint(self.name, fingerprint, answers, settings)
            token = max(offered, int(stored or 0) + 1, int(first_release or 0) + 1)
            # A cluster of release 0.1 looks for the token in the hash.
            transaction.commit(
                command("SET", keys.fence, token)
                + command("HSET", keys.meta, "fence", token, "fence_holder", holder)
            )
            return token

        return self.call(lambda: self._with_connection(take))

    def run(self, work: Callable[[Transaction], T], retry_seconds: float | None = None) -> T:
        """Return what `work` returns, which reads and commits and must be idempotent.

        It runs again where another writer has changed what it read, and where a reply was lost.
        Raises StoreError as `call` does, and where this writer may not write.
        """

        def once(connection: Connection) -> T:
            transaction = self._begin(connection)
            result = work(transaction)
            transaction.end()
            return result

        return self.call(lambda: self._with_connection(once), retry_seconds)

    def call(self, command: Callable[[], T], retry_seconds: float | None = None) -> T:
        """Return what `command`, a call of the client, returns.

        Raises StoreError where Redis refuses it, or is unavailable for `retry_seconds`, which are
        those of the session by default.
        """
        seconds = self._retry_seconds if retry_seconds is None else retry_seconds
        try:
            return self._retry.run(command, seconds)
        except redis.RedisError as error:
            msg = f"{self.name} refused a command: {error}"
            raise StoreError(msg) from error

    def read_sequence_number(self, entity: Entity) -> SequenceNumber:
        """Return the sequence number of an entity; without an instance id where Redis is empty."""
        fields = [INSTANCE_ID_FIELD, f"number:{entity.name}"]
        instance_id, number = self.call(lambda: self.client.hmget(self._keys.meta, fields))
        return SequenceNumber(str(instance_id or ""), int(number or 0))

    def close(self) -> None:
        """Close the client. A backfill releases its lease; a flow's expires after LEASE_MS."""
        if self._writer == "backfill":
            with suppress(redis.RedisError):
                self._release_lease()
        self.client.close()

    def _with_connection(self, work: Callable[[Connection], T]) -> T:
        """Return what `work` returns, which runs again while watched keys have changed."""
        pool = self.client.connection_pool
        connection: Connection = pool.get_connection()
        try:
            while True:
                with suppress(redis.WatchError):
                    return work(connection)
        except BaseException:
            connection.disconnect()  # type: ignore[no-untyped-call] # redis has no annotations there
            raise
        finally:
            pool.release(connection)

    def _refuse_cluster(self, retry_seconds: float | None = None) -> None:
        """Raise StoreRefusedError for a node of a cluster: no transaction is across its slots."""
        if self.call(lambda: asks_cluster(self.client), retry_seconds):
            refuse_cluster(self.name)

    def _begin(self, connection: Connection) -> Transaction:
        """Begin a transaction. Raises StoreError where this writer may not write."""
        keys = self._keys
        _, token, holder, meta, (seconds, _) = execute(
            connection,
            command("WATCH", keys.fence)
            + command("GET", keys.fence)
            + command("GET", self._lease)
            + command("HMGET", keys.meta, *_META)
            + command("TIME"),
        )
        fields = dict(zip(_META, meta, strict=True))
        self._check(fields, int(token or 0), holder)
        return Transaction(connection, self._guard(fields, int(token or 0)), int(seconds))

    def _check(self, meta: dict[str, Any], token: int, holder: str | None) -> None:
        """Raise StoreError where this writer may not write."""
        settings = self._settings
        if meta["follows"] is not None:
            refuse_follower(self.name)
        if meta["fingerprint"] not in (None, settings.fingerprint):
            refuse_fingerprint(self.name, meta["fingerprint"], meta["answers"], settings)
        if self._fence is not None and token > self._fence:
            refuse_fencing_token(self.name, str(token), meta["fence_holder"] or "?", self._fence)
        if holder not in (None, self._holder):
            if self._writer == "backfill":
                refuse_backfill(self.name)
            refuse_writer(self.name, str(holder), self._writer)

    def _guard(self, meta: dict[str, Any], token: int) -> Commands:
        """Return what every transaction writes: the lease, and what an emptied Redis has lost."""
        key, settings = self._keys.meta, self._settings
        guard = command("SET", self._lease, self._holder, "PX", LEASE_MS)
        if meta[INSTANCE_ID_FIELD] is None:
            guard += command("HSETNX", key, INSTANCE_ID_FIELD, secrets.token_hex(8))
            guard += command("HSETNX", key, "layout", LAYOUT)
        if meta["fingerprint"] is None:
            guard += command("HSETNX", key, "fingerprint", settings.fingerprint)
            guard += command("HSETNX", key, "answers", settings.answers)
        if self._fence is not None and (token < self._fence or meta["fence_holder"] is None):
            guard += command("SET", self._keys.fence, self._fence)
            guard += command("HSET", key, "fence", self._fence, "fence_holder", self._process)
        return guard

    def _release_lease(self) -> None:
        """Release the lease of this backfill, so that the next one need not wait."""

        def release(connection: Connection) -> None:
            transaction = Transaction(connection)
            if transaction.read(command("GET", self._lease), [self._lease]) == [self._holder]:
                transaction.commit(command("DEL", self._lease))
            transaction.end()

        self._with_connection(release)


def _remedy(error: Exception) -> str | None:
    if isinstance(error, _TRANSIENT) and not isinstance(error, _PERMANENT):
        return "Is it running, and is MOBILITY_REDIS right?"
    return None
