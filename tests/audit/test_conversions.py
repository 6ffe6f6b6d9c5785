"""Exact conversions of amounts and times."""

import polars as pl
import pytest

from audit.conversions import decimal_to_micro, iso_to_ms, micro_to_units


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("0", 0),
        ("12.5", 12_500_000),
        ("-0.000001", -1),
        ("9007199254.740993", 9_007_199_254_740_993),
        ("9223372036854.775807", 2**63 - 1),
        ("1.100000000", 1_100_000),
        ("5.", 5_000_000),
        ("9223372036854.775808", 2**63),
        ("-1000000000000000000000.000001", -(10**27) - 1),
        ("0.0000001", None),
        ("9" * 33, None),
        ("1e-6", None),
        (" 1", None),
        ("1\n", None),
        ("", None),
        (None, None),
    ],
)
def test_decimal_text_is_parsed_exactly(text: str | None, expected: int | None) -> None:
    """Text becomes micro-units exactly, or null: nothing is rounded."""
    frame = pl.DataFrame({"text": [text]}, schema={"text": pl.String})
    assert frame.select(decimal_to_micro(pl.col("text"))).item() == expected


def test_units_are_the_nearest_doubles() -> None:
    """Micro-units beyond 2^53 are divided with one rounding."""
    amounts = [1, 100_000, 9_007_199_254_740_993, -(2**62) - 1]
    assert micro_to_units(pl.Series("x", amounts)).to_list() == [
        1e-06,
        0.1,
        9007199254.740993,
        -4611686018427.387905,
    ]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2025-01-01T00:00:00Z", 1_735_689_600_000),
        ("2025-01-01T00:00:00.5Z", 1_735_689_600_500),
        ("1969-12-31T23:59:59.999Z", -1),
        ("0001-01-01T00:00:00Z", -62_135_596_800_000),
        ("2025-01-01T00:00:00", None),
        ("2025-01-01T00:00:00+00:00", None),
    ],
)
def test_times_end_in_z(text: str, expected: int | None) -> None:
    """Stores and topics write UTC as Z; other forms are null."""
    assert pl.DataFrame({"text": [text]}).select(iso_to_ms(pl.col("text"))).item() == expected
