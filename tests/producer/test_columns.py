"""Times of trips as epoch milliseconds."""

from datetime import UTC, datetime

import polars as pl
import pytest

from producer.columns import event_time_ms, time_ms

NOON = 1_748_865_600_000  # 2025-06-02T12:00:00Z


@pytest.mark.parametrize("unit", ["ms", "us", "ns"])
@pytest.mark.parametrize("zone", [None, "UTC", "Europe/Lisbon"])
def test_datetimes_of_any_unit_and_zone(unit: str, zone: str | None) -> None:
    """A Datetime is an instant; without a zone it is in UTC."""
    times = pl.Series([NOON * {"ms": 1, "us": 1_000, "ns": 1_000_000}[unit]])
    assert time_ms(times.cast(pl.Datetime(unit, zone))).to_list() == [NOON]  # type: ignore[arg-type]


def test_text_and_integers_are_times() -> None:
    """ISO 8601 text, with an offset or naive, and epoch milliseconds are the same instant."""
    texts = ["2025-06-02T12:00:00", "2025-06-02 12:00:00Z", "2025-06-02T14:00:00.000+02:00"]
    assert time_ms(pl.Series(texts)).to_list() == [NOON] * 3
    assert time_ms(pl.Series([NOON])).to_list() == [NOON]


def test_invalid_times_are_null() -> None:
    """Neither words nor years after 9999 are times."""
    assert time_ms(pl.Series(["yesterday", None])).to_list() == [None, None]
    assert time_ms(pl.Series([2**62, -(2**62)])).to_list() == [None, None]


def test_parts_of_a_millisecond_are_floored() -> None:
    """A microsecond before the epoch is in the millisecond before it."""
    assert time_ms(pl.Series([-1, 1_999]).cast(pl.Datetime("us"))).to_list() == [-1, 1]


def test_event_time_is_the_start_or_the_end() -> None:
    """By setting: start_time, or end_time, else start plus duration."""
    rows = pl.DataFrame(
        {
            "start_time": [
                datetime(2025, 6, 2, 12, tzinfo=UTC),
                datetime(2025, 6, 2, 12, tzinfo=UTC),
            ],
            "end_time": [datetime(2025, 6, 2, 12, 7, tzinfo=UTC), None],
            "duration_min": [5.0, 1.5],
        }
    )
    assert event_time_ms(rows, "start").to_list() == [NOON, NOON]
    assert event_time_ms(rows, "end").to_list() == [NOON + 420_000, NOON + 90_000]
    assert event_time_ms(rows.drop("end_time"), "end").to_list() == [NOON + 300_000, NOON + 90_000]


def test_a_duration_is_rounded_to_milliseconds_half_to_even() -> None:
    """The end of a trip is the one that the flow computes, to the millisecond."""
    rows = pl.DataFrame({"start_time": [NOON, NOON], "duration_min": [2.5 / 60_000, 3.5 / 60_000]})
    assert event_time_ms(rows, "end").to_list() == [NOON + 2, NOON + 4]
