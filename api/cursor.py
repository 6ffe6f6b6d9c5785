"""Where a list of ids goes on: opaque to clients, and the same for every store.

It names the last id that was sent, so a page that Redis began can be continued by Postgres.
"""

import base64
import binascii
from typing import Final

_ALPHABET: Final = b"-_"


class BadCursor(ValueError):  # noqa: N818 - reads as what it is
    """A cursor that this API has not issued."""


def encode_cursor(last_id: str) -> str:
    """Return the cursor that continues after an id.

    >>> encode_cursor("driver-1")
    'ZHJpdmVyLTE'
    """
    return base64.b64encode(last_id.encode(), _ALPHABET).rstrip(b"=").decode()


def decode_cursor(cursor: str) -> str:
    """Return the id that a cursor continues after; raises BadCursor.

    >>> decode_cursor("ZHJpdmVyLTE")
    'driver-1'
    """
    padding = "=" * (-len(cursor) % 4)
    try:
        last_id = base64.b64decode(cursor + padding, _ALPHABET, validate=True).decode()
    except (binascii.Error, ValueError):
        raise BadCursor(cursor) from None
    # Each id has one cursor; and no store holds an empty id or one with a NUL.
    if not last_id or "\0" in last_id or encode_cursor(last_id) != cursor:
        raise BadCursor(cursor)
    return last_id
