"""What requests are made of: parameters that several routes take, and what they mean."""

from http import HTTPStatus
from typing import Annotated, Final

from litestar.openapi.spec import Example
from litestar.params import PathParameter, QueryParameter

from api.errors import BadQuery
from api.representation.problems import problem
from api.routes.paths import decode_id, is_storable
from mobility.entities import BY_NAME, Entity

EntityName = Annotated[
    str,
    PathParameter(description="What trips are counted for.", schema_extra={"enum": list(BY_NAME)}),
]
EncodedId = Annotated[
    str,
    PathParameter(
        description="An id, percent-encoded as a whole.",
        examples=[Example(value="scooter"), Example(value="a%2Fb")],
    ),
]
From = Annotated[
    str | None,
    QueryParameter(
        name="from",
        description="Count windows that start at this time or later (ISO 8601; without an offset "
        "it is UTC, or `tz` where there is one).",
        format="date-time",
        examples=[Example(value="2025-01-01T08:00:00Z")],
    ),
]
To = Annotated[
    str | None,
    QueryParameter(
        name="to",
        description="Count windows that start before this time.",
        format="date-time",
        examples=[Example(value="2025-01-01T09:00:00Z")],
    ),
]
AskedId: Final = QueryParameter(
    name="id",
    description="An id, whatever characters it has.",
    examples=[Example(value="scooter"), Example(value="a/b")],
)


def entity_of(name: str) -> Entity:
    """Return an entity by its name; raises the problem that there is none."""
    entity = BY_NAME.get(name)
    if entity is None:
        raise problem(HTTPStatus.NOT_FOUND, f"No such entity; there are {', '.join(BY_NAME)}")
    return entity


def id_in_path(entity: Entity, segment: str) -> str:
    """Return the id that a segment encodes; raises the problem that no store can hold it."""
    entity_id = decode_id(segment)
    if entity_id is None:
        raise unknown(entity)
    return entity_id


def id_in_query(entity: Entity, entity_id: str) -> str:
    """Return an id; raises the problem that no store can hold it."""
    if not is_storable(entity_id):
        raise unknown(entity)
    return entity_id


def unknown(entity: Entity) -> Exception:
    """Return the problem that nothing is known of an id."""
    return problem(HTTPStatus.NOT_FOUND, f"No trips were counted for this {entity.name}")


def prefix_of(text: str) -> str:
    """Return what ids shall begin with; raises BadQuery where none can."""
    if not is_storable(text):
        msg = "prefix: no id has such characters"
        raise BadQuery(msg)
    return text
