"""What the types of problems mean, for people: `/problems/<slug>` tells it."""

from http import HTTPStatus
from typing import Final

import msgspec


class Kind(msgspec.Struct, frozen=True):
    """A type of problem (RFC 9457): what has happened, and what to do about it."""

    status: HTTPStatus
    what: str
    do: str


KINDS: Final = {
    "bad-request": Kind(
        HTTPStatus.BAD_REQUEST,
        "A parameter or the body can't be used. The detail begins with its name.",
        "Put right what the detail names; /schema lists all parameters with examples.",
    ),
    "range-too-long": Kind(
        HTTPStatus.BAD_REQUEST,
        "A series of more spans than one answer holds (10,000).",
        "Ask for a coarser `granularity`, or for several shorter ranges.",
    ),
    "token-needed": Kind(
        HTTPStatus.UNAUTHORIZED,
        "The API takes requests with a token only, and this one has none, or none of ours.",
        "Send `Authorization: Bearer` with a token; whoever runs the API makes one with `just "
        "token NAME`. Pages exchange it for a cookie by POST /session.",
    ),
    "out-of-scope": Kind(
        HTTPStatus.FORBIDDEN,
        "The token is ours, but does not open this entity.",
        "GET /session names the entities that it opens; ask for a token with more.",
    ),
    "unknown-host": Kind(
        HTTPStatus.MISDIRECTED_REQUEST,
        "The API was asked by a name that it does not go by. This keeps pages of other sites from "
        "pointing names of their own at it.",
        "Ask by 127.0.0.1 or localhost, or set MOBILITY_API_HOSTS to the name in the URL.",
    ),
    "too-many-requests": Kind(
        HTTPStatus.TOO_MANY_REQUESTS,
        "More requests came from this address within a second than one may send.",
        "Wait as long as the header Retry-After says; MOBILITY_API_RATE is the limit. POST /batch "
        "answers for many ids at once.",
    ),
    "too-many-readers": Kind(
        HTTPStatus.SERVICE_UNAVAILABLE,
        "As many readers of live events are served as may be at once.",
        "Come again after the seconds that the header Retry-After names, or raise "
        "MOBILITY_API_LIVE_READERS.",
    ),
    "needs-redis": Kind(
        HTTPStatus.NOT_FOUND,
        "Live events come from Redis, and the system runs without it.",
        "Run it with Redis (MOBILITY_STORES=redis,postgres), or ask again from time to time.",
    ),
    "not-found": Kind(
        HTTPStatus.NOT_FOUND,
        "There is no such path, entity or id. An id is there once a trip was counted for it, and "
        "with Redis alone only for a day after its last news.",
        "Check spelling and encoding: in a path an id is percent-encoded. Any id can also be given "
        "as `?id=`.",
    ),
    "beyond-ledger": Kind(
        HTTPStatus.NOT_FOUND,
        "The range begins before the windows that Redis keeps of this id, and there is no Postgres "
        "to ask. The member `reaches` says from when on they are whole.",
        "Begin the range at `reaches` or later, or run the system with Postgres "
        "(MOBILITY_STORES=redis,postgres) for series of any age.",
    ),
    "needs-postgres": Kind(
        HTTPStatus.NOT_FOUND,
        "Sorted lists, tops, summaries and comparisons of all ids are answered by Postgres, and "
        "the system runs without it.",
        "Run it with Postgres (MOBILITY_STORES=redis,postgres), or ask for single ids.",
    ),
    "method-not-allowed": Kind(
        HTTPStatus.METHOD_NOT_ALLOWED,
        "The path is there, but not for this method.",
        "Use a method that the header Allow names.",
    ),
    "not-acceptable": Kind(
        HTTPStatus.NOT_ACCEPTABLE,
        "None of the formats that the header Accept names can be had here.",
        "Accept application/json; series come as application/x-ndjson, text/csv and "
        "application/vnd.apache.parquet too.",
    ),
    "content-too-large": Kind(
        HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
        "The body is larger than any that this API takes.",
        "Send fewer ids at once: up to 1,000.",
    ),
    "internal-server-error": Kind(
        HTTPStatus.INTERNAL_SERVER_ERROR,
        "A fault of the API itself.",
        "Its log tells what it was; please report it.",
    ),
    "service-unavailable": Kind(
        HTTPStatus.SERVICE_UNAVAILABLE,
        "The stores that could answer do not, or not in time. The detail names each with its "
        "reason.",
        "Ask again after the seconds that the header Retry-After names. /health shows the stores.",
    ),
}
