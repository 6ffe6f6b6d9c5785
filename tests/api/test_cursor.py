"""Cursors: opaque, and invalid ones are rejected."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.errors import InvalidCursorError
from api.queries.contract import ListOrder, ListPosition, SortKey
from api.queries.time_range import EARLIEST, LATEST, TimeRange
from api.representation.cursor import Cursor, decode_cursor, encode_cursor

IDS = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), min_size=1)
BY: tuple[SortKey | None, ...] = (None, "revenue", "trips", "distance", "duration")
BOUNDS = st.none() | st.integers(EARLIEST, LATEST)
ORDERS = st.builds(
    ListOrder,
    st.text(st.characters(exclude_categories=["Cs"])),
    st.sampled_from(BY),
    st.booleans(),
    st.builds(TimeRange, BOUNDS, BOUNDS),
)
CURSORS = st.builds(
    Cursor,
    st.builds(ListPosition, IDS, st.integers(1 - 2**127, 2**127 - 1)),
    ORDERS,
    st.integers(0, 2**40),
)


@given(CURSORS)
def test_a_cursor_survives_encoding(cursor: Cursor) -> None:
    """Any id, value and order is decoded again; a URL needs no escapes for the text."""
    text = encode_cursor(cursor)
    assert decode_cursor(text, cursor.order) == cursor
    assert text.replace("-", "").replace("_", "").isalnum()


@given(CURSORS, ORDERS)
def test_a_cursor_belongs_to_its_list(cursor: Cursor, other: ListOrder) -> None:
    """It can't continue a list in another order."""
    if other != cursor.order:
        with pytest.raises(InvalidCursorError, match="sort"):
            decode_cursor(encode_cursor(cursor), other)


@pytest.mark.parametrize(
    "cursor",
    [
        *("", "=", "!", "Y", "YQ==", "YR", "Y Q", "Y+/Q", "ü", "gA", "AA", "YQ\n", "Y" * 5),
        # Almost valid: without an id, with a NUL, with a value beyond int128, with spaces, and with
        # an unknown sort key.
        *("WyIiLDAsIiIsbnVsbCxmYWxzZSw3XQ", "WyJcdTAwMDAiLDAsIiIsbnVsbCxmYWxzZSw3XQ"),
        "WyJhIiwxNzAxNDExODM0NjA0NjkyMzE3MzE2ODczMDM3MTU4ODQxMDU3MjgsIiIsbnVsbCxmYWxzZSw3XQ",
        *("WyJhIiwgMCwiIixudWxsLGZhbHNlLDdd", "WyJhIiwwLCIiLCJzaXplIixmYWxzZSw3XQ"),
    ],
    ids=repr,
)
def test_invalid_cursors_are_rejected(cursor: str) -> None:
    """Padding, other alphabets, wrong bits, invalid UTF-8, NULs and no text are rejected."""
    with pytest.raises(InvalidCursorError):
        decode_cursor(cursor, ListOrder())
