"""Where a list of ids goes on: opaque to clients, and the same for every store.

It names the last id that was sent, so a page that Redis began can be continued by Postgres. It also
remembers how many ids there are: counting a million takes longer than finding the next page.
"""

import base64
import binascii
from dataclasses import dataclass
from typing import Annotated, Final

import msgspec
from msgspec import Meta

from api.errors import BadCursor
from api.queries.contract import By, Order, Place

_ALPHABET: Final = b"-_"
_REFUSED: Final = "cursor: not one of ours; take it from `next` of the page before"
_Parts = tuple[str, Annotated[int, Meta(ge=-(2**63), le=2**63 - 1)], str, By | None, bool, int]


@dataclass(frozen=True, slots=True)
class Cursor:
    """After which id a list goes on, in which order it is, and of how many ids."""

    place: Place
    order: Order
    total: int


def encode_cursor(cursor: Cursor) -> str:
    """Return the text of a cursor.

    >>> encode_cursor(Cursor(Place("d1", 0), Order(), 7))
    'WyJkMSIsMCwiIixudWxsLGZhbHNlLDdd'
    """
    place, order = cursor.place, cursor.order
    parts = (place.last_id, place.value, order.prefix, order.by, order.descending, cursor.total)
    return base64.b64encode(msgspec.json.encode(parts), _ALPHABET).rstrip(b"=").decode()


def decode_cursor(text: str, order: Order) -> Cursor:
    """Return the cursor of a text that was issued for a list in this order; raises BadCursor."""
    try:
        packed = base64.b64decode(text + "=" * (-len(text) % 4), _ALPHABET, validate=True)
        last_id, value, prefix, by, descending, total = msgspec.json.decode(packed, type=_Parts)
    except (binascii.Error, ValueError, msgspec.MsgspecError):
        raise BadCursor(_REFUSED) from None
    cursor = Cursor(Place(last_id, value), Order(prefix, by, descending), total)
    # Each place has one cursor; and no store holds an empty id or one with a NUL.
    if not last_id or "\0" in last_id or encode_cursor(cursor) != text:
        raise BadCursor(_REFUSED)
    if cursor.order != order:
        msg = "cursor: belongs to a list with another `prefix` or `sort`"
        raise BadCursor(msg)
    return cursor
