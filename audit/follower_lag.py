"""How far Redis is behind Postgres, which it follows."""

import time
from contextlib import closing
from dataclasses import dataclass
from typing import Any, Final

import psycopg
import redis
from redis.cluster import RedisCluster

from mobility.entities import ENTITIES, Entity
from mobility.keys import RedisKeys
from mobility.settings import Settings
from redis_cluster.connection import connect
from redis_cluster.records import read_record

WAIT_SECONDS: Final = 5.0
"""How long a comparison waits for Redis: much longer than it is behind while all is well."""

_PAUSE_SECONDS: Final = 0.1


@dataclass(frozen=True, slots=True)
class AuthorityPosition:
    """The instance id of Postgres, and by entity the number of its last transaction."""

    instance_id: str
    numbers: dict[str, int]


def read_authority(connection: psycopg.Connection[Any]) -> AuthorityPosition:
    """Return the numbers of Postgres now."""
    [(instance_id,)] = connection.execute("SELECT value FROM meta WHERE name = 'instance_id'")
    rows = connection.execute("SELECT entity, number FROM sequence_numbers")
    return AuthorityPosition(instance_id, dict(rows.fetchall()))


def has_caught_up(
    client: redis.Redis | RedisCluster,
    keys: RedisKeys,
    entity: Entity,
    authority: AuthorityPosition,
    deadline: float,
) -> bool:
    """Return whether Redis has all that Postgres had at these numbers, by a deadline (monotonic).

    It is looked at once at least.
    """
    while not _has(client, keys, entity, authority):
        if time.monotonic() >= deadline:
            return False
        time.sleep(_PAUSE_SECONDS)
    return True


def lagging_entities(settings: Settings, seconds: float = WAIT_SECONDS) -> tuple[str, ...]:
    """Return the entities of which Redis lacks what Postgres has now, after these seconds."""
    keys, deadline = RedisKeys.of(settings), time.monotonic() + seconds
    with (
        psycopg.connect(settings.postgres) as connection,
        closing(connect(settings.redis)) as client,
    ):
        authority = read_authority(connection)
        return tuple(
            entity.name
            for entity in ENTITIES
            if not has_caught_up(client, keys, entity, authority, deadline)
        )


def _has(
    client: redis.Redis | RedisCluster,
    keys: RedisKeys,
    entity: Entity,
    authority: AuthorityPosition,
) -> bool:
    record = read_record(client, keys, entity)
    needed = authority.numbers.get(entity.name, 0)
    # A shard without a number has nothing that is known of.
    has_all = all(record.sequence.get(shard, 0) >= needed for shard in record.progress)
    is_followed = record.follows == authority.instance_id
    return is_followed and has_all and (bool(record.progress) or not needed)
