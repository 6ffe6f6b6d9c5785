"""Cursors: opaque, and whatever they are not made for is refused."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.errors import BadCursor
from api.queries.contract import By, Order, Place
from api.representation.cursor import Cursor, decode_cursor, encode_cursor

IDS = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), min_size=1)
BY: tuple[By | None, ...] = (None, "revenue", "trips", "distance", "duration")
ORDERS = st.builds(
    Order, st.text(st.characters(exclude_categories=["Cs"])), st.sampled_from(BY), st.booleans()
)
CURSORS = st.builds(
    Cursor,
    st.builds(Place, IDS, st.integers(-(2**63), 2**63 - 1)),
    ORDERS,
    st.integers(0, 2**40),
)


@given(CURSORS)
def test_a_cursor_names_its_place(cursor: Cursor) -> None:
    """Any id, value and order survives, in characters that need no escape in a URL."""
    text = encode_cursor(cursor)
    assert decode_cursor(text, cursor.order) == cursor
    assert text.replace("-", "").replace("_", "").isalnum()


@given(CURSORS, ORDERS)
def test_a_cursor_belongs_to_its_list(cursor: Cursor, other: Order) -> None:
    """A list in another order can't be continued with it."""
    if other != cursor.order:
        with pytest.raises(BadCursor, match="sort"):
            decode_cursor(encode_cursor(cursor), other)


@pytest.mark.parametrize(
    "cursor",
    [
        *("", "=", "!", "Y", "YQ==", "YR", "Y Q", "Y+/Q", "ü", "gA", "AA", "YQ\n", "Y" * 5),
        # In the form of ours: without an id, with a NUL, of a value that no store can hold, with
        # spaces in between, and of an order that there is not.
        *("WyIiLDAsIiIsbnVsbCxmYWxzZSw3XQ", "WyJcdTAwMDAiLDAsIiIsbnVsbCxmYWxzZSw3XQ"),
        "WyJhIiw5MjIzMzcyMDM2ODU0Nzc1ODA4LCIiLG51bGwsZmFsc2UsN10",
        *("WyJhIiwgMCwiIixudWxsLGZhbHNlLDdd", "WyJhIiwwLCIiLCJzaXplIixmYWxzZSw3XQ"),
    ],
    ids=repr,
)
def test_what_we_have_not_issued_is_refused(cursor: str) -> None:
    """Padding, foreign alphabets, stray bits, bad UTF-8, NULs and nothing at all are no cursors."""
    with pytest.raises(BadCursor):
        decode_cursor(cursor, Order())
