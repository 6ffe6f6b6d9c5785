"""Questions that are understood and not answered: each knows how to say why."""

from datetime import datetime
from http import HTTPStatus
from typing import Any, Final


class Refusal(Exception):  # noqa: N818 - not an error of ours
    """What is told to who asked: a status, the kind of problem, and what exactly it is.

    `members` are further members of the problem's object.
    """

    status: HTTPStatus = HTTPStatus.BAD_REQUEST
    slug: str = "bad-request"

    def __init__(self, detail: str, **members: Any) -> None:  # noqa: ANN401 - any JSON
        self.detail: Final = detail
        self.members: Final = members
        super().__init__(detail)


class BadQuery(Refusal):
    """A parameter that can't be used; the detail begins with its name."""


class BadCursor(BadQuery):
    """A cursor that this API has not issued for this list."""


class RangeTooLong(BadQuery):
    """A series of more spans than one answer holds."""

    slug = "range-too-long"


class BeyondLedger(Refusal):
    """A range that begins before the windows that Redis keeps, and no Postgres to ask."""

    status = HTTPStatus.NOT_FOUND
    slug = "beyond-ledger"

    def __init__(self, reaches: datetime) -> None:
        detail = f"Without Postgres the windows of this id reach back to {reaches:%FT%TZ}"
        super().__init__(detail, reaches=reaches)


class NeedsPostgres(Refusal):
    """A question about many ids at once, which Redis alone can't answer."""

    status = HTTPStatus.NOT_FOUND
    slug = "needs-postgres"

    def __init__(self, what: str) -> None:
        super().__init__(f"{what} come from Postgres, which is not among MOBILITY_STORES here")


class NotAcceptable(Refusal):
    """Formats that the answer can't be had in."""

    status = HTTPStatus.NOT_ACCEPTABLE
    slug = "not-acceptable"
