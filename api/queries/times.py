"""Times as whole milliseconds since 1970, which is how windows are counted, and as people write."""

from datetime import UTC, datetime, timedelta, tzinfo
from typing import Final

from api.errors import BadQuery

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND: Final = timedelta(milliseconds=1)


def time_of(epoch_ms: int) -> datetime:
    """Return epoch milliseconds as a time in UTC.

    >>> time_of(1_735_689_600_000).isoformat()
    '2025-01-01T00:00:00+00:00'
    """
    return _EPOCH + epoch_ms * _MILLISECOND


def ms_of(time: datetime) -> int:
    """Return a time as epoch milliseconds; a fraction of one counts as a whole.

    So what starts at or after a time also starts at or after its milliseconds.

    >>> ms_of(datetime(1970, 1, 1, 0, 0, 1, 1, tzinfo=UTC))
    1001
    """
    return -((_EPOCH - time) // _MILLISECOND)


def read_time(name: str, text: str, zone: tzinfo = UTC) -> int:
    """Return an ISO 8601 time as epoch milliseconds; one without an offset is in the zone.

    Raises BadQuery, which calls it by its name.

    >>> read_time("from", "1970-01-01T01:00:00+01:00")
    0
    """
    try:
        time = datetime.fromisoformat(text)
        return ms_of(time if time.tzinfo else time.replace(tzinfo=zone))
    except (ValueError, OverflowError):
        what = "not a time in ISO 8601, such as 2025-01-01T12:00:00Z"
        if " " in text:
            what += " (the + of an offset has to be sent as %2B)"
        msg = f"{name}: {what}"
        raise BadQuery(msg) from None
