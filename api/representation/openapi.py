"""What the OpenAPI document says of every question: what can go wrong, and how it is told."""

from dataclasses import dataclass
from http import HTTPStatus
from typing import Final

from litestar.openapi.spec import (
    OpenAPIFormat,
    OpenAPIHeader,
    OpenAPIMediaType,
    OpenAPIResponse,
    OpenAPIType,
    Operation,
    Schema,
)

from api.representation.formats import CSV, NDJSON, PARQUET
from api.representation.problem_types import KINDS

PROBLEM: Final = "application/problem+json"

_ANYWHERE: Final = ("bad-request", "not-found", "too-many-requests")
_CLOSED: Final = ("token-needed", "out-of-scope")

_TEXT: Final = Schema(type=OpenAPIType.STRING)
_PROBLEM: Final = Schema(
    type=OpenAPIType.OBJECT,
    title="Problem",
    description="Problem details (RFC 9457); /problems/<slug> explains the type.",
    properties={
        "type": Schema(type=OpenAPIType.STRING, format=OpenAPIFormat.URI_REFERENCE),
        "title": _TEXT,
        "status": Schema(type=OpenAPIType.INTEGER),
        "detail": _TEXT,
    },
    required=["type", "title", "status", "detail"],
)
_TAG: Final = {"ETag": OpenAPIHeader(schema=_TEXT, description="Of this answer, weak.")}


def problem_response(slug: str, **headers: OpenAPIHeader) -> tuple[str, OpenAPIResponse]:
    """Return the status and the response that a type of problem is documented by."""
    kind = KINDS[slug]
    example = {
        "type": f"/problems/{slug}",
        "title": kind.status.phrase,
        "status": kind.status.value,
        "detail": "…",
    }
    content = OpenAPIMediaType(schema=_PROBLEM, example=example)
    return str(kind.status.value), OpenAPIResponse(
        description=kind.what, content={PROBLEM: content}, headers=dict(headers)
    )


@dataclass
class Explanation(Operation):
    """A question that needs no store."""

    def __post_init__(self) -> None:
        """Add what can go wrong, and that the newest answer is not sent again."""
        self.responses = {
            **(self.responses or {}),
            "304": OpenAPIResponse(
                description="If-None-Match names this answer.", headers={**_TAG}
            ),
            **dict(map(problem_response, _ANYWHERE)),
        }


@dataclass
class Question(Explanation):
    """A question to the stores."""

    def __post_init__(self) -> None:
        """Add that it may take a token, and that none of them may answer."""
        super().__post_init__()
        seconds = OpenAPIHeader(
            schema=Schema(type=OpenAPIType.INTEGER), description="Seconds to wait."
        )
        status, down = problem_response("service-unavailable", **{"Retry-After": seconds})
        refused = dict(map(problem_response, _CLOSED))
        self.responses = {**(self.responses or {}), **refused, status: down}


@dataclass
class SeriesQuestion(Question):
    """A question whose answer comes in several formats."""

    def __post_init__(self) -> None:
        """Add the other formats, and that none of them may do."""
        super().__post_init__()
        responses = self.responses or {}
        found = responses[str(HTTPStatus.OK.value)]
        if isinstance(found, OpenAPIResponse) and found.content is not None:
            found.content |= {
                media_type: OpenAPIMediaType(schema=_TEXT) for media_type in (NDJSON, CSV, PARQUET)
            }
        status, refused = problem_response("not-acceptable")
        self.responses = {**responses, status: refused}


@dataclass
class BatchQuestion(Question):
    """A question with a body."""

    def __post_init__(self) -> None:
        """Add that it may be too large; an answer to a POST has no tag."""
        super().__post_init__()
        status, refused = problem_response("content-too-large")
        responses = {**(self.responses or {}), status: refused}
        del responses["304"]
        self.responses = responses
