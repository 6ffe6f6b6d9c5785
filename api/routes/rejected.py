"""Rejected messages: dead letters and late trips, as they are in Kafka now."""

import asyncio
from typing import Annotated, Final

from litestar import Response, get
from litestar.di import NamedDependency
from litestar.params import QueryParameter

from api.access.authentication import EVERY_ENTITY
from api.errors import KafkaRequiredError
from api.queries.rejected_topics import RejectedTopics
from api.representation.openapi import KafkaOperation
from api.representation.rejected import RejectedResponse, decode_position, to_rejected_response
from mobility.rejected_messages import DEAD, LATE, RejectedKind
from mobility.settings import Settings

MAX_LIMIT: Final = 200
DEFAULT_LIMIT: Final = 50

_OPT: Final = {EVERY_ENTITY: True}
_HEADERS: Final = {"Cache-Control": "no-cache"}

Limit = Annotated[
    int,
    QueryParameter(ge=1, le=MAX_LIMIT, description=f"The number of messages, up to {MAX_LIMIT}."),
]
PageCursor = Annotated[
    str | None, QueryParameter(description="The value of `next` in the previous page.")
]
Reason = Annotated[
    str | None,
    QueryParameter(description="List dead letters of this reason only; `reasons` has all counts."),
]


@get(
    "/rejected/dead-letters",
    summary="Dead letters, the newest first",
    operation_class=KafkaOperation,
    opt=_OPT,
)
async def dead_letters(
    settings: NamedDependency[Settings],
    rejected: NamedDependency[RejectedTopics | None],
    reason: Reason = None,
    limit: Limit = DEFAULT_LIMIT,
    cursor: PageCursor = None,
) -> Response[RejectedResponse]:
    """Return messages that are no valid trips, with their reasons, in pages.

    The counts of the reasons are of the newest messages that were read for the page, up to 5,000.
    A page may have fewer messages than the limit, or none, and a next page all the same.
    """
    return await _page(DEAD, settings, rejected, reason, limit, cursor)


@get(
    "/rejected/late-trips",
    summary="Late trips, the newest first",
    operation_class=KafkaOperation,
    opt=_OPT,
)
async def late_trips(
    settings: NamedDependency[Settings],
    rejected: NamedDependency[RejectedTopics | None],
    limit: Limit = DEFAULT_LIMIT,
    cursor: PageCursor = None,
) -> Response[RejectedResponse]:
    """Return trips whose windows accepted none any more, in pages."""
    return await _page(LATE, settings, rejected, None, limit, cursor)


async def _page(
    kind: RejectedKind,
    settings: Settings,
    rejected: RejectedTopics | None,
    reason: str | None,
    limit: int,
    cursor: str | None,
) -> Response[RejectedResponse]:
    if rejected is None:
        raise KafkaRequiredError
    before = None if cursor is None else decode_position(kind, reason, cursor)
    found = await rejected.newest(kind, before)

    def respond() -> RejectedResponse:
        page = None if found is None else found.page(reason, limit)
        return to_rejected_response(kind, settings, reason, page)

    # To escape many bytes would hold up other requests.
    return Response(await asyncio.to_thread(respond), headers=_HEADERS)
