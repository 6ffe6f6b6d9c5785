"""The contents of Redis and Postgres as frames, read through their public keys and views."""

import io
import re
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Final

import polars as pl
import psycopg
import redis
from psycopg import sql

from audit.conversions import decimal_to_micro, iso_to_ms
from mobility.entities import ENTITIES, Entity
from mobility.keys import RedisKeys
from mobility.measures import AMOUNTS, COUNTS, MEASURE_SCHEMA, STARTS
from mobility.settings import Settings

_CHUNK: Final = 1_000
_FIELDS: Final = (*MEASURE_SCHEMA, "avg_duration")


def read_postgres_totals(settings: Settings) -> pl.DataFrame:
    """Return the rows of every `<entity>_metrics`: the columns of the oracle's totals."""
    return _read_views(settings, "metrics", [*STARTS])


def read_postgres_windows(settings: Settings) -> pl.DataFrame:
    """Return the rows of every `<entity>_windows`: the columns of the oracle's windows."""
    return _read_views(settings, "windows", ["window_start", "window_end", *STARTS])


def read_redis_totals(settings: Settings) -> pl.DataFrame:
    """Return every `<entity>:<id>` hash: the columns of the oracle's totals."""
    keys = RedisKeys.of(settings)
    with redis.Redis.from_url(settings.redis) as client:
        frames = [_read_totals(client, keys, entity) for entity in ENTITIES]
    return pl.concat(frames).select(
        "entity",
        "id",
        pl.col(*COUNTS).cast(pl.Int64, strict=False),
        *(decimal_to_micro(pl.col(name)).alias(name) for name in AMOUNTS),
        pl.col("avg_duration").cast(pl.Float64, strict=False),
        *(iso_to_ms(pl.col(name)) for name in STARTS),
    )


def read_redis_index(settings: Settings) -> pl.DataFrame:
    """Return the ids of every index: entity and id."""
    keys = RedisKeys.of(settings)
    with redis.Redis.from_url(settings.redis) as client:
        rows = [
            (entity.name, member.decode())
            for entity in ENTITIES
            for member in client.zrange(keys.index(entity), 0, -1)
        ]
    return pl.DataFrame(rows, schema={"entity": pl.String, "id": pl.String}, orient="row")


def _read_views(settings: Settings, view: str, times: list[str]) -> pl.DataFrame:
    with psycopg.connect(settings.postgres) as connection:
        frames = [
            _copy_view(connection, f"{entity.name}_{view}", times).with_columns(
                entity=pl.lit(entity.name)
            )
            for entity in ENTITIES
        ]
    return pl.concat(frames)


def _copy_view(connection: psycopg.Connection, view: str, times: list[str]) -> pl.DataFrame:
    """Read a view with COPY, as text: amounts keep every digit, times are epoch milliseconds."""
    amounts = [*COUNTS, *AMOUNTS, "avg_duration"]
    columns: list[sql.Composable] = [sql.Identifier(name) for name in ("id", *amounts)]
    columns += [
        sql.SQL("(extract(epoch FROM {0}) * 1000)::bigint AS {0}").format(sql.Identifier(name))
        for name in times
    ]
    command = sql.SQL("COPY (SELECT {} FROM {}) TO STDOUT (FORMAT csv, FORCE_QUOTE (id))").format(
        sql.SQL(", ").join(columns), sql.Identifier(view)
    )
    content = io.BytesIO()
    with connection.cursor().copy(command) as copy:
        for block in copy:
            content.write(block)
    names = ["id", *amounts, *times]
    if not content.tell():
        frame = pl.DataFrame(schema=dict.fromkeys(names, pl.String))
    else:
        content.seek(0)
        frame = pl.read_csv(
            content, has_header=False, new_columns=names, infer_schema=False, null_values=[""]
        )
    return frame.select(
        "id",
        pl.col(*COUNTS, *times).cast(pl.Int64, strict=False),
        *(decimal_to_micro(pl.col(name)).alias(name) for name in AMOUNTS),
        pl.col("avg_duration").cast(pl.Float64, strict=False),
    )


def _read_totals(client: redis.Redis, keys: RedisKeys, entity: Entity) -> pl.DataFrame:
    prefix = keys.totals(entity, "")
    pattern = re.sub(r"([*?\[\]\\])", r"\\\1", prefix) + "*"
    names = {name.decode() for name in client.scan_iter(match=pattern, count=_CHUNK)}
    rows: list[tuple[str | None, ...]] = []
    for chunk in _chunks(sorted(names)):
        pipeline = client.pipeline(transaction=False)
        for name in chunk:
            pipeline.hmget(name, list(_FIELDS))
        rows += [
            (
                name.removeprefix(prefix),
                *[None if each is None else each.decode() for each in values],
            )
            for name, values in zip(chunk, pipeline.execute(), strict=True)
        ]
    schema = dict.fromkeys(("id", *_FIELDS), pl.String)
    frame = pl.DataFrame(rows, schema=schema, orient="row")
    return frame.with_columns(entity=pl.lit(entity.name))


def _chunks(names: Iterable[str]) -> Iterator[list[str]]:
    names = iter(names)
    while chunk := list(islice(names, _CHUNK)):
        yield chunk
