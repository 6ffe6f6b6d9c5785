"""How far Redis is, as a follower: each master of a cluster has a record of its own.

A record has a sequence number for each shard: of the ids in its slots, everything that transactions
of Postgres up to the number have written is in this master. It names the slots that it is about, so
that a slot which has moved since is not taken for one that was always there. The keys of a record
have a hash tag, which keeps them on their master.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from redis import Redis
from redis.cluster import RedisCluster

from mobility.entities import Entity
from mobility.keys import RedisKeys
from redis_cluster.connection import masters
from redis_cluster.slots import cover_all


@dataclass(frozen=True, slots=True)
class FollowerRecord:
    """What a server says of an entity.

    `follows` is the instance id of the Postgres that it follows. `sequence` and `progress` have the
    sequence number and the watermark (epoch ms) of each of the `shards`; `slots` has the slots that
    they are about, and is None where the server is no part of a cluster.
    """

    follows: str | None
    shards: int
    sequence: Mapping[int, int]
    progress: Mapping[int, int]
    slots: Mapping[int, str] | None = None

    @property
    def number(self) -> int:
        """The lowest sequence number of the shards: 0 where one has none."""
        return min((self.sequence.get(shard, 0) for shard in range(self.shards)), default=0)


def by_shard(reply: Iterable[tuple[str | bytes, str | bytes]]) -> dict[int, int]:
    """Return the fields of a hash from shard to number."""
    return {int(shard): int(value) for shard, value in reply}


def record_keys(client: Redis | RedisCluster, keys: RedisKeys) -> list[RedisKeys]:
    """Return the keys of the record of a server, or of each master of a cluster."""
    if isinstance(client, RedisCluster):
        return [keys.of_master(master.tag) for master in masters(client.nodes_manager)]
    return [keys]


def read_record(client: Redis | RedisCluster, keys: RedisKeys, entity: Entity) -> FollowerRecord:
    """Return how far a server is, or all masters of a cluster together."""
    if isinstance(client, RedisCluster):
        records = [_read(client, each, entity) for each in record_keys(client, keys)]
        record = combined([to_record(*each) for each in records])
        if not record.number:
            # Slots may have moved to a master that this client does not know.
            client.nodes_manager.initialize()
        return record
    meta, sequence, progress, _ = _read(client, keys, entity)
    return to_record(meta, sequence, progress, None)


def to_record(
    meta: Sequence[str | bytes | None],
    sequence: Mapping[Any, Any],
    progress: Mapping[Any, Any],
    slots: Mapping[Any, Any] | None,
) -> FollowerRecord:
    """Return a record from the replies of Redis: of the meta hash `follows` and the shards."""
    follows, shards = meta
    return FollowerRecord(
        _text(follows),
        int(shards or 0),
        by_shard(sequence.items()),
        by_shard(progress.items()),
        None if slots is None else {int(shard): str(_text(part)) for shard, part in slots.items()},
    )


def _read(client: Redis | RedisCluster, keys: RedisKeys, entity: Entity) -> list[Any]:
    return [
        client.hmget(keys.meta, ["follows", keys.shards_field(entity)]),
        client.hgetall(keys.sequence(entity)),
        client.hgetall(keys.progress(entity)),
        client.hgetall(keys.slots(entity)),
    ]


def _text(value: str | bytes | None) -> str | None:
    return value.decode() if isinstance(value, bytes) else value


def combined(records: Sequence[FollowerRecord]) -> FollowerRecord:
    """Return what holds for all masters of a cluster; of one server, what it says.

    A number is the lowest of all masters, and 0 where their records are not about all slots.
    """
    first, *others = records
    if first.slots is None:
        return first
    is_same = all((each.follows, each.shards) == (first.follows, first.shards) for each in others)
    if not is_same:
        return FollowerRecord(None, 0, {}, {})
    return FollowerRecord(
        first.follows,
        first.shards,
        {
            shard: min(each.sequence.get(shard, 0) for each in records)
            if cover_all(frozenset((each.slots or {}).get(shard, "") for each in records))
            else 0
            for shard in first.sequence
        },
        {
            shard: min(each.progress[shard] for each in records)
            for shard in first.progress
            if all(shard in each.progress for each in records)
        },
    )
