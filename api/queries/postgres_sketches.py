"""The SQL of sketches: those of the windows of a range or of a bucket, as few values."""

from collections.abc import Sequence
from typing import Final

from psycopg import sql

from api.queries.contract import SketchOfWindows, parts_of, trips_of
from api.queries.postgres_client import Row, chosen_ids, entity_query
from mobility.entities import Entity
from mobility.sketched_measures import Sketch

# Lists of records have whole records of 8 bytes.
_OF_SKETCH: Final = sql.SQL(
    ", ARRAY[string_agg({name}, '') FILTER (WHERE mod(length({name}), 8) = 0)] "
    "|| array_agg({name}) FILTER (WHERE mod(length({name}), 8) > 0) AS {parts}, "
    "coalesce(sum(trip_count) FILTER (WHERE {name} IS NOT NULL), 0)::bigint AS {trips}"
)


def distribution_query(
    entity: Entity, entity_id: str | None, sketches: Sequence[Sketch], windows: sql.Composable
) -> sql.Composed:
    """Return the query of sketches of an id, or of all ids, in these windows."""
    is_of_all = entity_id is None
    return entity_query(
        entity,
        "distribution.sql",
        rows=windows,
        sketches=_columns_of(sketches),
        chosen=chosen_ids(entity_id),
        newest_window=entity_query(entity, f"newest_window{'' if is_of_all else '_of_id'}.sql"),
    )


def windows_query(
    entity: Entity, entity_id: str | None, sketches: Sequence[Sketch], windows: sql.Composable
) -> sql.Composed:
    """Return the query of the buckets of these windows, of an id or of all ids, with sketches.

    Its columns are those of `window_batch_schema(sketches)`.
    """
    return entity_query(
        entity,
        "buckets.sql",
        rows=windows,
        sketches=_columns_of(sketches),
        chosen=chosen_ids(entity_id),
    )


def to_sketches(row: Row, sketches: Sequence[Sketch]) -> dict[str, SketchOfWindows]:
    """Return the sketches in the row, by name, without those that no window has."""
    found = {
        each.name: SketchOfWindows(
            [part for part in row[parts_of(each)] if part is not None],
            int(row[trips_of(each)]),
        )
        for each in sketches
        if parts_of(each) in row
    }
    return {name: each for name, each in found.items() if each.parts}


def _columns_of(sketches: Sequence[Sketch]) -> sql.Composed:
    """Return two columns for each sketch: its bytes in the windows, and the trips of these."""
    return sql.Composed(
        [
            _OF_SKETCH.format(
                name=sql.Identifier(each.name),
                parts=sql.Identifier(parts_of(each)),
                trips=sql.Identifier(trips_of(each)),
            )
            for each in sketches
        ]
    )
