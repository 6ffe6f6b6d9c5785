"""Cursors: where a list continues. They are opaque to clients.

A cursor of a list of ids is the same for all stores: it has the last id of a page, so that Postgres
can continue a list that Redis began. It also has the number of ids: to count a million takes longer
than to find the next page.
"""

import base64
import binascii
from dataclasses import dataclass
from typing import Annotated, Final, TypeVar

import msgspec
from msgspec import Meta

from api.errors import InvalidCursorError
from api.queries.contract import ListOrder, ListPosition, SortKey
from api.queries.time_range import TimeRange

_ALPHABET: Final = b"-_"
_INVALID: Final = "cursor: not issued by this API; use the value of `next` in the previous page"
_Int64 = Annotated[int, Meta(ge=-(2**63), le=2**63 - 1)]
_Parts = tuple[str, int, str, SortKey | None, bool, int]
_Range = tuple[_Int64 | None, _Int64 | None]
_PARTS: Final = 6

_LIMIT: Final = 2**127
"""No sum is as large as that."""


T = TypeVar("T")


def pack(parts: object) -> str:
    """Return the text of a cursor with these parts."""
    return base64.b64encode(msgspec.json.encode(parts), _ALPHABET).rstrip(b"=").decode()


def unpack(text: str, kind: type[T]) -> T:
    """Return the parts of a cursor; raises InvalidCursorError."""
    try:
        packed = base64.b64decode(text + "=" * (-len(text) % 4), _ALPHABET, validate=True)
        parts = msgspec.json.decode(packed, type=kind)
    except (binascii.Error, ValueError, msgspec.MsgspecError):
        raise InvalidCursorError(_INVALID) from None
    if pack(parts) != text:  # each position has one text
        raise InvalidCursorError(_INVALID)
    return parts


@dataclass(frozen=True, slots=True)
class Cursor:
    """The position after which a list continues, its order, and its number of ids."""

    position: ListPosition
    order: ListOrder
    total: int


def encode_cursor(cursor: Cursor) -> str:
    """Return a cursor as text.

    >>> encode_cursor(Cursor(ListPosition("d1", 0), ListOrder(), 7))
    'WyJkMSIsMCwiIixudWxsLGZhbHNlLDdd'
    """
    position, order = cursor.position, cursor.order
    bounds = order.time_range
    parts = (
        *(position.last_id, position.value),
        *(order.prefix, order.sort_key, order.is_descending),
        cursor.total,
        *(() if bounds.is_unbounded else (bounds.start, bounds.end)),
    )
    return pack(parts)


def decode_cursor(text: str, order: ListOrder) -> Cursor:
    """Return the cursor of a text that was issued for a list in this order.

    Raises InvalidCursorError.
    """
    try:
        parts = unpack(text, list[str | int | bool | None])
        last_id, value, prefix, sort_key, is_descending, total = msgspec.convert(
            parts[:_PARTS], _Parts
        )
        start, end = msgspec.convert(parts[_PARTS:] or (None, None), _Range)
    except (ValueError, msgspec.MsgspecError):
        raise InvalidCursorError(_INVALID) from None
    position = ListPosition(last_id, value)
    order_of_list = ListOrder(prefix, sort_key, is_descending, TimeRange(start, end))
    cursor = Cursor(position, order_of_list, total)
    # No store has an empty id or one with a NUL, and a range has one form.
    is_possible = last_id and "\0" not in last_id and abs(value) < _LIMIT
    if not is_possible or encode_cursor(cursor) != text:
        raise InvalidCursorError(_INVALID)
    if cursor.order != order:
        msg = "cursor: issued for a list with another `prefix`, `sort`, `from` or `to`"
        raise InvalidCursorError(msg)
    return cursor
