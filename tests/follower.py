"""Redis as a follower, filled with what Postgres has now."""

from decimal import Decimal
from typing import Any

import psycopg
import redis
from psycopg import sql
from psycopg.rows import dict_row

from mobility.entities import ENTITIES, Entity
from mobility.keys import LAST_WINDOW, RedisKeys
from mobility.measures import AMOUNTS, MEASURES, STARTS
from mobility.records import MICRO
from mobility.settings import Settings
from mobility.times import iso_time


def fill_follower(settings: Settings) -> None:
    """Write the totals, watermarks and sequence numbers of every entity to Redis."""
    keys = RedisKeys.of(settings)
    with (
        psycopg.connect(settings.postgres, row_factory=dict_row) as connection,
        redis.Redis.from_url(settings.redis) as client,
    ):
        # All that is read is of one moment.
        connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        for entity in ENTITIES:
            pipeline = client.pipeline(transaction=False)
            for row in _totals(connection, entity):
                key = keys.totals(entity, row["id"])
                pipeline.hset(key, mapping=_fields(row))
                pipeline.expire(key, settings.redis_expiry)
            rows = connection.execute(
                "SELECT shard, watermark FROM progress WHERE entity = %s", [entity.name]
            ).fetchall()
            pipeline.hset(keys.meta, keys.shards_field(entity), len(rows))
            for row in rows:
                pipeline.hset(keys.progress(entity), row["shard"], row["watermark"])
                pipeline.hset(keys.sequence(entity), row["shard"], _number(connection, entity))
            pipeline.execute()
        [meta] = connection.execute("SELECT value FROM meta WHERE name = 'instance_id'").fetchall()
        client.hset(
            keys.meta,
            mapping={
                "follows": meta["value"],
                "fingerprint": settings.fingerprint,
                "expiry": settings.redis_expiry,
            },
        )


def _totals(connection: psycopg.Connection[dict[str, Any]], entity: Entity) -> list[dict[str, Any]]:
    query = sql.SQL(
        "SELECT *, (SELECT max(window_start) FROM {} WHERE id = totals.id) AS {} FROM {} AS totals"
    ).format(
        *map(sql.Identifier, (f"{entity.name}_ledger", LAST_WINDOW, f"{entity.name}_totals")),
    )
    rows = connection.execute(query).fetchall()
    carried = ("total_duration", "total_distance", "total_revenue")
    return [
        row | {name: row[name] + (row[f"{name}_carry"] or 0) * 10**18 for name in carried}
        for row in rows
    ]


def _number(connection: psycopg.Connection[dict[str, Any]], entity: Entity) -> int:
    rows = connection.execute(
        "SELECT number FROM sequence_numbers WHERE entity = %s", [entity.name]
    ).fetchall()
    return int(rows[0]["number"]) if rows else 0


def _fields(row: dict[str, Any]) -> dict[str, str]:
    count = row["trip_count"]
    mean = row["total_duration"] / (count * MICRO) if count else 0
    return {
        **{each.name: _text(each.name, row[each.name]) for each in MEASURES},
        "avg_duration": str(mean),
        LAST_WINDOW: _text(LAST_WINDOW, row[LAST_WINDOW]),
    }


def _text(name: str, value: int | None) -> str:
    if value is None:
        return ""
    if name in (*STARTS, LAST_WINDOW):
        return iso_time(value)
    return f"{Decimal(value) / MICRO:f}" if name in AMOUNTS else str(value)
