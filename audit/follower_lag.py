"""How far Redis is behind Postgres, which it follows."""

import time
from dataclasses import dataclass
from typing import Any, Final

import psycopg
import redis

from mobility.entities import ENTITIES, Entity
from mobility.keys import RedisKeys
from mobility.settings import Settings

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
    client: redis.Redis,
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
        redis.Redis.from_url(settings.redis) as client,
    ):
        authority = read_authority(connection)
        return tuple(
            entity.name
            for entity in ENTITIES
            if not has_caught_up(client, keys, entity, authority, deadline)
        )


def _has(
    client: redis.Redis, keys: RedisKeys, entity: Entity, authority: AuthorityPosition
) -> bool:
    pipeline = client.pipeline(transaction=False)
    pipeline.hget(keys.meta, "follows")
    pipeline.hkeys(keys.progress(entity))
    pipeline.hgetall(keys.sequence(entity))
    follows, shards, numbers = pipeline.execute()
    needed = authority.numbers.get(entity.name, 0)
    # A shard without a number has nothing that is known of.
    has_all = all(int(numbers.get(shard, 0)) >= needed for shard in shards)
    is_followed = follows is not None and follows.decode() == authority.instance_id
    return is_followed and has_all and (bool(shards) or not needed)
