"""`/live`: the changes of an entity, or of one of its ids."""

from http import HTTPStatus
from typing import Annotated, Final

from litestar import get
from litestar.di import NamedDependency
from litestar.openapi.datastructures import ResponseSpec
from litestar.params import FromPath, FromQuery, HeaderParameter
from litestar.types import ASGIApp

from api.live.event_stream import EventStream
from api.live.hub import LiveHub
from api.middleware import NOT_MEASURED
from api.representation.problems import problem
from api.routes.parameters import decode_id, entity_by_name

_OPT: Final = {NOT_MEASURED: True}

LastEventId = Annotated[str | None, HeaderParameter(name="Last-Event-ID")]

_EVENTS: Final = {
    200: ResponseSpec(
        data_container=str,
        media_type="text/event-stream",
        generate_examples=False,
        description=(
            "Events without end: `windows` with the windows that changed, `gap` if some changes "
            "were missed, `away` when Redis does not answer and `back` when it does again."
        ),
    )
}


@get("/live/{entity_name:str}", opt=_OPT, media_type="text/event-stream", responses=_EVENTS)
async def live_entity(
    entity_name: FromPath[str],
    hub: NamedDependency[LiveHub | None],
    id: FromQuery[str | None] = None,  # noqa: A002 - the name in the URL
    last_event_id: LastEventId = None,
) -> ASGIApp:
    """Send the windows of an entity, or of the id in `?id=`, as they change."""
    return _subscribe(hub, entity_name, id, last_event_id)


@get(
    "/live/{entity_name:str}/{entity_id:str}",
    opt=_OPT,
    media_type="text/event-stream",
    responses=_EVENTS,
)
async def live_id(
    entity_name: FromPath[str],
    entity_id: FromPath[str],
    hub: NamedDependency[LiveHub | None],
    last_event_id: LastEventId = None,
) -> ASGIApp:
    """Send the windows of one id as they change; the id may have none yet."""
    found_id = decode_id(entity_id)
    if found_id is None:
        raise problem(HTTPStatus.NOT_FOUND, "The path has no valid id")
    return _subscribe(hub, entity_name, found_id, last_event_id)


def _subscribe(
    hub: LiveHub | None, entity_name: str, entity_id: str | None, last_id: str | None
) -> ASGIApp:
    entity = entity_by_name(entity_name)
    if hub is None:
        raise problem(
            HTTPStatus.NOT_FOUND,
            "Live events come from Redis, and MOBILITY_STORES does not name it",
            slug="needs-redis",
        )
    if hub.is_full:
        raise problem(
            HTTPStatus.SERVICE_UNAVAILABLE,
            f"{hub.max_subscribers:,} readers are connected, which is the limit",
            slug="too-many-readers",
            headers={"Retry-After": "10"},
        )
    return EventStream(hub.channel(entity), entity_id, last_id)
