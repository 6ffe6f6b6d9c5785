"""Errors as problem details (RFC 9457); they reveal nothing about the implementation."""

import logging
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, Final

from litestar.exceptions import HTTPException, ValidationException
from litestar.plugins.problem_details import (
    ProblemDetailsConfig,
    ProblemDetailsException,
    ProblemDetailsPlugin,
)

from api.errors import KafkaUnavailableError, RequestError, StoresUnavailableError
from api.queries.store_readers import COOLDOWN

_log = logging.getLogger(__name__)


def problem(
    status: HTTPStatus,
    detail: str,
    *,
    slug: str | None = None,
    headers: Mapping[str, str] | None = None,
    **members: Any,  # noqa: ANN401 - extension members are any JSON
) -> ProblemDetailsException:
    """Return an exception to raise; `members` are extension members of the problem details.

    Its type is one of PROBLEM_TYPES, by default the one with the name of the status.
    """
    return ProblemDetailsException(
        type_=f"/problems/{slug or _slug_of(status)}",
        status_code=status,
        title=status.phrase,
        detail=detail,
        headers=dict(headers or {}),
        extra=members or None,
    )


def unavailable(detail: str, **members: Any) -> ProblemDetailsException:  # noqa: ANN401
    """Return the problem that no store could answer."""
    headers = {"Retry-After": f"{COOLDOWN:.0f}"}
    return problem(HTTPStatus.SERVICE_UNAVAILABLE, detail, headers=headers, **members)


def _from_http_exception(error: HTTPException) -> ProblemDetailsException:
    status = HTTPStatus(error.status_code)
    if isinstance(error, ValidationException) and isinstance(error.extra, list):
        # A parameter with the name of a keyword or a builtin has an underscore behind it here.
        faults = [
            f"{fault.get('key', 'request').removesuffix('_')}: {fault['message']}"
            for fault in error.extra
        ]
        return problem(status, "; ".join(faults))
    detail = "" if error.detail == status.phrase else error.detail
    return problem(status, detail or status.description, headers=error.headers)


def _from_request_error(error: RequestError) -> ProblemDetailsException:
    return problem(error.status, error.detail, slug=error.slug, **error.members)


def _from_stores_unavailable(error: StoresUnavailableError) -> ProblemDetailsException:
    if error.unread:
        names = ", ".join(error.unread)
        return unavailable(
            f"The API can't read {names}: query its tables, or add redis or postgres to "
            "MOBILITY_STORES"
        )
    if not error.failures:
        return unavailable("No store is configured: set MOBILITY_STORES to redis, postgres or both")
    return unavailable("; ".join(str(failure) for failure in error.failures))


def _from_kafka_unavailable(error: KafkaUnavailableError) -> ProblemDetailsException:
    headers = {"Retry-After": f"{COOLDOWN:.0f}"}
    return problem(
        HTTPStatus.SERVICE_UNAVAILABLE, str(error), slug="kafka-unavailable", headers=headers
    )


def _from_unexpected_error(error: Exception) -> ProblemDetailsException:
    _log.error("unexpected error", exc_info=error)
    return problem(HTTPStatus.INTERNAL_SERVER_ERROR, "Unexpected error; the API has logged it")


def _slug_of(status: HTTPStatus) -> str:
    # Python has the older name of 413.
    name = "content too large" if status == HTTPStatus.REQUEST_ENTITY_TOO_LARGE else status.phrase
    return name.lower().replace(" ", "-")


PROBLEM_DETAILS: Final = ProblemDetailsPlugin(
    ProblemDetailsConfig(
        exception_to_problem_detail_map={
            HTTPException: _from_http_exception,
            RequestError: _from_request_error,
            StoresUnavailableError: _from_stores_unavailable,
            KafkaUnavailableError: _from_kafka_unavailable,
            Exception: _from_unexpected_error,
        }
    )
)
