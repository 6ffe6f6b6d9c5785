"""Valid columns of trips files, and how their times are parsed."""

from datetime import UTC, datetime
from pathlib import Path

import polars as pl
import pytest

from producer.columns import TripsFileError, check_columns, event_time_ms, time_ms

PATH = Path("city.parquet")
FULL = pl.Schema(
    {
        "start_time": pl.Datetime("us", "UTC"),
        "duration_min": pl.Float64(),
        "distance_km": pl.Float64(),
        "price": pl.Float64(),
    }
)
A_TIME = "Datetime, ISO 8601 text or integer epoch milliseconds"
NOON = 1_748_865_600_000  # 2025-06-02T12:00:00Z


def errors(**columns: pl.DataType) -> list[str]:
    """Return the errors of a complete schema with these columns replaced or added."""
    with pytest.raises(TripsFileError) as refusal:
        check_columns(PATH, pl.Schema({**FULL, **columns}))
    return str(refusal.value).splitlines()


@pytest.mark.parametrize("name", list(FULL))
def test_a_missing_required_column_is_named(name: str) -> None:
    """The error names file, column and expected type."""
    schema = pl.Schema({other: dtype for other, dtype in FULL.items() if other != name})
    with pytest.raises(TripsFileError, match=rf"^city.parquet: no column {name} \(expected "):
        check_columns(PATH, schema)


def test_wrong_types_are_named_all_at_once() -> None:
    """Each error is a line with file, column and found type."""
    found = errors(price=pl.String(), driver_id=pl.Float64(), end_time=pl.Boolean())
    assert set(found) == {
        "city.parquet: column price is String (expected numbers)",
        "city.parquet: column driver_id is Float64 (expected text or integers)",
        f"city.parquet: column end_time is Boolean (expected {A_TIME})",
    }


@pytest.mark.parametrize(
    "dtype",
    [pl.Binary(), pl.List(pl.Binary()), pl.Struct({"a": pl.List(pl.Struct({"b": pl.Binary()}))})],
)
def test_a_column_that_json_can_not_represent_is_refused(dtype: pl.DataType) -> None:
    """Bytes are found at any depth."""
    assert errors(photo=dtype) == [
        f"city.parquet: column photo is {dtype}, which JSON can't represent"
    ]


def test_an_empty_column_is_refused_only_if_it_is_required() -> None:
    """A column of nulls is like an absent one."""
    check_columns(PATH, pl.Schema({**FULL, "driver_id": pl.Null()}))
    assert errors(price=pl.Null()) == ["city.parquet: column price is empty (expected numbers)"]


@pytest.mark.parametrize(
    "columns",
    [
        {"start_time": pl.Datetime("ns")},
        {"start_time": pl.String()},
        {"start_time": pl.Int64()},
        {"price": pl.Int32(), "distance_km": pl.Float32(), "duration_min": pl.Decimal(10, 2)},
        {"trip_id": pl.Int64(), "driver_id": pl.UInt32(), "vehicle_type": pl.Categorical()},
        {"start_location_id": pl.String(), "end_location_id": pl.Int16()},
        {"weather": pl.List(pl.String()), "booked_at": pl.Date()},
    ],
)
def test_convertible_types_are_accepted(columns: dict[str, pl.DataType]) -> None:
    """Trips are stored in several types."""
    check_columns(PATH, pl.Schema({**FULL, **columns}))


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
