"""Times as text: columns and single texts have the same rules, and agree with `datetime`."""

import re
from datetime import UTC, datetime, timedelta

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mobility.records import MAX_EVENT_TIME, MIN_EVENT_TIME
from mobility.times import (
    DIGITS,
    ISO_TIME,
    epoch_ms,
    iso_ms,
    iso_text,
    iso_time,
    parse_time,
)
from tests.strategies import NOON, times

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def by_datetime(text: str) -> int:
    """Return the time of an ISO 8601 text by the standard library."""
    time = datetime.fromisoformat(text)
    aware = time if time.tzinfo else time.replace(tzinfo=UTC)
    return (aware - EPOCH) // timedelta(milliseconds=1)


texts = (
    times.filter(lambda time: isinstance(time, str)).map(str)
    | st.from_regex(ISO_TIME)
    | st.from_regex(ISO_TIME.strip("^$")).filter(lambda text: len(text) < 60)
    | st.from_regex(DIGITS).filter(lambda text: not text.endswith("\n"))
)
"""Times of every form, and texts that hold one among other characters."""


@given(st.lists(st.none() | texts, max_size=20))
def test_a_column_is_parsed_as_its_texts_one_by_one(column: list[str | None]) -> None:
    """Columns of mixed formats agree with `iso_ms`; digits are for columns only."""
    for text, ms in zip(column, epoch_ms(pl.Series(column, dtype=pl.String)), strict=True):
        digits = text is not None and re.fullmatch(DIGITS, text)
        assert ms == (None if text is None or digits else iso_ms(text)) or digits


@given(times.filter(lambda time: isinstance(time, str)).map(str))
def test_times_agree_with_the_standard_library(text: str) -> None:
    """The milliseconds are those of `datetime` in every format, floored."""
    assert iso_ms(text) == by_datetime(text)


@given(st.from_regex(ISO_TIME))
def test_the_pattern_is_stricter_than_the_standard_library(text: str) -> None:
    """It accepts nothing that `datetime` does not, except for a space after a fraction."""
    ms = iso_ms(text)
    if ms is not None:
        assert by_datetime(text[:11] + text[11:].replace(" ", "")) == ms


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2025-01-01T12:00:00Z", NOON),
        ("2025-01-01T12:00:00", NOON),
        ("2025-01-01 12:00:00", NOON),
        ("2025-01-01T14:30:00+02:30", NOON),
        ("2025-01-01T12:00:00.042Z", NOON + 42),
        ("2025-01-01T12:00:00.0429", NOON + 42),
        ("1969-12-31T23:59:59.9999Z", -1),
        ("2025-01-01T12:00:00.0429999Z", NOON + 42),
        ("2025-01-01T12:00:00.042999999Z", NOON + 42),
        ("2025-01-01T12:00:00.042+0000", NOON + 42),
        ("2025-01-01 12:00:00 +0000", NOON),
        ("2025-01-01 12:00:00.042 +0000", NOON + 42),
        ("2025-01-01T12:00Z", NOON),
        ("2025-01-01T12", NOON),
        ("2025-01-01T120000,5-0000", NOON + 500),
        ("2025-01-01T12:53:28+00:53:28", NOON),
        ("1969-12-31T23:59:59.9999999+0000", -1),
        ("1735732800000", NOON),
        ("1735732800000.75", NOON),
        ("1.5", 1),
        ("-0.5", -1),
        ("-1", -1),
        ("2025-02-30T12:00:00Z", None),
        ("2025-01-01T24:00:00Z", None),
        ("2025-01-01T12:00:60Z", None),
        ("2025-01-01T12:00:00Z\n", None),
        ("2025-01-01T12:00:00.Z", None),
        ("2025-01-01T12:00:00z", None),
        ("2025-01-01T12:00.5Z", None),
        ("2025-01-01T12.5Z", None),
        ("2025-01-01T12:00zZ", None),
        ("2025-01-01T12:00\x00", None),
        ("2025-01-01T12:0000", None),
        ("2025-01-01T12:00:00+05:3015", None),
        ("2025-01-01T12:00:00 +0000 UTC", None),
        ("0000-12-31T23:30:00-01:00", None),
        ("2025-01-01T12:00:00+25:00", None),
        ("2025-01-01", None),
        ("noon", None),
        ("", None),
        ("1.", None),
        ("1e12", None),
        ("12345678901234567890", None),
        ("２０２５-01-01T12:00:00Z", None),  # noqa: RUF001 - digits of another script on purpose
    ],
)
def test_texts_and_their_times(text: str, expected: int | None) -> None:
    """A text that is not a time is null, alone and among others."""
    beside = ["2025-01-01T12:00:00Z", "2025-01-01T12:00:00.5+01:00"]
    assert epoch_ms(pl.Series([text])).to_list() == [expected]
    assert epoch_ms(pl.Series([*beside, text]))[-1] == expected


@given(st.lists(st.integers(MIN_EVENT_TIME, MAX_EVENT_TIME), min_size=1, max_size=20))
def test_milliseconds_survive_as_text(ms: list[int]) -> None:
    """Any time of the years 1 to 9999 is read back from its text, by column and by datetime."""
    texts = pl.select(iso_text(pl.lit(pl.Series(ms)))).to_series()
    assert epoch_ms(texts).to_list() == ms
    assert [by_datetime(text) for text in texts] == ms


@given(st.integers(MIN_EVENT_TIME, MAX_EVENT_TIME))
def test_one_time_is_written_and_read_as_a_column_is(ms: int) -> None:
    """Any time of the years 1 to 9999 has the same text from both, and is read back from it."""
    text = iso_time(ms)
    assert text == pl.select(iso_text(pl.lit(pl.Series([ms])))).item()
    assert parse_time(text) == ms


def test_a_time_outside_the_years_is_shown_as_its_number() -> None:
    """ISO 8601 has no text for it."""
    assert iso_time(NOON + 7) == "2025-01-01T12:00:00.007Z"
    assert iso_time(10**18) == str(10**18)
    assert iso_time(MAX_EVENT_TIME + 1) == str(MAX_EVENT_TIME + 1)


@pytest.mark.parametrize("ms", [MIN_EVENT_TIME, -1, 0, NOON + 7, MAX_EVENT_TIME])
def test_epoch_milliseconds_are_parsed(ms: int) -> None:
    """As people copy them out of messages."""
    assert parse_time(str(ms)) == ms


@pytest.mark.parametrize(
    "text", ["noon", "", "2025-01-01", "2025-02-30T12:00:00Z", "1.5", "9" * 15, "9" * 20]
)
def test_text_that_is_not_a_time_is_refused(text: str) -> None:
    """The message has the text."""
    with pytest.raises(ValueError, match=f"got {text}$"):
        parse_time(text)
