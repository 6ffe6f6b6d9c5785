"""The connection to a server that follows: what it has, and transactions under a fencing token.

The token stands in a key of its own, which is watched: a transaction is executed only while the
token is that of this flow (https://redis.io/docs/latest/develop/using-commands/transactions/).
Where Redis was emptied or replaced, the token is another one as well.

A master of a cluster has a token and a record of its own, under keys with a hash tag. There a
transaction can't have keys of several slots, so the hashes of ids are written without one. What
keeps a late request of another connection away is that the connection is closed when this one
opens, after the token was taken.
"""

import hashlib
import re
import secrets
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice
from typing import Any, Final

import redis
from redis.connection import Connection

from mobility.entities import ENTITIES, Entity
from mobility.keys import INSTANCE_ID_FIELD, RedisKeys
from mobility.records import MIN_EVENT_TIME
from mobility.settings import Settings, masked
from redis_cluster.connection import Master, node_url
from redis_cluster.records import FollowerRecord, by_shard
from sinks.redis_commands import NO_COMMANDS, Commands, command
from sinks.redis_session import redis_client
from sinks.redis_transactions import execute, executed, in_transaction, pairs, read_replies
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
class Position:
    """How far a follower is: a sequence number and a watermark (epoch ms) for each shard."""

    numbers: Mapping[int, int]
    watermarks: Mapping[int, int]


