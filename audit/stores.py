"""The contents of Redis and Postgres as frames, read through their public keys and views."""

import io
from contextlib import closing

import polars as pl
import psycopg
from psycopg import sql

from audit.conversions import amounts_to_micro
from audit.redis_totals import read_totals, scan_ids
from mobility.entities import ENTITIES
from mobility.keys import RedisKeys
from mobility.measures import AMOUNTS, COUNTS, STARTS
from mobility.settings import Settings
from mobility.sketched_measures import sketches_of
from redis_cluster.connection import connect


def read_postgres_totals(settings: Settings) -> pl.DataFrame:
    """Return the rows of every `<entity>_metrics`: the columns of the oracle's totals."""
    return _read_views(settings, "metrics", [*STARTS])


def read_postgres_windows(settings: Settings) -> pl.DataFrame:
    """Return the rows of every `<entity>_windows`: the columns of the oracle's windows.

    Sketches stand in the ledger, from where they are joined.
    """
    windows = _read_views(settings, "windows", ["window_start", "window_end", *STARTS])
    if not settings.measures:
        return windows
    sketches = _read_sketches(settings)
    return windows.join(sketches, ["entity", "id", "window_start"], "left", nulls_equal=True)


def read_redis_totals(settings: Settings) -> pl.DataFrame:
    """Return every `<entity>:<id>` hash (redis_totals.TOTALS_SCHEMA)."""
    keys = RedisKeys.of(settings)
    with closing(connect(settings.redis)) as client:
        return pl.concat(
            read_totals(client, keys, entity, sorted(scan_ids(client, keys, entity)))
            for entity in ENTITIES
        )


def read_redis_index(settings: Settings) -> pl.DataFrame:
    """Return the ids of every index: entity and id."""
    keys = RedisKeys.of(settings)
    with closing(connect(settings.redis)) as client:
        rows = [
            (entity.name, member.decode())  # type: ignore[union-attr] # replies are bytes
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


def _read_sketches(settings: Settings) -> pl.DataFrame:
    """Return the sketches of all windows; null are those that are not of an entity."""
    frames = []
    with psycopg.connect(settings.postgres) as connection:
        for entity in ENTITIES:
            schema = {"id": pl.String(), "window_start": pl.Int64()}
            names = [each.name for each in sketches_of(entity, settings.measures)]
            query = sql.SQL("SELECT {} FROM {}").format(
                sql.SQL(", ").join(map(sql.Identifier, [*schema, *names])),
                sql.Identifier(f"{entity.name}_ledger"),
            )
            rows = connection.execute(query).fetchall()
            columns = pl.Schema({**schema, **dict.fromkeys(names, pl.Binary())})
            frame = pl.DataFrame(rows, schema=columns, orient="row")
            frames.append(frame.with_columns(entity=pl.lit(entity.name)))
    return pl.concat(frames, how="diagonal")


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
        *amounts_to_micro(pl.col),
        pl.col("avg_duration").cast(pl.Float64, strict=False),
    )
