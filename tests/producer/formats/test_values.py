"""Values as tools write them."""

from datetime import date
from decimal import Decimal
from typing import Any

import polars as pl
import pytest

from producer.formats.values import (
    as_location,
    as_numbers,
    as_text,
    as_times,
    epoch_unit,
    has_decimal_comma,
    joined,
    plain_column,
)

NOON = 1_736_164_800_000  # 2025-01-06T12:00:00Z


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("12.5", 12.5),
        (" 3 ", 3.0),
        ("1,048.0", 1048.0),
        ("1,048", 1048.0),
        ("-1,234,567.25", -1234567.25),
        ("12,34,567", 1234567.0),
        ("1,5", None),
        ("0,195", None),
        ("1,0485", None),
        ("$7.05", 7.05),
        ("-0.5", -0.5),
        ("1e3", 1000.0),
        ("twelve", None),
        ("inf", None),
        ("nan", None),
        (None, None),
    ],
)
def test_numbers_as_text(text: str | None, number: float | None) -> None:
    """Blanks, currency signs and separators of thousands are no part of a number."""
    assert as_numbers(pl.Series([text], dtype=pl.String)).to_list() == [number]


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("12,5", 12.5),
        ("1.234,56", 1234.56),
        ("1.234.567", 1234567.0),
        ("1.234", 1234.0),
        ("7", 7.0),
        ("52.5163", 52.5163),
        ("1,234.5", None),
    ],
)
def test_numbers_with_a_decimal_comma(text: str, number: float | None) -> None:
    """The dot separates thousands then, and where it can't it is a decimal point."""
    assert as_numbers(pl.Series([text]), decimal_comma=True).to_list() == [number]


@pytest.mark.parametrize("text", ["52.516", "52,516", " 52.516 "])
def test_coordinates_have_no_thousands(text: str) -> None:
    """A dot before three digits is a decimal point in them, whatever mark the amounts have."""
    for comma in (True, False):
        if comma or "," not in text:
            found = as_numbers(pl.Series([text]), decimal_comma=comma, grouped=False)
            assert found.to_list() == [52.516]


@pytest.mark.parametrize(
    ("text", "separator", "expected"),
    [
        ("12,5", ",", True),
        ("1.234,567", ",", True),
        ("38,71234", ",", True),
        ("1,048", ",", False),
        ("1,048.0", ",", False),
        ("1,048", ";", True),
        ("1.5", ";", False),
        ("1,016.30", ";", False),
        ("0,195", ",", True),
    ],
)
def test_a_decimal_comma_is_recognised(text: str, separator: str, expected: bool) -> None:
    """By its digits, and where they leave it open by the separator of columns."""
    assert has_decimal_comma([pl.Series([text, None])], separator) is expected


@pytest.mark.parametrize("others", [["376"], ["12.5"]])
def test_a_comma_of_thousands_beside_semicolons(others: list[str]) -> None:
    """Smaller numbers have none there, and fractions a point."""
    columns = [pl.Series(["1,603", "2,250"]), pl.Series(["1,048", *others])]
    assert has_decimal_comma(columns[:1], ";")
    assert not has_decimal_comma(columns, ";")


@pytest.mark.parametrize(
    ("dtype", "value"), [(pl.Float32, 12.35), (pl.Decimal(10, 2), Decimal("12.35")), (pl.Int8, 12)]
)
def test_numbers_of_any_type(dtype: Any, value: Any) -> None:  # noqa: ANN401 - of any type
    """Float32 and Decimal are the decimal number that their tools show."""
    found = pl.Series([value, None], dtype=dtype)
    assert as_numbers(found).to_list() == [float(value), None]


def test_not_a_number_is_null() -> None:
    """NaN is how several tools write that there is no value."""
    found = pl.Series([float("nan"), float("inf"), 1.0])
    assert as_numbers(found).to_list() == [None, None, 1.0]
    plain = plain_column(found)
    assert plain is not None
    assert plain.to_list()[0] is None


def test_ids_of_any_type() -> None:
    """Integers that went through floats are integers; a dictionary column is its text."""
    assert as_text(pl.Series([148.0, None, 2.5])).to_list() == ["148", None, "2.5"]
    assert as_text(pl.Series([" a ", ""])).to_list() == ["a", None]
    assert as_text(pl.Series(["a"], dtype=pl.Categorical)).to_list() == ["a"]
    assert as_text(pl.Series([7])).to_list() == ["7"]
    assert as_location(pl.Series(["148.0", "5636.13"])).to_list() == ["148", "5636.13"]


