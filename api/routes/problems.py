"""What types of problems mean."""

from collections.abc import Mapping
from http import HTTPStatus

from litestar import get
from litestar.params import FromPath

from api.access.authentication import OPEN
from api.representation.openapi import Explanation
from api.representation.problem_types import KINDS, Kind
from api.representation.problems import problem


@get(
    "/problems",
    opt={OPEN: True},
    sync_to_thread=False,
    summary="All types of problems",
    operation_class=Explanation,
)
def kinds() -> Mapping[str, Kind]:
    """Return what each type of problem means and what to do about it."""
    return KINDS


@get(
    "/problems/{slug:str}",
    opt={OPEN: True},
    sync_to_thread=False,
    summary="A type of problem",
    operation_class=Explanation,
)
def kind(slug: FromPath[str]) -> Kind:
    """Return what a type of problem means and what to do about it."""
    found = KINDS.get(slug)
    if found is None:
        raise problem(
            HTTPStatus.NOT_FOUND, f"No such type of problem; there are {', '.join(KINDS)}"
        )
    return found