class FollowerConnection:
    """One connection to a server: a Redis, or a master of a cluster.

    All methods raise redis.RedisError where it does not answer.
    """

    def __init__(
        self, settings: Settings, master: Master | None = None, holder: str | None = None
    ) -> None:
        """Write with the fencing token of the settings, to the one server or to a `master`.

        All connections of a follower have the same `holder`: opening one ends its earlier ones.
        """
        url = settings.redis
        keys = RedisKeys.of(settings)
        if master is not None:
            url, keys = node_url(url, master.host, master.port), keys.of_master(master.tag)
        self.master = master
        self.name = f"Redis at {masked(url)}"
        self._settings = settings
        self._keys = keys
        self._fence = settings.fence or 0
        self._holder = holder or secrets.token_hex(8)
        self._connection_key = f"{self._keys.prefix}connection:{secrets.token_hex(8)}"
        self._client = redis_client(settings, url)
        self._connection: Connection | None = None

    def open(self) -> str | None:
        """Connect and take the token; return the instance id of the Postgres that Redis follows.

        None for an empty Redis; an empty text where its data must be deleted first: it was
        an authority itself, or its ids live longer than those that are read again. Raises
        StoreRefusedError where a later flow writes to it, or it has data of other settings.
        """
        self.close()
        self._connection = self._client.connection_pool.get_connection()
        if self.master is not None:
            # Before the token is read: who takes a higher one sees the name, or is seen.
            self._execute(command("CLIENT", "SETNAME", self._client_name))
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
        if self.master is not None:
            self._end_earlier_connections()
        if life is not None:
            return ""
        if follows is None:
            return None
        # Ids that live longer than those that are read again would stay as they are.
        return follows if int(expiry or _FOR_EVER) <= self._settings.redis_expiry else ""

    def join(self) -> None:
        """Connect only to `send`: to a server that is about to get its first slot."""
        self._connection = self._client.connection_pool.get_connection()
        self._execute(command("CLIENT", "SETNAME", self._client_name))

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

        The meta hash is the last, so that what is interrupted is begun again. In a cluster the
        streams of changes stay: an entry for a gap follows.
        """
        everywhere, keys = RedisKeys.of(self._settings), self._keys
        for entity in ENTITIES:
            record = (keys.progress(entity), keys.sequence(entity), keys.slots(entity))
            others = (keys.index(entity), keys.seen(entity), keys.live(entity))
            self.write(command("UNLINK", *others, *record))
            for prefix in (everywhere.totals(entity, ""), everywhere.ledger(entity, "")):
                pattern = _GLOB.sub(r"\\\g<0>", prefix) + "*"
                found = self._client.scan_iter(pattern, count=_SCANNED)
                while chunk := list(islice(found, _SCANNED)):
                    self._unlink(chunk)
        self.write(command("DEL", keys.meta))

    def state(self, entity: Entity) -> FollowerRecord:
        """Return how far Redis says that it is."""
        return self.record(self._keys, entity)

    def record(self, keys: RedisKeys, entity: Entity) -> FollowerRecord:
        """Return the record with these keys, of whichever master it was."""
        meta, sequence, progress, slots = self._execute(
            command("HMGET", keys.meta, "follows", keys.shards_field(entity))
            + command("HGETALL", keys.sequence(entity))
            + command("HGETALL", keys.progress(entity))
            + command("HGETALL", keys.slots(entity))
        )
        follows, shards = meta
        return FollowerRecord(
            follows,
            int(shards or 0),
            by_shard(pairs(sequence)),
            by_shard(pairs(progress)),
            None if self.master is None else {int(n): text for n, text in pairs(slots)},
        )

    def prepare(self, entity: Entity) -> None:
        """Let each shard have its fields, and none from another number of shards.

        Their ids were others: the number of a shard would say nothing about those that it has now.
        """
        shards = range(self._settings.shards)
        keys = self._keys
        sequence, progress = keys.sequence(entity), keys.progress(entity)
        commands = NO_COMMANDS
        if self.state(entity).shards != len(shards):
            commands += command("DEL", sequence, progress, keys.slots(entity))
            commands += command("HSET", keys.meta, keys.shards_field(entity), len(shards))
        for shard in shards:
            commands += command("HSETNX", sequence, shard, 0)
            commands += command("HSETNX", progress, shard, MIN_EVENT_TIME)
        self.write(commands)

    def position_commands(self, entity: Entity, position: Position) -> Commands:
        """Return the commands that record a position."""
        keys = self._keys
        commands = command("HSET", keys.sequence(entity), *_words(position.numbers))
        if position.watermarks:
            commands += command("HSET", keys.progress(entity), *_words(position.watermarks))
        if self.master is not None:
            slots = dict.fromkeys(position.numbers, self.master.slots)
            commands += command("HSET", keys.slots(entity), *_words(slots))
        return commands

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
        if isinstance(fence, redis.RedisError):
            raise fence
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

    def send(self, commands: Commands) -> None:
        """Send commands without a transaction; `replies` has to be called for them."""
        self._connected().send_packed_command([commands.payload])  # type: ignore[no-untyped-call] # redis has no annotations there

    def replies(self, count: int) -> list[Any]:
        """Return the replies to so many commands that were sent, errors among them."""
        return read_replies(self._connected(), count)

    def topology(self) -> str:
        """Return who has which slots of the cluster, as this master knows it."""
        return str(self._execute(command("CLUSTER", "SLOTS")))

    @property
    def _client_name(self) -> str:
        tenant = hashlib.sha256(self._settings.redis_prefix.encode()).hexdigest()[:12]
        return f"mobility-follower:{tenant}:{self._fence}:{self._holder}"

    def _end_earlier_connections(self) -> None:
        """Close connections of this follower, and of flows with lower tokens.

        What they have sent and the server has not read is not executed any more.
        """
        own, clients = self._execute(command("CLIENT", "ID") + command("CLIENT", "LIST"))
        tenant = self._client_name.rsplit(":", 2)[0]
        found = re.findall(rf"(?m)^id=(\d+) .*?\bname={tenant}:(\d+):(\w+) ", clients)
        for client, fence, holder in found:
            if int(client) != own and (int(fence) < self._fence or holder == self._holder):
                # It may have ended by itself.
                self._execute(command("CLIENT", "KILL", "ID", client))

    def _unlink(self, keys: Sequence[str]) -> None:
        if self.master is None:
            self.write(command("UNLINK", *keys))
        else:
            self._execute(Commands.joined(command("UNLINK", key) for key in keys))

    def _watch(self) -> Commands:
        return command("WATCH", self._keys.fence, self._connection_key) + command(
            "GET", self._keys.fence
        )

    def _execute(self, commands: Commands, *, strict: bool = True) -> list[Any]:
        """Send commands at once; return their replies, errors among them if not `strict`."""
        return execute(self._connected(), commands, strict=strict)

    def _connected(self) -> Connection:
        if self._connection is None:
            msg = f"{self.name} is not connected"
            raise redis.ConnectionError(msg)
        return self._connection


def _words(fields: Mapping[int, int] | Mapping[int, str]) -> list[int | str]:
    return [word for pair in fields.items() for word in pair]
