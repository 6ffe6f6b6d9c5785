"""Errors as problem details (RFC 9457): what happened, and nothing of how we are built."""

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

from api.errors import Refusal
from api.queries.circuit_breaker import REST
from api.queries.store_readers import StoresDown

_log = logging.getLogger(__name__)


def problem(
    status: HTTPStatus,
    detail: str,
    *,
    slug: str | None = None,
    headers: Mapping[str, str] | None = None,
    **members: Any,  # noqa: ANN401 - extension members are any JSON
) -> ProblemDetailsException:
    """Return an exception to raise; `members` are further members of the problem's object.

    Its type is one of KINDS, by default the one that is called like the status.
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
    """Return the problem of stores that do not answer."""
    headers = {"Retry-After": f"{REST:.0f}"}
    return problem(HTTPStatus.SERVICE_UNAVAILABLE, detail, headers=headers, **members)


def _of_http(error: HTTPException) -> ProblemDetailsException:
    status = HTTPStatus(error.status_code)
    if isinstance(error, ValidationException) and isinstance(error.extra, list):
        faults = [f"{fault.get('key', 'request')}: {fault['message']}" for fault in error.extra]
        return problem(status, "; ".join(faults))
    detail = "" if error.detail == status.phrase else error.detail
    return problem(status, detail or status.description, headers=error.headers)


def _of_refusal(refusal: Refusal) -> ProblemDetailsException:
    return problem(refusal.status, refusal.detail, slug=refusal.slug, **refusal.members)


def _of_stores_down(error: StoresDown) -> ProblemDetailsException:
    if not error.failures:
        return unavailable("No store is configured: set MOBILITY_STORES to redis, postgres or both")
    return unavailable("; ".join(str(failure) for failure in error.failures))


def _of_surprise(error: Exception) -> ProblemDetailsException:
    _log.error("unexpected error", exc_info=error)
    return problem(HTTPStatus.INTERNAL_SERVER_ERROR, "Our fault; the log of the API says more")


def _slug_of(status: HTTPStatus) -> str:
    # Python calls 413 by its older name.
    name = "content too large" if status == HTTPStatus.REQUEST_ENTITY_TOO_LARGE else status.phrase
    return name.lower().replace(" ", "-")


PROBLEMS: Final = ProblemDetailsPlugin(
    ProblemDetailsConfig(
        exception_to_problem_detail_map={
            HTTPException: _of_http,
            Refusal: _of_refusal,
            StoresDown: _of_stores_down,
            Exception: _of_surprise,
        }
    )
)
