"""The SQL of sketches: those of the windows of a range, as few values."""

from collections.abc import Sequence
from typing import Final

from psycopg import sql

from api.queries.contract import SketchOfWindows
from api.queries.postgres_client import Row, entity_query
from mobility.entities import Entity
from mobility.sketched_measures import Sketch

_PARTS: Final = "parts_of_"
_TRIPS: Final = "trips_of_"

# Lists of records have whole records of 8 bytes.
_OF_SKETCH: Final = sql.SQL(
    "ARRAY[string_agg({name}, '') FILTER (WHERE mod(length({name}), 8) = 0)] "
    "|| array_agg({name}) FILTER (WHERE mod(length({name}), 8) > 0) AS {parts}, "
    "coalesce(sum(trip_count) FILTER (WHERE {name} IS NOT NULL), 0) AS {trips}, "
)


def distribution_query(
    entity: Entity, entity_id: str | None, sketches: Sequence[Sketch]
) -> sql.Composed:
    """Return the query of sketches of an id, or of all ids."""
    of_sketches = [
        _OF_SKETCH.format(
            name=sql.Identifier(each.name),
            parts=sql.Identifier(_PARTS + each.name),
            trips=sql.Identifier(_TRIPS + each.name),
        )
        for each in sketches
    ]
    is_of_all = entity_id is None
    return entity_query(
        entity,
        "distribution.sql",
        sketches=sql.Composed(of_sketches),
        chosen=sql.SQL("true" if is_of_all else "id = %(id)s"),
        newest_window=entity_query(entity, f"newest_window{'' if is_of_all else '_of_id'}.sql"),
    )


def to_sketches(row: Row, sketches: Sequence[Sketch]) -> dict[str, SketchOfWindows]:
    """Return the sketches in the row, by name, without those that no window has."""
    found = {
        each.name: SketchOfWindows(
            [part for part in row[_PARTS + each.name] if part is not None],
            int(row[_TRIPS + each.name]),
        )
        for each in sketches
        if _PARTS + each.name in row
    }
    return {name: each for name, each in found.items() if each.parts}
