"""Postgres as the audit reads it: windows and totals of some ids, or of all."""

from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import Any, Final

import polars as pl
import psycopg
from psycopg import sql

from audit.audited_stores import (
    NO_WINDOWS,
    AuditedRange,
    EntityWatermarks,
    StoreContents,
    check_fingerprint,
    minimum_watermarks,
)
from audit.comparison import OutputComparison, compare
from audit.window_sample import ENTITY_WINDOW_KEY, SAMPLE_SCHEMA, WINDOW_FIELDS
from mobility.entities import Entity
from mobility.measure_lists import measure_list
from mobility.records import MIN_EVENT_TIME
from mobility.settings import Settings
from postgres.server_check import check_server

_WINDOW_COLUMNS: Final = [name for name in SAMPLE_SCHEMA if name != "entity"]
_TOTALS_SCHEMA: Final = pl.Schema(
    [
        ("id", pl.String),
        *((name, SAMPLE_SCHEMA[name]) for name in WINDOW_FIELDS),
        *((f"window_{name}", SAMPLE_SCHEMA[name]) for name in WINDOW_FIELDS),
    ]
)
_SIDES: Final = {"totals": "{{whole_of[{side}]}}", "windows": "{side}.{{name}}"}
"""The tables whose columns _TOTALS_SCHEMA has, in this order, and what they have of a sum."""

_CONNECT_SECONDS: Final = 10
_IDS_PER_QUERY: Final = 500
_ROWS_PER_FETCH: Final = 20_000

_WINDOWS: Final = """
SELECT {columns} FROM {ledger}
WHERE window_start BETWEEN %(first)s AND %(last)s AND (%(ids)s::text[] IS NULL OR id = ANY(%(ids)s))
"""

# One statement reads one snapshot: totals and windows match, whatever is written meanwhile. Windows
# that were dropped are there as one an id; those of a partition that is still to go are left out.
# After a backfill the trip of a minimum or a maximum may no longer be counted: then they are not
# compared.
_TOTALS_AND_SUMS: Final = """
SELECT id, {totals}, {windows}
FROM (SELECT * FROM {store} WHERE %(ids)s::text[] IS NULL OR id = ANY(%(ids)s)) AS totals
FULL JOIN (
    SELECT id, {measures}, max(generation) AS generation
    FROM (
        SELECT id, {of_windows}, generation
        FROM {ledger}
        WHERE window_start >= coalesce(
            (SELECT kept_from FROM sequence_numbers WHERE entity = {name}), %(all)s
        )
        UNION ALL
        SELECT id, {of_before}, generation FROM {before}
    ) AS counted
    WHERE %(ids)s::text[] IS NULL OR id = ANY(%(ids)s)
    GROUP BY id
) AS windows USING (id)
"""


class AuditedPostgres:
    """Postgres as an audited store; every method opens its own connection and closes it."""

    name = "Postgres"

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    def progress(self) -> EntityWatermarks:
        """Return the recorded watermarks: windows that are complete by them are in the ledger.

        Raises UnsuitableServerError where this Postgres can't be used.
        """
        check_server(self._settings.postgres)
        watermarks: dict[str, list[int]] = {}
        # There are no tables before the first start of a flow with this store.
        with suppress(psycopg.errors.UndefinedTable), self._connect() as connection:
            fingerprint = "SELECT value FROM meta WHERE name = 'fingerprint'"
            for (value,) in connection.execute(fingerprint):
                check_fingerprint(self.name, value, self._settings)
            for entity, watermark in connection.execute("SELECT entity, watermark FROM progress"):
                watermarks.setdefault(entity, []).append(watermark)
        return minimum_watermarks(watermarks)

    def read(
        self,
        expected: pl.DataFrame,
        window_range: AuditedRange,
        entities: Sequence[Entity],
        *,
        all_ids: bool,
    ) -> StoreContents:
        """Return the ledger's windows in a range, and whether totals are the sums of their windows.

        Totals are compared at any time, with windows that are not complete yet.
        """
        frames, totals, dropped = [NO_WINDOWS], [], [StoreContents(NO_WINDOWS).expired]
        with self._connect() as connection:
            for entity in entities:
                ids = expected.filter(pl.col("entity") == entity.name)["id"].unique().sort()
                parts = [None] if all_ids else [part.to_list() for part in _split(ids)]
                sums = [pl.DataFrame(schema=_TOTALS_SCHEMA)]
                for part in parts:
                    frames += _read_windows(connection, entity, part, window_range)
                    sums += _read_totals_and_sums(connection, entity, part)
                totals.append((entity, pl.concat(sums)))
                dropped.append(_dropped(connection, entity, expected))
        return StoreContents(
            pl.concat(frames), pl.concat(dropped), totals=(_compare_totals(totals),)
        )

    def _connect(self) -> psycopg.Connection[Any]:
        return psycopg.connect(
            self._settings.postgres,
            connect_timeout=_CONNECT_SECONDS,
            tcp_user_timeout=30_000,
            application_name="mobility-hub audit",
        )


