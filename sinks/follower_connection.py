"""The connection to a Redis that follows: what it has, and transactions under a fencing token.

The token stands in a key of its own, which is watched: a transaction is executed only while the
token is that of this flow (https://redis.io/docs/latest/develop/using-commands/transactions/).
Where Redis was emptied or replaced, the token is another one as well.
"""

import re
import secrets
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice
from typing import Any, Final

import redis
from redis.connection import Connection

from mobility.entities import ENTITIES, Entity
from mobility.keys import INSTANCE_ID_FIELD, RedisKeys
from mobility.settings import Settings, masked
from sinks.redis_commands import Commands, command
from sinks.redis_session import redis_client
from sinks.redis_transactions import execute, executed, in_transaction, pairs
from sinks.store import refuse_fencing_token, refuse_fingerprint

_SCANNED: Final = 1_000
"""Keys that are looked at in a call: other clients wait for it."""

_GLOB: Final = re.compile(r"[\[\]*?\\^-]")

_CONNECTION_KEY_SECONDS: Final = 7 * 86_400

_FOR_EVER: Final = 2**63

_RAISE: Final = """
for i = 1, #ARGV, 3 do
  if redis.call('HGET', KEYS[1], ARGV[i]) == ARGV[i + 1] then
    redis.call('HSET', KEYS[1], ARGV[i], ARGV[i + 2])
  end
end
"""
"""Sets fields of a hash that still have the value they were read with: ARGV has name, old, new."""

_META: Final = ("fingerprint", "answers", "follows", "expiry", INSTANCE_ID_FIELD)


class LostDataError(RuntimeError):
    """Redis is not as this flow has left it: it was emptied, or replaced."""


@dataclass(frozen=True, slots=True)
class FollowerState:
    """What a Redis that follows says of an entity.

    `follows` is the instance id of the Postgres that it follows. `sequence` and `progress` have the
    sequence number and the watermark (epoch ms) of each of the `shards`.
    """

    follows: str | None
    shards: int
    sequence: Mapping[int, int]
    progress: Mapping[int, int]


class FollowerConnection:
    """One connection to Redis. All methods raise redis.RedisError where Redis does not answer."""

    def __init__(self, settings: Settings) -> None:
        """Write with the fencing token of the settings."""
        self.name = f"Redis at {masked(settings.redis)}"
        self._settings = settings
        self._keys = RedisKeys.of(settings)
        self._fence = settings.fence or 0
        self._connection_key = f"{self._keys.prefix}connection:{secrets.token_hex(8)}"
        self._client = redis_client(settings)
        self._connection: Connection | None = None

    def open(self) -> str | None:
        """Connect and take the token; return the instance id of the Postgres that Redis follows.

        None for an empty Redis; an empty text where its data must be deleted first: it was
        an authority itself, or its ids live longer than those that are read again. Raises
        StoreRefusedError where a later flow writes to it, or it has data of other settings.
        """
        self.close()
        self._connection = self._client.connection_pool.get_connection()
        # What was sent over an earlier connection may still be on its way: it is not executed now.
        _, _, fence, meta = self._execute(
            command("SET", self._connection_key, 1, "EX", _CONNECTION_KEY_SECONDS)
            + self._watch()
            + command("HMGET", self._keys.meta, *_META)
        )
        fingerprint, answers, follows, expiry, life = meta
        if fingerprint is not None and fingerprint != self._settings.fingerprint:
            refuse_fingerprint(self.name, fingerprint, answers, self._settings)
        if fence is not None and int(fence) > self._fence:
            refuse_fencing_token(self.name, fence, "another flow", self._settings.fence)
        if fence is None or int(fence) < self._fence:
            self.write(command("SET", self._keys.fence, self._fence))
        if life is not None:
            return ""
        if follows is None:
            return None
        # Ids that live longer than those that are read again would stay as they are.
        return follows if int(expiry or _FOR_EVER) <= self._settings.redis_expiry else ""

    def claim(self, instance_id: str) -> None:
        """Record which Postgres this Redis follows."""
        settings = self._settings
        self.write(
            command(
                *("HSET", self._keys.meta, "follows", instance_id),
                *("fingerprint", settings.fingerprint, "answers", settings.answers),
                *("expiry", settings.redis_expiry),
            )
        )

    def clear(self) -> None:
        """Delete everything but the status records: Redis has data that this Postgres lacks.

        The meta hash is the last, so that what is interrupted is begun again.
        """
        keys = self._keys
        for entity in ENTITIES:
            others = (keys.index(entity), keys.seen(entity), keys.live(entity))
            self.write(command("UNLINK", *others, keys.progress(entity), keys.sequence(entity)))
            for prefix in (keys.totals(entity, ""), keys.ledger(entity, "")):
                pattern = _GLOB.sub(r"\\\g<0>", prefix) + "*"
                found = self._client.scan_iter(pattern, count=_SCANNED)
                while chunk := list(islice(found, _SCANNED)):
                    self.write(command("UNLINK", *chunk))
        self.write(command("DEL", keys.meta))

    def state(self, entity: Entity) -> FollowerState:
        """Return how far Redis says that it is."""
        meta, sequence, progress = self._execute(
            command("HMGET", self._keys.meta, "follows", self._keys.shards_field(entity))
            + command("HGETALL", self._keys.sequence(entity))
            + command("HGETALL", self._keys.progress(entity))
        )
        follows, shards = meta
        return FollowerState(follows, int(shards or 0), _by_shard(sequence), _by_shard(progress))

    def raise_numbers(self, entity: Entity, read: Mapping[int, int], number: int) -> None:
        """Set the sequence numbers of shards that still have those that were `read`.

        Their process may write a higher one meanwhile, and then end: nobody would raise it again.
        """
        words = (word for shard, old in read.items() for word in (shard, old, number))
        self.write(command("EVAL", _RAISE, 1, self._keys.sequence(entity), *words))

    def write(self, commands: Commands) -> None:
        """Execute commands in one transaction. Raises LostDataError, and then nothing was done."""
        guarded = in_transaction(commands) + self._watch()
        *replies, _, fence = self._execute(guarded, strict=False)
        if executed(replies) is None or fence is None or int(fence) != self._fence:
            msg = f"{self.name} was emptied or replaced, or another flow writes to it"
            raise LostDataError(msg)

    def close(self) -> None:
        """Close the connection; `open` opens another."""
        if self._connection is not None:
            with suppress(redis.RedisError, OSError):
                self._connection.disconnect()  # type: ignore[no-untyped-call] # redis has no annotations there
            self._client.connection_pool.release(self._connection)
            self._connection = None

    def _watch(self) -> Commands:
        return command("WATCH", self._keys.fence, self._connection_key) + command(
            "GET", self._keys.fence
        )

    def _execute(self, commands: Commands, *, strict: bool = True) -> list[Any]:
        """Send commands at once; return their replies, errors among them if not `strict`."""
        connection = self._connection
        if connection is None:
            msg = f"{self.name} is not connected"
            raise redis.ConnectionError(msg)
        return execute(connection, commands, strict=strict)


def _by_shard(reply: dict[str, str] | list[str]) -> dict[int, int]:
    return {int(shard): int(value) for shard, value in pairs(reply)}
