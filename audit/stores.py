"""What Redis and Postgres hold, as frames. They are read as any client would read them."""

import io
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Final

import polars as pl
import psycopg
import redis
from psycopg import sql

from audit.decimals import epoch_ms, micro
from mobility.entities import ENTITIES, Entity
from mobility.keys import RedisKeys
from mobility.records import STARTS, TOTALS
from mobility.settings import Settings

_CHUNK: Final = 1_000
_FIELDS: Final = ("trip_count", *TOTALS, "avg_duration", *STARTS)


def postgres_totals(settings: Settings) -> pl.DataFrame:
    """Return the rows of every `<entity>_metrics`: the columns of the oracle's totals."""
    return _postgres(settings, "metrics", [*STARTS])


def postgres_windows(settings: Settings) -> pl.DataFrame:
    """Return the rows of every `<entity>_windows`: the columns of the oracle's windows."""
    return _postgres(settings, "windows", ["window_start", "window_end", *STARTS])


def redis_totals(settings: Settings) -> pl.DataFrame:
    """Return every `<entity>:<id>` hash: the columns of the oracle's totals."""
    keys = RedisKeys.of(settings)
    with redis.Redis.from_url(settings.redis) as client:
        frames = [_hashes(client, keys, entity) for entity in ENTITIES]
    return pl.concat(frames).select(
        "entity",
        "id",
        pl.col("trip_count").cast(pl.Int64, strict=False),
        *(micro(pl.col(name)).alias(name) for name in TOTALS),
        pl.col("avg_duration").cast(pl.Float64, strict=False),
        *(epoch_ms(pl.col(name)) for name in STARTS),
    )


def redis_index(settings: Settings) -> pl.DataFrame:
    """Return the ids of every index: entity and id."""
    keys = RedisKeys.of(settings)
    with redis.Redis.from_url(settings.redis) as client:
        rows = [
            (entity.name, member.decode())
            for entity in ENTITIES
            for member in client.zrange(keys.index(entity), 0, -1)
        ]
    return pl.DataFrame(rows, schema={"entity": pl.String, "id": pl.String}, orient="row")


def _postgres(settings: Settings, view: str, moments: list[str]) -> pl.DataFrame:
    with psycopg.connect(settings.postgres) as connection:
        frames = [
            _copied(connection, f"{entity.name}_{view}", moments).with_columns(
                entity=pl.lit(entity.name)
            )
            for entity in ENTITIES
        ]
    return pl.concat(frames)


def _copied(connection: psycopg.Connection, view: str, moments: list[str]) -> pl.DataFrame:
    """Copy a view out as text: amounts keep every digit, times are epoch milliseconds."""
    amounts = ["trip_count", *TOTALS, "avg_duration"]
    columns: list[sql.Composable] = [sql.Identifier(name) for name in ("id", *amounts)]
    columns += [
        sql.SQL("(extract(epoch FROM {0}) * 1000)::bigint AS {0}").format(sql.Identifier(name))
        for name in moments
    ]
    command = sql.SQL("COPY (SELECT {} FROM {}) TO STDOUT (FORMAT csv, FORCE_QUOTE (id))").format(
        sql.SQL(", ").join(columns), sql.Identifier(view)
    )
    content = io.BytesIO()
    with connection.cursor().copy(command) as copy:
        for block in copy:
            content.write(block)
    names = ["id", *amounts, *moments]
    if not content.tell():
        frame = pl.DataFrame(schema=dict.fromkeys(names, pl.String))
    else:
        content.seek(0)
        frame = pl.read_csv(
            content, has_header=False, new_columns=names, infer_schema=False, null_values=[""]
        )
    return frame.select(
        "id",
        pl.col("trip_count", *moments).cast(pl.Int64, strict=False),
        *(micro(pl.col(name)).alias(name) for name in TOTALS),
        pl.col("avg_duration").cast(pl.Float64, strict=False),
    )


def _hashes(client: redis.Redis, keys: RedisKeys, entity: Entity) -> pl.DataFrame:
    start = keys.totals(entity, "")
    pattern = "".join(f"\\{letter}" if letter in "*?[]\\" else letter for letter in start) + "*"
    names = {name.decode() for name in client.scan_iter(match=pattern, count=_CHUNK)}
    rows: list[tuple[str | None, ...]] = []
    for chunk in _chunks(sorted(names)):
        pipeline = client.pipeline(transaction=False)
        for name in chunk:
            pipeline.hmget(name, list(_FIELDS))
        rows += [
            (
                name.removeprefix(start),
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