def _split(ids: pl.Series) -> Iterator[pl.Series]:
    return (ids[start : start + _IDS_PER_QUERY] for start in range(0, len(ids), _IDS_PER_QUERY))


def _read_windows(
    connection: psycopg.Connection[Any],
    entity: Entity,
    ids: Sequence[str] | None,
    window_range: AuditedRange,
) -> Iterator[pl.DataFrame]:
    query = sql.SQL(_WINDOWS).format(
        columns=_list(sql.Identifier(name) for name in _WINDOW_COLUMNS),
        ledger=sql.Identifier(f"{entity.name}_ledger"),
    )
    schema = {name: SAMPLE_SCHEMA[name] for name in _WINDOW_COLUMNS}
    values: dict[str, object] = {
        "ids": ids,
        "first": window_range.first,
        "last": window_range.last,
    }
    for rows in _read_frames(connection, query, values, pl.Schema(schema)):
        yield rows.select(pl.lit(entity.name).alias("entity"), pl.all())


def _dropped(
    connection: psycopg.Connection[Any], entity: Entity, expected: pl.DataFrame
) -> pl.DataFrame:
    """Return the expected windows (ENTITY_WINDOW_KEY) that may have been dropped by now."""
    query = "SELECT kept_from FROM sequence_numbers WHERE entity = %s AND kept_from IS NOT NULL"
    kept_from = [start for (start,) in connection.execute(query, [entity.name])]
    is_dropped = pl.col("window_start") < max(kept_from, default=MIN_EVENT_TIME)
    return expected.filter(pl.col("entity") == entity.name, is_dropped).select(ENTITY_WINDOW_KEY)


def _read_totals_and_sums(
    connection: psycopg.Connection[Any], entity: Entity, ids: Sequence[str] | None
) -> Iterator[pl.DataFrame]:
    if_live = "CASE WHEN generation = 0 THEN {side}.{{name}} END"
    totals, windows = (
        measure_list(f"{{of[{side}]}}", if_live.format(side=side), total=total.format(side=side))
        for side, total in _SIDES.items()
    )
    query = sql.SQL(_TOTALS_AND_SUMS).format(
        totals=sql.SQL(totals),
        windows=sql.SQL(windows),
        measures=sql.SQL(
            measure_list(
                "sum({name})::bigint AS {name}",
                "{best}({name}) AS {name}",
                total="sum({name}) AS {name}",
            )
        ),
        of_windows=sql.SQL(measure_list("{column} AS {name}")),
        of_before=sql.SQL(measure_list("{whole} AS {name}")),
        before=sql.Identifier(f"{entity.name}_before"),
        name=sql.Literal(entity.name),
        store=sql.Identifier(f"{entity.name}_totals"),
        ledger=sql.Identifier(f"{entity.name}_ledger"),
    )
    return _read_frames(connection, query, {"ids": ids, "all": MIN_EVENT_TIME}, _TOTALS_SCHEMA)


def _read_frames(
    connection: psycopg.Connection[Any],
    query: sql.Composed,
    values: dict[str, object],
    schema: pl.Schema,
) -> Iterator[pl.DataFrame]:
    with connection.cursor("audit") as cursor:
        cursor.execute(query, values)
        while rows := cursor.fetchmany(_ROWS_PER_FETCH):
            yield pl.DataFrame(rows, schema=schema, orient="row")


def _list(parts: Iterator[sql.Composable]) -> sql.Composed:
    return sql.SQL(", ").join(parts)


def _compare_totals(totals: Sequence[tuple[Entity, pl.DataFrame]]) -> OutputComparison:
    rows = pl.concat(rows.with_columns(entity=pl.lit(entity.name)) for entity, rows in totals)
    sums = rows.drop_nulls("window_trip_count").select(
        "entity", "id", *(pl.col(f"window_{name}").alias(name) for name in WINDOW_FIELDS)
    )
    return compare(
        "Postgres totals",
        sums,
        rows.drop_nulls("trip_count"),
        keys=["entity", "id"],
        fields=WINDOW_FIELDS,
    )
