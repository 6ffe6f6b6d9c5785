"""The entities that trips are counted for: one table, one row each."""

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Entity:
    """Something whose trips are counted.

    `name` stands in topics, keys, tables and paths; `id_field` is the JSON field that carries the
    id; `id_column` is the column of an enriched trips frame that the id is taken from, where null
    means that the trip is not counted for this entity. `rollups` are those that are worth their
    space (mobility/rollups.py): an id with a trip or two a day has as many days as windows.
    """

    name: str
    id_field: str
    id_column: str
    rollups: frozenset[str] = frozenset()


ENTITIES: Final = (
    Entity("driver", id_field="driver_id", id_column="driver_id", rollups=frozenset({"days"})),
    Entity("passenger", id_field="passenger_id", id_column="passenger_id"),
    Entity(
        "vehicle_type",
        id_field="vehicle_type",
        id_column="vehicle_type",
        rollups=frozenset({"days", "hours"}),
    ),
    Entity(
        "h3",
        id_field="h3_region",
        id_column="h3_region",
        rollups=frozenset({"days", "hours"}),
    ),
)

BY_NAME: Final = {entity.name: entity for entity in ENTITIES}
