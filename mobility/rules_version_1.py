"""Version 1 of the rules for a trip, where it differs: the rules of release 0.1.

Ids and times are what the interpreter accepts: `str.isprintable`, which depends on its version of
Unicode, and `datetime.fromisoformat`. A log that was read by these rules is read by them again.
"""

import re
from datetime import UTC, datetime, timedelta
from typing import Final

CERTAIN_ID: Final = "^[ -~]*$"
"""Ids that are printable in each version of Unicode."""

UNCERTAIN_TIME: Final = "^.{11}.* "
"""Times with a blank before the offset: `datetime.fromisoformat` accepts only some of them."""

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND: Final = timedelta(milliseconds=1)
_DATE_AND_TIME: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}[T ][0-9]")


def iso_ms(text: str) -> int | None:
    """Return ISO 8601 text in epoch ms, floored; None if it is not a valid time."""
    if not _DATE_AND_TIME.match(text):
        return None
    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        return None
    aware = time if time.tzinfo else time.replace(tzinfo=UTC)
    return (aware - _EPOCH) // _MILLISECOND


def has_disallowed(text: str) -> bool:
    """Return whether an id has a character that is not allowed."""
    return not text.isprintable()
