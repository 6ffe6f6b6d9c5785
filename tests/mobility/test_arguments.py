"""Types of command-line arguments."""

import argparse

import pytest

from mobility.arguments import positive_int


def test_a_positive_integer_is_returned() -> None:
    """Underscores may group digits, as in Python."""
    assert [positive_int(text) for text in ("1", "5_000")] == [1, 5_000]


@pytest.mark.parametrize("text", ["0", "-1"])
def test_less_than_one_is_refused(text: str) -> None:
    """The message has the limit and the argument."""
    with pytest.raises(argparse.ArgumentTypeError, match=f"expected at least 1, got {text}"):
        positive_int(text)


def test_text_that_is_not_an_integer_is_refused() -> None:
    """As argparse expects it of a type."""
    with pytest.raises(ValueError, match="invalid literal"):
        positive_int("four")
