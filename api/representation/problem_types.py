"""The problem types of the API (RFC 9457), which `/problems/<slug>` explains."""

from http import HTTPStatus
from typing import Final

import msgspec


class ProblemType(msgspec.Struct, frozen=True):
    """A problem type: its status, what happened, and what to do about it."""

    status: HTTPStatus
    what: str
    do: str


PROBLEM_TYPES: Final = {
    "bad-request": ProblemType(
        HTTPStatus.BAD_REQUEST,
        "A parameter or the body is invalid. The detail begins with its name.",
        "Correct what the detail names; /schema lists all parameters with examples.",
    ),
    "range-too-long": ProblemType(
        HTTPStatus.BAD_REQUEST,
        "The series has more buckets than one response may hold (10,000).",
        "Use a coarser `granularity`, or several shorter ranges. The windows of all ids have no "
        "such limit.",
    ),
    "token-needed": ProblemType(
        HTTPStatus.UNAUTHORIZED,
        "The API requires a token, and this request has none, or one that is not valid.",
        "Send `Authorization: Bearer` with a token; the operator of the API creates one with `just "
        "token NAME`. Pages exchange it for a cookie with POST /session.",
    ),
    "out-of-scope": ProblemType(
        HTTPStatus.FORBIDDEN,
        "The token is valid, but its scopes do not include this entity, or not all entities where "
        "the answer is about all, as that of rejected messages.",
        "GET /session lists the entities in its scopes; ask the operator for a token with more.",
    ),
    "unknown-host": ProblemType(
        HTTPStatus.MISDIRECTED_REQUEST,
        "The API does not answer to the name in the Host header. This protects it from pages of "
        "other sites whose name resolves to this machine.",
        "Use 127.0.0.1 or localhost, or set MOBILITY_API_HOSTS to the name in the URL.",
    ),
    "too-many-requests": ProblemType(
        HTTPStatus.TOO_MANY_REQUESTS,
        "This address sent more requests within a second than the limit allows.",
        "Wait for the seconds in the Retry-After header; MOBILITY_API_RATE is the limit. POST "
        "/batch answers for many ids at once.",
    ),
    "too-many-readers": ProblemType(
        HTTPStatus.SERVICE_UNAVAILABLE,
        "The maximum number of readers of live events is connected.",
        "Try again after the seconds in the Retry-After header, or raise "
        "MOBILITY_API_LIVE_READERS.",
    ),
    "too-many-exports": ProblemType(
        HTTPStatus.SERVICE_UNAVAILABLE,
        "The maximum number of exports is running; more would make other requests wait.",
        "Try again after the seconds in the Retry-After header. One export with `from`, `to`, "
        "`hours` and `weekdays` takes the place of many.",
    ),
    "needs-measures": ProblemType(
        HTTPStatus.NOT_FOUND,
        "Distributions of single trips come from optional measures, and none is computed.",
        "Set MOBILITY_MEASURES for the flow and the API, such as MOBILITY_MEASURES=all, and start "
        "both again: windows from then on have them. /summary has percentiles over ids.",
    ),
    "needs-redis": ProblemType(
        HTTPStatus.NOT_FOUND,
        "Live events come from Redis, and the system runs without Redis.",
        "Run it with Redis (MOBILITY_STORES=redis,postgres), or poll.",
    ),
    "needs-kafka": ProblemType(
        HTTPStatus.NOT_FOUND,
        "Dead letters and late trips are read from Kafka, which this API does not read.",
        "Start it without MOBILITY_API_KAFKA=false and with valid settings of Kafka, or use `just "
        "dlq` and `just late`.",
    ),
    "kafka-unavailable": ProblemType(
        HTTPStatus.SERVICE_UNAVAILABLE,
        "Dead letters and late trips are read from Kafka, which does not answer in time, or does "
        "not let this API read them. The detail says which. All other answers come from the "
        "stores.",
        "Try again after the seconds in the Retry-After header, if Kafka does not answer. If it "
        "refuses the API, see the ACLs in docs/security.md.",
    ),
    "not-found": ProblemType(
        HTTPStatus.NOT_FOUND,
        "There is no such path, entity or id. An id exists once a trip was counted for it; with "
        "Redis alone, only for a day after its last change.",
        "Check the spelling and the encoding: in a path an id is percent-encoded. Any id can also "
        "be given as `?id=`.",
    ),
    "beyond-ledger": ProblemType(
        HTTPStatus.NOT_FOUND,
        "The range begins before the windows that are kept: those before were dropped "
        "(MOBILITY_RETENTION), or Redis is the only store and keeps those of hours. The member "
        "`reaches` is the time from which on there are all windows.",
        "Begin the range at `reaches` or later; with Postgres, also before that where it begins "
        "and ends with an hour of the default time zone, as each bucket does, or with a day of its "
        "winter, where hours are not kept of these ids. Totals of all time, "
        "which have no range, count everything. With Redis alone, run the system with Postgres "
        "(MOBILITY_STORES=redis,postgres) for series of any age.",
    ),
    "needs-postgres": ProblemType(
        HTTPStatus.NOT_FOUND,
        "Lists that are sorted or of a range, batches of a range, top ids, summaries, comparisons "
        "and windows of all ids need Postgres, and the system runs without Postgres.",
        "Run it with Postgres (MOBILITY_STORES=redis,postgres), or query single ids.",
    ),
    "method-not-allowed": ProblemType(
        HTTPStatus.METHOD_NOT_ALLOWED,
        "The path exists, but not for this method.",
        "Use a method from the Allow header.",
    ),
    "not-acceptable": ProblemType(
        HTTPStatus.NOT_ACCEPTABLE,
        "The response has none of the formats in the Accept header.",
        "Accept application/json; windows also come as application/x-ndjson, text/csv and "
        "application/vnd.apache.parquet, or with `format` as ndjson, csv and parquet.",
    ),
    "content-too-large": ProblemType(
        HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
        "The body is larger than this API accepts.",
        "Send fewer ids at once: up to 1,000.",
    ),
    "internal-server-error": ProblemType(
        HTTPStatus.INTERNAL_SERVER_ERROR,
        "A fault in the API itself.",
        "The log of the API has the error; please report it.",
    ),
    "service-unavailable": ProblemType(
        HTTPStatus.SERVICE_UNAVAILABLE,
        "The stores that could answer are down, or do not answer in time. The detail names each of "
        "them with the reason. Redis beside Postgres has nothing but totals of ids: without "
        "Postgres there are no series, ranges and lists, and an id that Redis lacks may exist.",
        "Try again after the seconds in the Retry-After header. /health shows the stores.",
    ),
}
