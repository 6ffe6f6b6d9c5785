"""Parameters that several routes take: entities, ids in paths and queries, ranges."""

from collections.abc import Sequence
from http import HTTPStatus
from typing import Annotated, Any, Final
from urllib.parse import unquote_to_bytes
from zoneinfo import ZoneInfo

from litestar import Request
from litestar.enums import ParamType, ScopeType
from litestar.handlers import HTTPRouteHandler
from litestar.openapi.spec import Example
from litestar.params import ParameterKwarg, PathParameter, QueryParameter
from litestar.types import ASGIApp, Receive, Scope, Send

from api.errors import InvalidParameterError, MeasuresRequiredError
from api.queries.buckets import time_zone
from api.representation.formats import Format
from api.representation.problems import problem
from mobility.entities import BY_NAME, Entity
from mobility.settings import Settings
from mobility.sketched_measures import Sketch, sketches_of

EntityName = Annotated[
    str,
    PathParameter(
        description="The entity: what trips are counted for.", schema_extra={"enum": list(BY_NAME)}
    ),
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
        description="Count windows that start at this time or later (ISO 8601). Without an "
        "offset, as in 2025-01-01 or 2025-01-01T08:00, it is a local time of `tz`: the first "
        "of two if clocks show it twice, and by the offset before if they skip it.",
        format="date-time",
        examples=[Example(value="2025-01-01T08:00:00Z")],
    ),
]
To = Annotated[
    str | None,
    QueryParameter(
        name="to",
        description="Count windows that start before this time (ISO 8601, as `from`).",
        format="date-time",
        examples=[Example(value="2025-01-01T09:00:00Z")],
    ),
]
TimeZoneParameter = Annotated[
    str | None,
    QueryParameter(
        description="The time zone of days, hours and times without an offset: a name of the IANA "
        "database. By default it is that of the system (`MOBILITY_TIMEZONE`, or else UTC).",
        examples=[Example(value="Europe/Berlin"), Example(value="UTC")],
    ),
]
FormatParameter = Annotated[
    Format | None,
    QueryParameter(name="format", description="The format, in place of that in the Accept header."),
]
RawParameter = Annotated[
    bool,
    QueryParameter(
        description="In CSV, ids that a spreadsheet would run as a formula begin with an "
        "apostrophe; with `raw=1` they are as they are."
    ),
]
QUERY_ID: Final = QueryParameter(
    name="id",
    description="An id, with any characters.",
    examples=[Example(value="scooter"), Example(value="a/b")],
)

_ID_PATHS: Final = {b"/metrics/": (b"/windows", b"/distribution"), b"/live/": ()}
"""The beginnings of paths with an entity and an id, and what may follow the id."""


class EncodedIdPaths:
    """ASGI middleware that keeps the id in a path encoded, so that it is one path segment.

    ASGI servers decode a path before it is routed, which makes two segments of `a%2Fb`, and none of
    `%2F`. All that follows `/metrics/<entity>/` is the id, except for `/windows` or `/distribution`
    at the end; an id that ends so must have that slash encoded.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Route by the path as it was sent if it has an id."""
        if scope["type"] == ScopeType.HTTP:
            path, _, _ = scope["raw_path"].partition(b"?")
            for start, tails in _ID_PATHS.items():
                entity, _, rest = path.removeprefix(start).partition(b"/")
                if path.startswith(start) and rest:
                    encoded = start + entity + b"/" + _encode_slashes(rest, tails)
                    scope["path"] = encoded.decode("latin-1")
        await self._app(scope, receive, send)


