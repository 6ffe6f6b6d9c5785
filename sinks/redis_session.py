"""A connection to Redis, and the scripts that run over it on a writer's behalf."""

import os
import secrets
import socket
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final, TypeVar

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from mobility.keys import RedisKeys
from mobility.settings import Settings, masked
from sinks.retry import SECONDS, Patience, Stopping, Wait, never, pause
from sinks.scripts import text
from sinks.store import (
    FLOWS,
    StoreError,
    Writer,
    refuse_backfill,
    refuse_fence,
    refuse_fingerprint,
    refuse_writer,
)

LEASE_MS: Final = 30_000

_HOPELESS: Final = (redis.AuthenticationError, redis.exceptions.AuthorizationError)
_PASSING: Final = (redis.ConnectionError, redis.TimeoutError, redis.ReadOnlyError)

_SCRIPTS: Final = {
    "sign": ("lease", "initialize"),
    "apply": ("lease", "amounts", "ledger", "apply"),
    "progress": ("lease", "record_progress"),
    "release": ("lease", "release_lease"),
}

T = TypeVar("T")


def redis_client(settings: Settings) -> redis.Redis:
    """Return a client that tries once: whoever uses it decides how long Redis is waited for."""
    return redis.Redis.from_url(
        settings.redis,
        decode_responses=True,
        socket_connect_timeout=5,
        socket_timeout=10,
        retry=Retry(NoBackoff(), 0),
    )


class Link:
    """Runs scripts as one writer, for as long as Redis may be away: see `Patience`."""

    def __init__(
        self,
        client: redis.Redis,
        settings: Settings,
        writer: Writer,
        *,
        wait: Wait = pause,
        stopping: Stopping = never,
        patience: float = SECONDS,
    ) -> None:
        self.client = client
        self._settings = settings
        self._meta = RedisKeys.of(settings).meta
        self._writer = writer
        self._name = f"Redis at {masked(settings.redis)}"
        self._patience = Patience(self._name, _advice, wait=wait, stopping=stopping)
        self._seconds = patience
        fence = settings.fence if writer in FLOWS else None
        who = f"process {os.getpid()} on {socket.gethostname()} ({secrets.token_hex(4)})"
        self._as = [writer, LEASE_MS, "" if fence is None else fence, who]
        self._scripts = {
            name: client.register_script("".join(text("lua", f"{part}.lua") for part in parts))
            for name, parts in _SCRIPTS.items()
        }
        self._readers = {"absent": client.register_script(text("lua", "select_missing_ids.lua"))}

    def sign(self, patience: float | None = None) -> str:
        """Take the store for this writer and leave the fingerprint of its settings there.

        Returns the life of the store, which is another one after it was emptied. Raises StoreError
        where it was filled with other settings or another flow writes to it.
        """
        ours = self._settings
        held, answers, life = self.ask(
            lambda: self._script("sign", [], [ours.fingerprint, ours.answers]), patience
        )
        if held != ours.fingerprint:
            refuse_fingerprint(self._name, held, answers, ours)
        return str(life)

    def take_fence(self, offered: int, holder: str) -> int:
        """Take a fencing token that is not below the offered one; see sinks/lua/take_fencing_token.lua."""
        script = self.client.register_script(text("lua", "take_fencing_token.lua"))
        ours: list[str | int] = [offered, holder, self._settings.fingerprint]
        token, held, answers = self.ask(lambda: script([self._meta], ours))
        if not token:
            refuse_fingerprint(self._name, held, answers, self._settings)
        return int(token)

    def run(self, script: str, keys: list[str], args: list[str | int | bytes]) -> Any:  # noqa: ANN401 - what the script returns
        """Return what a script answers; its keys follow the meta hash.

        A Redis that was emptied is signed again first. Whatever ran and whose answer was lost runs
        again: versions make that harmless.
        """
        return self.ask(lambda: self._signed(script, keys, args))

    def read(self, script: str, keys: list[str], args: list[str | int | bytes]) -> Any:  # noqa: ANN401 - as `run`
        """Return what a script that only reads answers; whoever asks needs no lease."""
        return self.ask(lambda: self._readers[script](keys, args))

    def ask(self, question: Callable[[], T], patience: float | None = None) -> T:
        """Return what a question to the client returns; raises StoreError where it can't be had."""
        try:
            return self._patience.run(question, self._seconds if patience is None else patience)
        except redis.RedisError as error:
            self._explain(error)
            msg = f"{self._name} refused a command: {error}"
            raise StoreError(msg) from error

    def close(self) -> None:
        """Close the client. A flow's lease runs out by itself, a backfill's ends at once."""
        if self._writer == "backfill":
            with suppress(redis.RedisError):
                self._script("release", [], [])
        self.client.close()

    def _signed(self, script: str, keys: list[str], args: list[str | int | bytes]) -> Any:  # noqa: ANN401 - as `run`
        while True:
            try:
                return self._script(script, keys, args)
            except redis.ResponseError as error:
                if str(error) != "UNSIGNED":
                    raise
            self.sign()

    def _script(self, name: str, keys: list[str], args: list[str | int | bytes]) -> Any:  # noqa: ANN401 - as `run`
        return self._scripts[name]([self._meta, *keys], [*self._as, *args])

    def _explain(self, error: redis.RedisError) -> None:
        code, _, rest = str(error).partition(" ")
        if code == "WRITER":
            refuse_writer(self._name, rest, self._writer)
        if code == "BACKFILL":
            refuse_backfill(self._name)
        if code == "FENCED":
            token, _, holder = rest.partition(" ")
            refuse_fence(self._name, token, holder, self._settings.fence)


def _advice(error: Exception) -> str | None:
    if isinstance(error, _PASSING) and not isinstance(error, _HOPELESS):
        return "Is it running, and is MOBILITY_REDIS right?"
    return None
