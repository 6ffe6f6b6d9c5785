"""The hashes of totals in Redis: their texts, and the frames that they are parsed to."""

import re
from collections.abc import Iterator, Sequence
from typing import Final

import polars as pl
import redis
from redis.cluster import RedisCluster

from audit.conversions import amounts_to_micro, counts_or_substitutes, iso_to_ms
from mobility.entities import Entity
from mobility.keys import LAST_WINDOW, RedisKeys
from mobility.measures import COUNTS, MEASURE_SCHEMA, STARTS

MEAN: Final = "avg_duration"
TOTALS_SCHEMA: Final = pl.Schema(
    {
        "entity": pl.String(),
        "id": pl.String(),
        **MEASURE_SCHEMA,
        MEAN: pl.Float64(),
        LAST_WINDOW: pl.Int64(),
    }
)
"""Totals: amounts in micro-units, times in epoch ms, the mean in units."""

TOTALS_FIELDS: Final = TOTALS_SCHEMA.names()[2:]
"""The fields of a hash. Only a follower has that of the newest window."""

_CHUNK: Final = 1_000
_TEXTS: Final = pl.Schema(dict.fromkeys(TOTALS_SCHEMA, pl.String()))


def scan_ids(client: redis.Redis | RedisCluster, keys: RedisKeys, entity: Entity) -> set[str]:
    """Return the ids of all hashes of an entity."""
    prefix = keys.totals(entity, "")
    pattern = re.sub(r"([*?\[\]\\])", r"\\\1", prefix) + "*"
    names = client.scan_iter(match=pattern, count=_CHUNK)
    return {name.decode().removeprefix(prefix) for name in names}


def read_totals(
    client: redis.Redis | RedisCluster, keys: RedisKeys, entity: Entity, ids: Sequence[str]
) -> pl.DataFrame:
    """Return the totals (TOTALS_SCHEMA) of those ids that have a hash."""
    rows: list[tuple[str | None, ...]] = []
    for start in range(0, len(ids), _CHUNK):
        chunk = ids[start : start + _CHUNK]
        pipeline = client.pipeline(transaction=False)
        for entity_id in chunk:
            pipeline.hmget(keys.totals(entity, entity_id), TOTALS_FIELDS)
        rows += [
            (entity.name, entity_id, *texts)
            for entity_id, texts in zip(chunk, _decoded(pipeline.execute()), strict=True)
            if any(text is not None for text in texts)
        ]
    return parse_totals(rows)


def parse_totals(rows: Sequence[Sequence[str | None]]) -> pl.DataFrame:
    """Return rows of entity, id and the texts of TOTALS_FIELDS as a frame (TOTALS_SCHEMA).

    A text that is not what it should be becomes null.
    """
    totals = pl.DataFrame(rows, schema=_TEXTS, orient="row").with_columns(
        pl.col(*COUNTS).cast(pl.Int64, strict=False),
        *amounts_to_micro(pl.col),
        *(iso_to_ms(pl.col(name)) for name in (*STARTS, LAST_WINDOW)),
        pl.col(MEAN).cast(pl.Float64, strict=False),
    )
    return totals.with_columns(counts_or_substitutes())


def _decoded(replies: Sequence[Sequence[bytes | None]]) -> Iterator[list[str | None]]:
    return ([None if each is None else each.decode() for each in reply] for reply in replies)
