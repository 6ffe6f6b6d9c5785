"""Version 1 of the rules for a trip: what release 0.1 judged by.

A log that was read by these rules is read by them again. They follow the interpreter: its tables of
Unicode for ids, `datetime.fromisoformat` for times, its recursion for nested values.
"""

import re
from datetime import UTC, datetime, timedelta
from typing import Final

CERTAIN_ID: Final = "^[ -~]*$"
"""Ids that are fit by any tables."""

UNSURE_TIME: Final = "^.{11}.* "
"""Times with a blank before the offset: some of them were none."""

_DATE_AND_TIME: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}[T ][0-9]")
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MS: Final = timedelta(milliseconds=1)


def iso_ms(text: str) -> int | None:
    """Return the epoch ms of an ISO 8601 text, floored; None where it is none."""
    if not _DATE_AND_TIME.match(text):
        return None
    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        return None
    return ((time if time.tzinfo else time.replace(tzinfo=UTC)) - _EPOCH) // _MS


def has_refused(text: str) -> bool:
    """Return whether any character of an id is refused."""
    return not text.isprintable()
