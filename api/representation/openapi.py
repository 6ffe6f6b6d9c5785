"""Operations of the OpenAPI document, with the problems that each can answer with."""

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

from api.representation.formats import MEDIA_TYPES, ROW_FORMATS
from api.representation.problem_types import PROBLEM_TYPES

PROBLEM_JSON: Final = "application/problem+json"

_ALWAYS: Final = ("bad-request", "not-found", "too-many-requests")
_WITH_TOKENS: Final = ("token-needed", "out-of-scope")

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
_ETAG: Final = {"ETag": OpenAPIHeader(schema=_TEXT, description="A weak tag of this response.")}


def problem_response(slug: str, **headers: OpenAPIHeader) -> tuple[str, OpenAPIResponse]:
    """Return the status of a problem type, and its response in the document."""
    problem_type = PROBLEM_TYPES[slug]
    example = {
        "type": f"/problems/{slug}",
        "title": problem_type.status.phrase,
        "status": problem_type.status.value,
        "detail": "…",
    }
    content = OpenAPIMediaType(schema=_PROBLEM, example=example)
    return str(problem_type.status.value), OpenAPIResponse(
        description=problem_type.what, content={PROBLEM_JSON: content}, headers=dict(headers)
    )


@dataclass
class PublicOperation(Operation):
    """An operation without a token and without a store."""

    def __post_init__(self) -> None:
        """Add the problems of every operation, and the response without a body."""
        self.responses = {
            **(self.responses or {}),
            "304": OpenAPIResponse(
                description="If-None-Match has the tag of this response.", headers={**_ETAG}
            ),
            **dict(map(problem_response, _ALWAYS)),
        }


@dataclass
class QueryOperation(PublicOperation):
    """An operation that queries the stores."""

    unavailable = "service-unavailable"

    def __post_init__(self) -> None:
        """Add the problems of tokens, and of what does not answer."""
        super().__post_init__()
        seconds = OpenAPIHeader(
            schema=Schema(type=OpenAPIType.INTEGER), description="Seconds to wait."
        )
        status, unavailable = problem_response(self.unavailable, **{"Retry-After": seconds})
        denied = dict(map(problem_response, _WITH_TOKENS))
        self.responses = {**(self.responses or {}), **denied, status: unavailable}


@dataclass
class KafkaOperation(QueryOperation):
    """An operation that reads Kafka."""

    unavailable = "kafka-unavailable"


@dataclass
class FormatsOperation(QueryOperation):
    """An operation whose response has several formats."""

    def __post_init__(self) -> None:
        """Add the other formats, and the problem of an Accept header that names none of them."""
        super().__post_init__()
        responses = self.responses or {}
        found = responses[str(HTTPStatus.OK.value)]
        if isinstance(found, OpenAPIResponse) and found.content is not None:
            found.content |= {
                MEDIA_TYPES[name]: OpenAPIMediaType(schema=_TEXT) for name in ROW_FORMATS
            }
        status, not_acceptable = problem_response("not-acceptable")
        self.responses = {**responses, status: not_acceptable}


@dataclass
class BatchOperation(QueryOperation):
    """An operation with a request body."""

    def __post_init__(self) -> None:
        """Add the problem of a body that is too large; the response to a POST has no tag."""
        super().__post_init__()
        status, too_large = problem_response("content-too-large")
        responses = {**(self.responses or {}), status: too_large}
        del responses["304"]
        self.responses = responses