@pytest.mark.parametrize(
    ("values", "unit"),
    [
        ([NOON], "ms"),
        ([NOON // 1_000], "s"),
        ([NOON / 1_000 + 0.5], "s"),
        ([NOON * 1_000], "us"),
        ([NOON * 1_000_000], "ns"),
        ([0, 10, 20], "ms"),
        ([str(NOON // 1_000), None], "s"),
        ([f"{NOON}.25"], "ms"),
        (["2025-01-06"], None),
        ([None], None),
    ],
)
def test_epoch_times_are_recognised_by_magnitude(values: list[Any], unit: str | None) -> None:
    """Nobody recorded trips until 1973, as which seconds would be read."""
    found = pl.Series(values) if values != [None] else pl.Series([None], dtype=pl.String)
    assert epoch_unit(found) == unit
    if unit is not None and values[0] != 0:
        assert as_times(found, unit)[0][0] // 1_000 == NOON // 1_000


@pytest.mark.parametrize(
    "text",
    [
        "2025-01-06 12:00:00",
        "2025-01-06T12:00:00.000",
        "2025-01-06 12:00",
        "01/06/2025 12:00:00 PM",
        "2025 Jan 06 12:00:00 PM",
        "2025/01/06 12:00:00 PM",
        "2025-01-06 12:00:00 PM",
        "1/6/2025 12:00",
        "1/6/2025 12:00:00",
        "1/6/25 12:00",
        "06.01.2025 12:00",
        " 2025-01-06 12:00:00 ",
    ],
)
def test_local_times_as_text(text: str) -> None:
    """ISO 8601, and what American and European tools write."""
    times, is_local = as_times(pl.Series([text, None]), None)
    assert times.to_list() == [NOON, None]
    assert is_local[0]


@pytest.mark.parametrize(
    "text",
    [
        "2025-01-06T12:00:00Z",
        "2025-01-06 12:00:00 UTC",
        "2025-01-06 07:00:00-05",
        "2025/01/06 12:00:00+00",
        "2025-01-06T13:00:00.000+01:00",
        "2025-01-06T13:00+0100",
    ],
)
def test_instants_as_text(text: str) -> None:
    """A text with an offset is not local."""
    times, is_local = as_times(pl.Series([text]), None)
    assert (times.to_list(), is_local.to_list()) == ([NOON], [False])


@pytest.mark.parametrize("unit", ["ms", "us", "ns"])
def test_times_of_any_resolution(unit: str) -> None:
    """Nanoseconds too; a column with a zone has instants."""
    column = pl.Series([NOON], dtype=pl.Int64).cast(pl.Datetime("ms")).cast(pl.Datetime(unit))  # type: ignore[arg-type] # one of Polars' words
    assert [each.to_list() for each in as_times(column, None)] == [[NOON], [True]]
    zoned = column.dt.replace_time_zone("UTC").dt.convert_time_zone("Asia/Tokyo")
    assert [each.to_list() for each in as_times(zoned, None)] == [[NOON], [False]]


def test_a_form_that_is_named() -> None:
    """The third of February, where days come first."""
    times, _ = as_times(pl.Series(["03/02/2025 12:00"]), None, "%d/%m/%Y %H:%M")
    assert times.cast(pl.Datetime("ms")).dt.date().to_list() == [date(2025, 2, 3)]


def test_what_is_no_time_is_null() -> None:
    """Words, and times beyond the years 1 to 9999."""
    assert as_times(pl.Series(["soon", "2025-02-30 12:00:00"]), None)[0].to_list() == [None, None]
    assert as_times(pl.Series([2**62]), "ms")[0].to_list() == [None]


@pytest.mark.parametrize("day", ["2/1/2020", "2020-02-01", "2020-02-01T00:00:00.000"])
@pytest.mark.parametrize("clock", ["8:15", "08:15"])
def test_date_and_time_in_two_columns(day: str, clock: str) -> None:
    """In the forms of both of Louisville's files, and as a database exports dates."""
    times, _ = as_times(joined(pl.Series([day]), pl.Series([clock])), None)
    assert times.cast(pl.Datetime("ms")).dt.to_string("%F %R").to_list() == ["2020-02-01 08:15"]
