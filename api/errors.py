"""Errors that clients are answered with: requests that can't be served, and stores that fail."""

from collections.abc import Iterable
from datetime import datetime
from http import HTTPStatus
from typing import Any, Final

from mobility.settings import Store


class RequestError(Exception):
    """A request that can't be served, with the status and the problem type of the answer.

    `members` are extension members of the problem details (RFC 9457).
    """

    status: HTTPStatus = HTTPStatus.BAD_REQUEST
    slug: str = "bad-request"

    def __init__(self, detail: str, **members: Any) -> None:  # noqa: ANN401 - any JSON
        self.detail: Final = detail
        self.members: Final = members
        super().__init__(detail)


class InvalidParameterError(RequestError):
    """A parameter with an invalid value; the detail begins with its name."""


class InvalidCursorError(InvalidParameterError):
    """A cursor that this API did not issue, or issued for another list."""


class RangeTooLongError(InvalidParameterError):
    """A series with more buckets than one response may hold."""

    slug = "range-too-long"


class BeyondLedgerError(RequestError):
    """A range that begins before the windows that are kept: in Redis alone, or by a retention."""

    status = HTTPStatus.NOT_FOUND
    slug = "beyond-ledger"

    def __init__(self, windows: str, reaches: datetime) -> None:
        super().__init__(f"{windows} reach back to {reaches:%FT%TZ} only", reaches=reaches)


class PostgresRequiredError(RequestError):
    """A query over many ids, which Redis alone can't answer."""

    status = HTTPStatus.NOT_FOUND
    slug = "needs-postgres"

    def __init__(self, what: str) -> None:
        super().__init__(f"{what} need Postgres, and MOBILITY_STORES does not name it")


class MeasuresRequiredError(RequestError):
    """A query about single trips, of which no optional measure is computed."""

    status = HTTPStatus.NOT_FOUND
    slug = "needs-measures"

    def __init__(self, entity: str) -> None:
        super().__init__(
            "Distributions of trips need optional measures, and MOBILITY_MEASURES names none that "
            f"is computed for {entity}"
        )


class KafkaRequiredError(RequestError):
    """A query of messages in Kafka, where the API has no client of it."""

    status = HTTPStatus.NOT_FOUND
    slug = "needs-kafka"

    def __init__(self) -> None:
        super().__init__(
            "The API does not read Kafka: MOBILITY_API_KAFKA is false, or settings of Kafka have a "
            "fault, which its log says"
        )


class KafkaUnavailableError(Exception):
    """Kafka does not answer, or does not let the API read; the message says which."""


class NotAcceptableError(RequestError):
    """An Accept header that names no format of the response."""

    status = HTTPStatus.NOT_ACCEPTABLE
    slug = "not-acceptable"


class StoreUnavailableError(Exception):
    """A store that does not answer, or answers with an error.

    `reason` completes the sentence "redis …". Clients see it, so it contains no secret.
    """

    def __init__(self, store: Store, reason: str) -> None:
        self.store = store
        self.reason = reason
        super().__init__(f"{store} {reason}")


class StoresUnavailableError(Exception):
    """No store could answer; `failures` has an error for each of the stores that are read.

    `unread` are those of the settings that the API can't read.
    """

    def __init__(
        self, failures: Iterable[StoreUnavailableError], unread: Iterable[Store] = ()
    ) -> None:
        self.failures = tuple(failures)
        self.unread = tuple(unread)
        super().__init__("; ".join(str(failure) for failure in self.failures) or "no store")