async def reject_unknown_parameters(request: Request[Any, Any, Any]) -> None:
    """Raise InvalidParameterError for parameters that the route lacks (a before_request hook).

    Without this a misspelt `form=` would give the numbers of all time. Of a parameter that is given
    twice only one would count. Routes that are not in the schema are those of pages, which read
    parameters themselves, and of scrapers.
    """
    handler = request.route_handler
    if not request.scope["query_string"] or not isinstance(handler, HTTPRouteHandler):
        return
    if not handler.resolve_include_in_schema():
        return
    known = _query_names(handler)
    names = [name for name, _ in request.query_params.multi_items()]
    for name in names:
        if name not in known:
            takes = f"the parameters are {', '.join(known)}" if known else "there are none here"
            msg = f"{name or repr(name)}: unknown; {takes}"
            raise InvalidParameterError(msg)
        if names.count(name) > 1:
            msg = f"{name}: given more than once"
            raise InvalidParameterError(msg)


def _query_names(handler: HTTPRouteHandler) -> list[str]:
    """Return the names of the query parameters that a route takes."""
    fields = handler.parsed_fn_signature.parameters.items()
    definitions = (
        (name, field.kwarg_definition) for name, field in fields if not field.is_di_field
    )
    return [
        definition.name or name
        for name, definition in definitions
        if isinstance(definition, ParameterKwarg) and definition.param_type == ParamType.QUERY
    ]


def _encode_slashes(rest: bytes, tails: Sequence[bytes]) -> bytes:
    """Return an id and its tail with all slashes in the id encoded."""
    tail = next((tail for tail in tails if rest.endswith(tail)), b"")
    entity_id = rest.removesuffix(tail)
    if not entity_id:
        return rest.replace(b"/", b"%2F")
    return entity_id.replace(b"/", b"%2F") + rest[len(entity_id) :]


def decode_id(segment: str) -> str | None:
    """Return the id that a path segment encodes; None if no store can have such an id.

    >>> decode_id("caf%C3%A9%2F7")
    'café/7'
    >>> decode_id("%FF") is None
    True
    """
    try:
        entity_id = unquote_to_bytes(segment).decode()
    except UnicodeDecodeError:
        return None
    return entity_id if is_storable(entity_id) else None


def is_storable(entity_id: str) -> bool:
    r"""Return whether stores can have such an id: UTF-8 (no lone surrogates) without a NUL.

    >>> is_storable("a/b"), is_storable("a\0b")
    (True, False)
    """
    try:
        return b"\0" not in entity_id.encode()
    except UnicodeEncodeError:
        return False


def entity_by_name(name: str) -> Entity:
    """Return an entity; raises a problem for an unknown name."""
    entity = BY_NAME.get(name)
    if entity is None:
        raise problem(
            HTTPStatus.NOT_FOUND, f"Unknown entity; the entities are {', '.join(BY_NAME)}"
        )
    return entity


def zone_from_query(tz: str | None, default: ZoneInfo) -> ZoneInfo:
    """Return the time zone of a request; raises InvalidParameterError for an unknown name."""
    return default if tz is None else time_zone(tz)


def id_from_path(entity: Entity, segment: str) -> str:
    """Return the id that a path segment encodes; raises the problem of an unknown id."""
    entity_id = decode_id(segment)
    if entity_id is None:
        raise unknown_id(entity)
    return entity_id


def id_from_query(entity: Entity, entity_id: str) -> str:
    """Return an id that stores can have; raises the problem of an unknown id."""
    if not is_storable(entity_id):
        raise unknown_id(entity)
    return entity_id


def unknown_id(entity: Entity) -> Exception:
    """Return the problem that no store knows the id."""
    return problem(HTTPStatus.NOT_FOUND, f"No trips were counted for this {entity.name}")


def required_sketches(entity: Entity, settings: Settings) -> Sequence[Sketch]:
    """Return the optional measures of an entity; raises MeasuresRequiredError without any."""
    sketches = sketches_of(entity, settings.measures)
    if not sketches:
        raise MeasuresRequiredError(entity.name)
    return sketches


def check_prefix(prefix: str) -> str:
    """Return a prefix of ids; raises InvalidParameterError if no id can have it."""
    if not is_storable(prefix):
        msg = "prefix: has characters that no id has"
        raise InvalidParameterError(msg)
    return prefix
