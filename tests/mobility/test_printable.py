"""Printed text cannot control a terminal, and different messages look different."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mobility.printable import printable, printable_bytes


@pytest.mark.parametrize(
    ("data", "shown"),
    [
        (b"\x1b[31mred\x1b[0m\x07", r"\x1b[31mred\x1b[0m\x07"),
        (b"a\r\n\tb\x00\x7f", r"a\r\n\tb\x00\x7f"),
        ("\u202eevil\u2066\u200b\ufeff".encode(), r"\u202eevil\u2066\u200b\ufeff"),
        ("\x9b2J\u0085\u00a0".encode(), r"\u009b2J\u0085\u00a0"),
        (b"\xff\xc0\x80\xed\xa0\x80", r"\xff\xc0\x80\xed\xa0\x80"),
        (b"\x9b2J", r"\x9b2J"),
        (b'{"a":"\\u001b"}', r'{"a":"\\u001b"}'),
        ("Zürich 🚕 é→𝛑".encode(), "Zürich 🚕 é→𝛑"),
        ("\U000e0001".encode(), r"\U000e0001"),
    ],
)
def test_what_is_not_printable_is_escaped(data: bytes, shown: str) -> None:
    """Escape sequences, controls, direction marks, invisible characters, bytes that are no text."""
    assert printable_bytes(data) == shown


@given(st.binary(), st.binary())
def test_bytes_are_printable_and_stay_different(one: bytes, two: bytes) -> None:
    """Different bytes give different text."""
    assert printable_bytes(one).isprintable()
    assert (printable_bytes(one) == printable_bytes(two)) == (one == two)


@given(st.text(st.characters()))
def test_text_is_printable(text: str) -> None:
    """Lone surrogates too, which a header or a JSON string may hold."""
    assert printable(text).isprintable()
