"""`/live`: the changes of an entity, or of one of its ids."""

from http import HTTPStatus
from typing import Annotated, Final

from litestar import get
from litestar.di import NamedDependency
from litestar.openapi.datastructures import ResponseSpec
from litestar.params import FromPath, FromQuery, HeaderParameter
from litestar.types import ASGIApp

from api.live.event_stream import EventStream
from api.live.hub import Hub
from api.representation.problems import problem
from api.routes.parameters import entity_of
from api.routes.paths import decode_id
from api.status.prometheus import UNCOUNTED

_OPT: Final = {UNCOUNTED: True}

LastId = Annotated[str | None, HeaderParameter(name="Last-Event-ID")]

_EVENTS: Final = {
    200: ResponseSpec(
        data_container=str,
        media_type="text/event-stream",
        generate_examples=False,
        description=(
            "Events without end: `windows` with the windows that changed, `gap` where some were "
            "missed, `away` and `back` as Redis goes and comes."
        ),
    )
}


@get("/live/{entity_name:str}", opt=_OPT, media_type="text/event-stream", responses=_EVENTS)
async def live_entity(
    entity_name: FromPath[str],
    hub: NamedDependency[Hub | None],
    id: FromQuery[str | None] = None,  # noqa: A002 - the name in the URL
    last_event_id: LastId = None,
) -> ASGIApp:
    """Send the windows of an entity, or of the id in `?id=`, as they change."""
    return _stream(hub, entity_name, id, last_event_id)


@get(
    "/live/{entity_name:str}/{entity_id:str}",
    opt=_OPT,
    media_type="text/event-stream",
    responses=_EVENTS,
)
async def live_id(
    entity_name: FromPath[str],
    entity_id: FromPath[str],
    hub: NamedDependency[Hub | None],
    last_event_id: LastId = None,
) -> ASGIApp:
    """Send the windows of one id as they change; one that has none yet may get some."""
    found = decode_id(entity_id)
    if found is None:
        raise problem(HTTPStatus.NOT_FOUND, "No id can be written like that")
    return _stream(hub, entity_name, found, last_event_id)


def _stream(hub: Hub | None, entity_name: str, entity_id: str | None, last: str | None) -> ASGIApp:
    entity = entity_of(entity_name)
    if hub is None:
        raise problem(
            HTTPStatus.NOT_FOUND,
            "Live events come from Redis, and this system runs without it",
            slug="needs-redis",
        )
    if hub.is_full:
        raise problem(
            HTTPStatus.SERVICE_UNAVAILABLE,
            f"{hub.most:,} readers are served already",
            slug="too-many-readers",
            headers={"Retry-After": "10"},
        )
    return EventStream(hub.channel(entity), entity_id, last)
