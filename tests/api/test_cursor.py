"""Where a list of ids goes on."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.cursor import BadCursor, decode_cursor, encode_cursor

IDS = st.text(
    st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=128
)


@given(IDS)
def test_a_cursor_comes_back_as_its_id(entity_id: str) -> None:
    """Whatever an id consists of, its cursor means that id and needs no escaping in a URL."""
    cursor = encode_cursor(entity_id)
    assert decode_cursor(cursor) == entity_id
    assert cursor.isascii()
    assert cursor.replace("-", "").replace("_", "").isalnum()


@pytest.mark.parametrize(
    "cursor",
    ["", "=", "!", "Y", "YQ==", "YR", "Y Q", "Y+/Q", "ü", "gA", "AA", "YQ\n", "Y" * 5],
    ids=repr,
)
def test_what_we_have_not_issued_is_refused(cursor: str) -> None:
    """Padding, foreign alphabets, stray bits, bad UTF-8, NULs and nothing at all are no cursors."""
    with pytest.raises(BadCursor):
        decode_cursor(cursor)
