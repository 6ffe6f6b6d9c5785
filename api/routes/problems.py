"""Explanations of the problem types."""

from collections.abc import Mapping
from http import HTTPStatus

from litestar import get
from litestar.params import FromPath

from api.access.authentication import PUBLIC
from api.representation.openapi import PublicOperation
from api.representation.problem_types import PROBLEM_TYPES, ProblemType
from api.representation.problems import problem


@get(
    "/problems",
    opt={PUBLIC: True},
    sync_to_thread=False,
    summary="All problem types",
    operation_class=PublicOperation,
)
def problem_types() -> Mapping[str, ProblemType]:
    """Return what each problem type means and what to do about it."""
    return PROBLEM_TYPES


@get(
    "/problems/{slug:str}",
    opt={PUBLIC: True},
    sync_to_thread=False,
    summary="A problem type",
    operation_class=PublicOperation,
)
def problem_type(slug: FromPath[str]) -> ProblemType:
    """Return what a problem type means and what to do about it."""
    found = PROBLEM_TYPES.get(slug)
    if found is None:
        raise problem(
            HTTPStatus.NOT_FOUND,
            f"Unknown problem type; the problem types are {', '.join(PROBLEM_TYPES)}",
        )
    return found
