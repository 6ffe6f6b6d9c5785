"""The lasting store, asked for the windows and the totals of some ids."""

from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import Any, Final

import polars as pl
import psycopg
from psycopg import sql

from audit.differences import Comparison, compare
from audit.places import NO_WINDOWS, Held, Progress, Span, refuse_others, slowest
from audit.sample import SUMS_SCHEMA
from mobility.entities import Entity
from mobility.records import STARTS, TOTALS
from mobility.settings import Settings

_SUMS: Final = ("trip_count", *TOTALS)
_COLUMNS: Final = (*_SUMS, *STARTS)
_WINDOW_COLUMNS: Final = [name for name in SUMS_SCHEMA if name != "entity"]
_TOTALS_SCHEMA: Final = pl.Schema(
    [
        ("id", pl.String),
        *((name, pl.Int64) for name in _COLUMNS),
        *((f"added_{name}", pl.Int64) for name in _COLUMNS),
    ]
)
_CONNECT_SECONDS: Final = 10
_IDS: Final = 500
_ROWS: Final = 20_000

_WINDOWS: Final = """
SELECT {columns} FROM {ledger}
WHERE window_start BETWEEN %(first)s AND %(last)s AND (%(ids)s::text[] IS NULL OR id = ANY(%(ids)s))
"""

# One statement sees one moment: totals and windows belong together whatever is written meanwhile.
# After a backfill the first trip may be one that is counted no more: no word on the starts then.
_ADDED_UP: Final = """
SELECT
    id, {totals}, CASE WHEN generation = 0 THEN totals.start_time END,
    CASE WHEN generation = 0 THEN totals.last_start_time END,
    {windows}, windows.start_time, windows.last_start_time
FROM (SELECT * FROM {store} WHERE %(ids)s::text[] IS NULL OR id = ANY(%(ids)s)) AS totals
FULL JOIN (
    SELECT
        id, {sums}, max(generation) AS generation,
        CASE WHEN max(generation) = 0 THEN min(start_time) END AS start_time,
        CASE WHEN max(generation) = 0 THEN max(last_start_time) END AS last_start_time
    FROM {ledger}
    WHERE %(ids)s::text[] IS NULL OR id = ANY(%(ids)s)
    GROUP BY id
) AS windows USING (id)
"""


class PostgresLedger:
    """A place: every method opens a connection of its own, which is gone when it returns."""

    name = "Postgres"

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    def progress(self) -> Progress:
        """Return the recorded watermarks: what is complete below them is in the ledger."""
        marks: dict[str, list[int]] = {}
        # Before a flow has first met the store there is no table.
        with suppress(psycopg.errors.UndefinedTable), self._connected() as connection:
            fingerprint = "SELECT value FROM meta WHERE name = 'fingerprint'"
            for (held,) in connection.execute(fingerprint):
                refuse_others(self.name, held, self._settings)
            for entity, watermark in connection.execute("SELECT entity, watermark FROM progress"):
                marks.setdefault(entity, []).append(watermark)
        return slowest(marks)

    def held(
        self, expected: pl.DataFrame, span: Span, entities: Sequence[Entity], *, everything: bool
    ) -> Held:
        """Return the ledger's windows in a span, and whether totals are the sums of their windows.

        That holds at any moment, so what is not complete yet takes part in it.
        """
        frames, totals = [NO_WINDOWS], []
        with self._connected() as connection:
            for entity in entities:
                ids = expected.filter(pl.col("entity") == entity.name)["id"].unique().sort()
                parts = [None] if everything else [part.to_list() for part in _parts(ids)]
                added = [pl.DataFrame(schema=_TOTALS_SCHEMA)]
                for part in parts:
                    frames += _windows(connection, entity, part, span)
                    added += _added_up(connection, entity, part)
                totals.append((entity, pl.concat(added)))
        return Held(pl.concat(frames), totals=(_summing(totals),))

    def _connected(self) -> psycopg.Connection[Any]:
        return psycopg.connect(
            self._settings.postgres,
            connect_timeout=_CONNECT_SECONDS,
            tcp_user_timeout=30_000,
            application_name="mobility-hub audit",
        )


def _parts(ids: pl.Series) -> Iterator[pl.Series]:
    return (ids[start : start + _IDS] for start in range(0, len(ids), _IDS))


def _windows(
    connection: psycopg.Connection[Any], entity: Entity, ids: Sequence[str] | None, span: Span
) -> Iterator[pl.DataFrame]:
    query = sql.SQL(_WINDOWS).format(
        columns=_list(sql.Identifier(name) for name in _WINDOW_COLUMNS),
        ledger=sql.Identifier(f"{entity.name}_ledger"),
    )
    schema = {name: SUMS_SCHEMA[name] for name in _WINDOW_COLUMNS}
    values: dict[str, object] = {"ids": ids, "first": span.first, "last": span.last}
    for rows in _frames(connection, query, values, pl.Schema(schema)):
        yield rows.select(pl.lit(entity.name).alias("entity"), pl.all())


def _added_up(
    connection: psycopg.Connection[Any], entity: Entity, ids: Sequence[str] | None
) -> Iterator[pl.DataFrame]:
    def each(pattern: str) -> sql.Composable:
        return _list(sql.SQL(pattern).format(name=sql.Identifier(name)) for name in _SUMS)

    query = sql.SQL(_ADDED_UP).format(
        totals=each("totals.{name}"),
        windows=each("windows.{name}"),
        sums=each("sum({name})::bigint AS {name}"),
        store=sql.Identifier(f"{entity.name}_totals"),
        ledger=sql.Identifier(f"{entity.name}_ledger"),
    )
    return _frames(connection, query, {"ids": ids}, _TOTALS_SCHEMA)


def _frames(
    connection: psycopg.Connection[Any],
    query: sql.Composed,
    values: dict[str, object],
    schema: pl.Schema,
) -> Iterator[pl.DataFrame]:
    with connection.cursor("audit") as cursor:
        cursor.execute(query, values)
        while rows := cursor.fetchmany(_ROWS):
            yield pl.DataFrame(rows, schema=schema, orient="row")


def _list(parts: Iterator[sql.Composable]) -> sql.Composed:
    return sql.SQL(", ").join(parts)


def _summing(totals: Sequence[tuple[Entity, pl.DataFrame]]) -> Comparison:
    rows = pl.concat(rows.with_columns(entity=pl.lit(entity.name)) for entity, rows in totals)
    added = rows.drop_nulls("added_trip_count").select(
        "entity", "id", *(pl.col(f"added_{name}").alias(name) for name in _COLUMNS)
    )
    return compare(
        "Postgres totals",
        added,
        rows.drop_nulls("trip_count"),
        keys=["entity", "id"],
        fields=_COLUMNS,
    )
