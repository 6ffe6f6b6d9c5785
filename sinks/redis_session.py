"""A Redis connection of one writer, and the Lua scripts that run over it."""

import os
import secrets
import socket
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final, TypeVar

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from mobility.entities import Entity
from mobility.keys import RedisKeys
from mobility.settings import Settings, masked
from sinks.retry import RETRY_SECONDS, RetryPolicy, Sleep, StopRequested, no_stop
from sinks.scripts import text
from sinks.store import (
    FLOWS,
    SequenceNumber,
    StoreBehindError,
    StoreError,
    WriterRole,
    refuse_backfill,
    refuse_fencing_token,
    refuse_fingerprint,
    refuse_follower,
    refuse_writer,
)

LEASE_MS: Final = 30_000
"""How long a writer keeps the store after its last call."""

_PERMANENT: Final = (redis.AuthenticationError, redis.exceptions.AuthorizationError)
_TRANSIENT: Final = (redis.ConnectionError, redis.TimeoutError, redis.ReadOnlyError)

_WRITE_SCRIPTS: Final = {
    "initialize": ("lease", "initialize"),
    "apply": ("lease", "amounts", "ledger", "apply"),
    "record_progress": ("lease", "record_progress"),
    "release_lease": ("lease", "release_lease"),
}
"""Each script is the concatenation of these files."""

T = TypeVar("T")


def redis_client(settings: Settings) -> redis.Redis:
    """Return a client without retries of its own: `RetryPolicy` is the only one that retries."""
    return redis.Redis.from_url(
        settings.redis,
        decode_responses=True,
        socket_connect_timeout=5,
        socket_timeout=10,
        retry=Retry(NoBackoff(), 0),
    )


class RedisSession:
    """Runs scripts as one writer and retries while Redis is unavailable.

    Scripts run by EVALSHA, and a script that the server has lost is loaded again
    (https://redis.io/docs/latest/develop/programmability/eval-intro/).
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
        fence = settings.fence if writer in FLOWS else None
        process = f"process {os.getpid()} on {socket.gethostname()} ({secrets.token_hex(4)})"
        self._writer_args = [writer, LEASE_MS, "" if fence is None else fence, process]
        self._write_scripts = {
            name: client.register_script("".join(text("lua", f"{file}.lua") for file in files))
            for name, files in _WRITE_SCRIPTS.items()
        }

    def initialize(self, retry_seconds: float | None = None) -> None:
        """Take the writer's lease and store the fingerprint where there is none yet.

        Raises StoreError where the store was filled with other settings, follows Postgres, or
        another flow writes to it.
        """
        settings = self._settings
        fingerprint, answers = self.call(
            lambda: self._run_once("initialize", [], [settings.fingerprint, settings.answers]),
            retry_seconds,
        )
        if fingerprint != settings.fingerprint:
            refuse_fingerprint(self.name, fingerprint, answers, settings)

    def take_fencing_token(self, offered: int, holder: str) -> int:
        """Take a fencing token not below `offered`, and return it.

        It is higher than every token taken before in this Redis. Raises StoreError where the store
        was filled with other settings.
        """
        script = self.client.register_script(text("lua", "take_fencing_token.lua"))
        args: list[str | int] = [offered, holder, self._settings.fingerprint]
        token, fingerprint, answers = self.call(lambda: script([self._keys.meta], args))
        if not token:
            refuse_fingerprint(self.name, fingerprint, answers, self._settings)
        return int(token)

    def run_script(self, name: str, keys: list[str], args: list[str | int | bytes]) -> Any:  # noqa: ANN401 - what the script returns
        """Return the reply of a script that writes; the key of the meta hash precedes `keys`.

        Where Redis was emptied it is initialized first. A script whose reply was lost runs again,
        which is harmless: it changes nothing that it has changed already.
        """
        return self.call(lambda: self._run_initialized(name, keys, args))

    def call(self, command: Callable[[], T], retry_seconds: float | None = None) -> T:
        """Return what `command`, a call of the client, returns.

        Raises StoreError where Redis refuses it, or is unavailable for `retry_seconds`, which are
        those of the session by default.
        """
        seconds = self._retry_seconds if retry_seconds is None else retry_seconds
        try:
            return self._retry.run(command, seconds)
        except redis.RedisError as error:
            self._raise_refusal(error)
            msg = f"{self.name} refused a command: {error}"
            raise StoreError(msg) from error

    def read_sequence_number(self, entity: Entity) -> SequenceNumber:
        """Return the sequence number of an entity; without an instance id where Redis is empty."""
        fields = ["life", f"number:{entity.name}"]
        instance_id, number = self.call(lambda: self.client.hmget(self._keys.meta, fields))
        return SequenceNumber(str(instance_id or ""), int(number or 0))

    def close(self) -> None:
        """Close the client. A backfill releases its lease; a flow's expires after LEASE_MS."""
        if self._writer == "backfill":
            with suppress(redis.RedisError):
                self._run_once("release_lease", [], [])
        self.client.close()

    def _run_initialized(self, name: str, keys: list[str], args: list[str | int | bytes]) -> Any:  # noqa: ANN401 - as `run_script`
        while True:
            try:
                return self._run_once(name, keys, args)
            except redis.ResponseError as error:
                if str(error) != "UNINITIALIZED":
                    raise
            self.initialize()

    def _run_once(self, name: str, keys: list[str], args: list[str | int | bytes]) -> Any:  # noqa: ANN401 - as `run_script`
        return self._write_scripts[name]([self._keys.meta, *keys], [*self._writer_args, *args])

    def _raise_refusal(self, error: redis.RedisError) -> None:
        """Raise StoreError for an error reply of lease.lua; return where it is another error."""
        code, _, rest = str(error).partition(" ")
        if code == "WRITER":
            refuse_writer(self.name, rest, self._writer)
        if code == "BACKFILL":
            refuse_backfill(self.name)
        if code == "FOLLOWER":
            refuse_follower(self.name)
        if code == "BEHIND":
            raise StoreBehindError(self.name)
        if code == "FENCED":
            token, _, holder = rest.partition(" ")
            refuse_fencing_token(self.name, token, holder, self._settings.fence)


def _remedy(error: Exception) -> str | None:
    if isinstance(error, _TRANSIENT) and not isinstance(error, _PERMANENT):
        return "Is it running, and is MOBILITY_REDIS right?"
    return None
