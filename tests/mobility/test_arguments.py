"""Types of command-line arguments."""

import argparse

import pytest

from mobility.arguments import integer_from, positive_int, processes_of_a_flow, time_ms
from tests.strategies import NOON


def test_a_positive_integer_is_returned() -> None:
    """Underscores may group digits, as in Python."""
    assert [positive_int(text) for text in ("1", "5_000")] == [1, 5_000]


@pytest.mark.parametrize("text", ["0", "-1"])
def test_less_than_one_is_refused(text: str) -> None:
    """The message has the range and the argument."""
    with pytest.raises(argparse.ArgumentTypeError, match=f"from 1 to 1000000000, got {text}$"):
        positive_int(text)


@pytest.mark.parametrize("text", ["257", "9" * 30, "9" * 5_000])
def test_more_than_the_most_is_refused(text: str) -> None:
    """Also more digits than Python reads as an integer."""
    assert processes_of_a_flow("256") == 256
    with pytest.raises(argparse.ArgumentTypeError, match=f"from 1 to 256, got {text}$"):
        processes_of_a_flow(text)


@pytest.mark.parametrize("text", ["four", "", "1.5", "-1"])
def test_an_argument_below_the_least_or_not_an_integer_is_refused(text: str) -> None:
    """The message has the range and the argument."""
    assert integer_from(0)("0") == 0
    with pytest.raises(argparse.ArgumentTypeError, match=f"from 0 to 1000000000, got {text}$"):
        integer_from(0)(text)


def test_a_time_has_a_date_and_a_time_of_day() -> None:
    """A date alone could mean the start of the day in any time zone."""
    assert time_ms("2025-01-01T13:00+01:00") == time_ms(str(NOON)) == NOON
    with pytest.raises(argparse.ArgumentTypeError, match=r"a date and a time.* got 2025-01-01$"):
        time_ms("2025-01-01")
