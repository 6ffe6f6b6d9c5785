"""Redis beside Postgres as the audit reads it: totals that must equal those of Postgres.

Postgres itself is compared with the log. An id that Redis lacks is no difference: it expires, and
it can be evicted.
"""

import time
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import Any, Final, Protocol

import polars as pl
import psycopg
import redis
from psycopg import sql
from redis.cluster import RedisCluster

from audit.audited_stores import check_fingerprint
from audit.comparison import OutputComparison, compare
from audit.follower_lag import WAIT_SECONDS, has_caught_up, read_authority
from audit.redis_totals import MEAN, TOTALS_SCHEMA, read_totals, scan_ids
from audit.window_sample import WINDOW_FIELDS
from mobility.entities import Entity
from mobility.keys import LAST_WINDOW, RedisKeys
from mobility.measure_lists import measure_list
from mobility.records import MICRO
from mobility.settings import Settings
from redis_cluster.connection import connect
from redis_cluster.records import record_keys

_FIELDS: Final = (*WINDOW_FIELDS, LAST_WINDOW)
_ROWS: Final = pl.Schema({name: TOTALS_SCHEMA[name] for name in ("id", *_FIELDS)})

# Of an id whose windows were all dropped (MOBILITY_RETENTION) the totals alone have the newest one.
_TOTALS: Final = """
SELECT
    id,
    {fields},
    coalesce((SELECT max(window_start) FROM {ledger} WHERE id = totals.id), newest_window)
FROM {totals} AS totals
WHERE %(ids)s::text[] IS NULL OR id = ANY(%(ids)s)
"""


@dataclass(frozen=True, slots=True)
class FollowerComparison:
    """The result for a follower, and the number of ids that were not compared.

    Those are ids of an entity that it is behind with for too long, and ids that got new trips each
    time they were read.
    """

    totals: OutputComparison
    behind: int


class Follower(Protocol):
    """A store whose totals must equal those of the authority that it follows."""

    def compare(
        self, expected: pl.DataFrame, entities: Sequence[Entity], *, all_ids: bool
    ) -> FollowerComparison:
        """Compare the totals of the ids of the expected windows, or of every id."""
        ...


class AuditedFollower:
    """Redis, which can be compared at any time, also while the flow writes."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._keys = RedisKeys.of(settings)

    def compare(
        self, expected: pl.DataFrame, entities: Sequence[Entity], *, all_ids: bool
    ) -> FollowerComparison:
        """Compare the totals of the ids of the expected windows, or of every id, with Postgres.

        Waits up to WAIT_SECONDS for Redis. Raises FingerprintError if the settings are others.
        """
        deadline = time.monotonic() + WAIT_SECONDS
        wanted, found, behind = [_empty()], [_empty()], 0
        with (
            psycopg.connect(
                self._settings.postgres, autocommit=True, application_name="mobility-hub audit"
            ) as connection,
            closing(
                connect(self._settings.redis, socket_connect_timeout=10, socket_timeout=30)
            ) as client,
        ):
            for keys in record_keys(client, self._keys):
                fingerprint = client.hget(keys.meta, "fingerprint")
                text = None if fingerprint is None else fingerprint.decode()  # type: ignore[union-attr] # replies are bytes
                check_fingerprint("Redis", text, self._settings)
            for entity in entities:
                ids = expected.filter(pl.col("entity") == entity.name)["id"].unique().to_list()
                comparison = _EntityComparison(connection, client, self._keys, entity)
                behind += comparison.run(None if all_ids else ids, deadline)
                wanted += comparison.wanted
                found += comparison.found
        totals = compare(
            "Redis totals",
            pl.concat(wanted),
            pl.concat(found),
            keys=("entity", "id"),
            fields=_FIELDS,
            means=[MEAN],
        )
        return FollowerComparison(totals, behind)


class _EntityComparison:
    """The totals of an entity in Postgres (`wanted`) and in Redis (`found`), read alternately.

    Postgres is read before and after Redis. The totals of an id that are the same then are those
    that Redis must have, once it has caught up with the first time.
    """

    def __init__(
        self,
        connection: psycopg.Connection[Any],
        client: redis.Redis | RedisCluster,
        keys: RedisKeys,
        entity: Entity,
    ) -> None:
        self.wanted: list[pl.DataFrame] = []
        self.found: list[pl.DataFrame] = []
        self._connection = connection
        self._client = client
        self._keys = keys
        self._entity = entity

    def run(self, ids: list[str] | None, deadline: float) -> int:
        """Read these ids, None for all, until a deadline (monotonic); return how many are left."""
        before = self._read_postgres(ids)
        if ids is None:
            in_redis = scan_ids(self._client, self._keys, self._entity)
            ids = sorted(in_redis.union(before["id"]))
        while ids:
            authority = read_authority(self._connection)
            if not has_caught_up(self._client, self._keys, self._entity, authority, deadline):
                break
            found = read_totals(self._client, self._keys, self._entity, ids)
            after = self._read_postgres(ids)
            same = before.join(after, on=before.columns, how="semi", nulls_equal=True)
            changed = pl.concat([before, after]).join(same, on="id", how="anti")["id"].unique()
            self.wanted.append(same.join(found, on="id", how="semi"))
            self.found.append(found.filter(~pl.col("id").is_in(changed.implode())))
            ids = changed.to_list()
            before = after.filter(pl.col("id").is_in(changed.implode()))
            if time.monotonic() >= deadline:
                break
        return len(ids)

    def _read_postgres(self, ids: list[str] | None) -> pl.DataFrame:
        query = sql.SQL(_TOTALS).format(
            fields=sql.SQL(measure_list("{whole} AS {name}")),
            totals=sql.Identifier(f"{self._entity.name}_totals"),
            ledger=sql.Identifier(f"{self._entity.name}_ledger"),
        )
        rows = self._connection.execute(query, {"ids": ids}).fetchall()
        trips, duration = pl.col("trip_count"), pl.col("total_duration").cast(pl.Float64)
        mean = pl.when(trips == 0).then(0.0).otherwise(duration / (trips * MICRO))
        return (
            pl.DataFrame(rows, schema=_ROWS, orient="row")
            .with_columns(mean.alias(MEAN), entity=pl.lit(self._entity.name))
            .select(TOTALS_SCHEMA.names())
        )


def _empty() -> pl.DataFrame:
    return pl.DataFrame(schema=TOTALS_SCHEMA)
