"""The comparison finds every injected difference of each kind, and nothing else."""

from typing import Final

import polars as pl
import pytest

from audit.comparison import DIFFERENCE_KINDS, MAX_EXAMPLES, Comparison, compare

EXPECTED: Final = pl.DataFrame(
    {
        "entity": ["driver", "driver", "h3"],
        "id": ["a", "b", "a"],
        "window_start": [0, 0, 300_000],
        "trip_count": [1, 2, 3],
        "total_revenue": [5_000_000, 2**60 + 1, -1],
        "avg_duration": [1.5, 1 / 3, 0.0],
    }
)


def compared(found: pl.DataFrame, expected: pl.DataFrame = EXPECTED) -> Comparison:
    """Compare with the expected frame."""
    return compare(
        "an output",
        expected,
        found,
        keys=["entity", "id", "window_start"],
        fields=["trip_count", "total_revenue"],
        means=["avg_duration"],
    )


def counted(comparison: Comparison) -> dict[str, int]:
    """Return the counts that are not zero."""
    return {kind: number for kind, number in comparison.counts.items() if number}


def changed(row: int, **values: object) -> pl.DataFrame:
    """Return the expected frame with values of one row replaced."""
    rows = EXPECTED.rows(named=True)
    rows[row] |= values
    return pl.DataFrame(rows, schema=EXPECTED.schema)


def test_equal_frames_in_any_order_do_not_differ() -> None:
    """The order of rows and columns, and further columns, are not compared."""
    found = EXPECTED.reverse().select(pl.lit(1).alias("more"), *EXPECTED.columns[::-1])
    comparison = compared(found)
    assert (comparison.expected, comparison.differences, comparison.examples) == (3, 0, ())
    assert list(comparison.counts) == list(DIFFERENCE_KINDS)


def test_a_missing_row() -> None:
    """A row that was not found is missing, and its example shows what was expected."""
    comparison = compared(EXPECTED.slice(1))
    assert counted(comparison) == {"missing": 1}
    (example,) = comparison.examples
    assert example.key == "entity driver, id a, window_start 1970-01-01T00:00:00Z"
    assert "trip_count 1" in example.expected
    assert example.found == ""


def test_an_extra_row() -> None:
    """A row that was not expected is extra, and its example shows what was found."""
    comparison = compared(EXPECTED, EXPECTED.head(2))
    assert counted(comparison) == {"extra": 1}
    (example,) = comparison.examples
    assert (example.expected, "trip_count 3" in example.found) == ("", True)


def test_a_repeated_row() -> None:
    """A key that was found twice is a difference, even if both rows are right."""
    assert counted(compared(pl.concat([EXPECTED, EXPECTED.head(1)]))) == {"repeated": 1}


@pytest.mark.parametrize("name", ["entity", "id", "window_start"])
def test_another_key_is_one_missing_and_one_extra(name: str) -> None:
    """Each key column is part of the key."""
    found = changed(0, **{name: 1 if name == "window_start" else "c"})
    assert counted(compared(found)) == {"missing": 1, "extra": 1}


@pytest.mark.parametrize(
    ("row", "name", "value"),
    [
        (0, "trip_count", 2),
        (0, "trip_count", None),
        (0, "total_revenue", 5_000_001),
        (1, "total_revenue", 2**60),
        (2, "total_revenue", None),
        (0, "avg_duration", 1.500001),
        (1, "avg_duration", 0.333333),
        (0, "avg_duration", None),
        (0, "avg_duration", float("nan")),
        (0, "avg_duration", float("inf")),
        (2, "avg_duration", 1e-300),
    ],
)
def test_another_value(row: int, name: str, value: object) -> None:
    """One micro-unit, one trip, a null or a rounded mean is a difference."""
    comparison = compared(changed(row, **{name: value}))
    assert counted(comparison) == {"different": 1}
    (example,) = comparison.examples
    assert example.expected == f"{name} {EXPECTED[name][row]}"
    assert example.found == f"{name} {value}"


def test_a_mean_may_differ_in_its_last_digits() -> None:
    """Means may be computed with one rounding or two: that much is allowed, and no more."""
    assert compared(changed(1, avg_duration=0.33333333333333337)).differences == 0
    assert compared(changed(1, avg_duration=0.33333333333)).differences == 1


def test_a_row_with_several_other_values_counts_once() -> None:
    """Differences count rows; the examples have every field."""
    comparison = compared(changed(0, trip_count=7, total_revenue=7))
    assert counted(comparison) == {"different": 1}
    assert [example.expected for example in comparison.examples] == [
        "trip_count 1",
        "total_revenue 5000000",
    ]


def test_nulls_in_keys_are_equal() -> None:
    """In a key null is a value, equal to itself only."""
    frame = pl.DataFrame({"id": ["a", None], "copies": [1, 2]})
    assert compare("x", frame, frame, keys=["id"], fields=["copies"]).differences == 0
    other = pl.DataFrame({"id": ["a", ""], "copies": [1, 2]})
    comparison = compare("x", frame, other, keys=["id"], fields=["copies"])
    assert counted(comparison) == {"missing": 1, "extra": 1}


def test_doubles_as_keys_are_compared_as_numbers() -> None:
    """NaN equals itself, minus zero equals zero, and the next double is another."""
    keys = [float("nan"), 0.0, 0.1]
    same = pl.DataFrame({"price": [float("nan"), -0.0, 0.1]})
    other = pl.DataFrame({"price": [float("nan"), 0.0, 0.10000000000000002]})
    expected = pl.DataFrame({"price": keys})
    assert compare("x", expected, same, keys=["price"]).differences == 0
    assert compare("x", expected, other, keys=["price"]).differences == 2


def test_only_the_first_examples_are_kept() -> None:
    """Every difference is counted, a few of each kind are kept as examples."""
    many = pl.DataFrame({"id": [f"{n:03}" for n in range(100)]})
    comparison = compare("x", many, many.clear(), keys=["id"])
    assert counted(comparison) == {"missing": 100}
    assert [example.key for example in comparison.examples] == [
        f"id {n:03}" for n in range(MAX_EXAMPLES)
    ]


def test_empty_frames_are_equal_and_missing_everything_is_found() -> None:
    """An empty frame is right only if nothing is expected."""
    assert compared(EXPECTED.clear(), EXPECTED.clear()).differences == 0
    assert compared(EXPECTED.clear()).differences == 3
    assert compared(EXPECTED, EXPECTED.clear()).differences == 3


def test_a_frame_without_a_column_is_an_error() -> None:
    """A column that can't be compared is not skipped."""
    with pytest.raises(pl.exceptions.ColumnNotFoundError):
        compared(EXPECTED.drop("total_revenue"))
