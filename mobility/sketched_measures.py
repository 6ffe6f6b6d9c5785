"""The optional measures: sketches of the trips of an id in a window. One table, one row each.

They are computed where MOBILITY_MEASURES names them, beside those of mobility/measures.py.
"""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Final, Literal

from mobility.entities import BY_NAME, Entity

SketchKind = Literal["histogram", "distinct"]
"""How sketches merge: the counts of histograms by addition, sets of distinct texts by union."""


@dataclass(frozen=True, slots=True)
class Sketch:
    """A measure in bounded space: it merges in any order to the same bytes (mobility/sketches).

    `name` is stored data: it stands in settings, recovery state, topics and the ledger of Postgres,
    not in totals. It is null where it is not known: in a window that was open when it was not
    computed. `input` is the column of counted trips that it is of. The API answers with what is
    derived from it, in the field `answer`. It is computed for these `entities`, by name; without
    them for all.
    """

    name: str
    kind: SketchKind
    input: str
    answer: str
    entities: tuple[str, ...] = tuple(BY_NAME)


SKETCHES: Final = (
    Sketch("duration_histogram", "histogram", "duration", answer="trip_duration"),
    Sketch("distance_histogram", "histogram", "distance", answer="trip_distance"),
    Sketch("price_histogram", "histogram", "revenue", answer="trip_price"),
    Sketch(
        *("distinct_passengers", "distinct", "passenger_id", "passengers"),
        entities=("driver", "vehicle_type", "h3"),
    ),
    Sketch(
        *("distinct_drivers", "distinct", "driver_id", "drivers"), entities=("vehicle_type", "h3")
    ),
)

SKETCH_BY_NAME: Final = {each.name: each for each in SKETCHES}


def sketches_named(names: Collection[str]) -> tuple[Sketch, ...]:
    """Return the sketches with these names, in the order of the table."""
    return tuple(each for each in SKETCHES if each.name in names)


def sketches_of(entity: Entity, names: Collection[str]) -> tuple[Sketch, ...]:
    """Return those of the sketches with these names that are computed for an entity."""
    return tuple(each for each in sketches_named(names) if entity.name in each.entities)
