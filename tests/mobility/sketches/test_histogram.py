"""Histograms: the same bytes from any batches in any order, and quantiles within 2 %."""

import math
import random
from collections.abc import Callable

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mobility.sketches import histogram
from mobility.sketches.records import RECORDS, from_bytes, to_bytes
from tests.strategies import batches

LARGEST = 10**15
"""The micro-units of the largest amount of a trip."""

values = st.integers(-LARGEST, LARGEST) | st.integers(-200, 200) | st.none()


def records(counted: list[int | None]) -> pl.Series:
    """Return the records of values."""
    frame = pl.DataFrame({"value": counted}, schema={"value": pl.Int64})
    return frame.select(histogram.record_of("value").drop_nulls()).to_series()


def histograms(*parts: pl.Series) -> pl.Series:
    """Return the canonical histogram of each part."""
    return histogram.canonical(pl.Series(parts, dtype=RECORDS))


@given(st.data(), st.lists(values, max_size=60))
def test_any_batches_in_any_order_have_the_same_bytes(
    data: st.DataObject, counted: list[int | None]
) -> None:
    """Histograms of parts merge to that of the whole, in one step or in several."""
    parts = data.draw(st.permutations([records(part) for part in data.draw(batches(counted))]))
    whole = to_bytes(histograms(records(counted)))[0]
    merged = pl.Series(dtype=RECORDS.inner)
    for part in parts:
        merged = histograms(pl.concat([part, merged])).explode().drop_nulls()
    assert to_bytes(histograms(merged))[0] == whole
    assert histogram.count(merged) == sum(value is not None for value in counted)


@given(st.lists(st.none() | st.lists(values, max_size=9), max_size=9))
def test_bytes_are_read_back(counted: list[list[int | None] | None]) -> None:
    """Also where there is nothing, and where nothing is known."""
    lists = [None if each is None else records(each) for each in counted]
    canonical = histogram.canonical(pl.Series("x", lists, dtype=RECORDS))
    data = to_bytes(canonical)
    assert from_bytes(data).to_list() == canonical.to_list()
    assert data.null_count() == sum(each is None for each in lists)


def percentiles(counted: list[int | None], percents: list[int]) -> dict[str, int]:
    """Return the percentiles of values, each counted by a record of its own."""
    lists = pl.Series([records(counted).to_list()], dtype=RECORDS)
    [found] = histogram.percentiles(lists, percents).iter_rows(named=True)
    return found


def test_bytes_are_pinned() -> None:
    """They are stored data: 16 bits of the bucket and 48 of the count, in the order of buckets."""
    (data,) = to_bytes(histograms(records([64, 65, 66, 1, -1, 0, LARGEST])))
    assert data.hex(" ", 8).split() == [
        "7fff000000000001",
        "8000000000000001",
        "8001000000000001",
        "8040000000000002",
        "8041000000000001",
        "85b8000000000001",
    ]


@given(st.integers(-LARGEST, LARGEST))
def test_a_value_is_within_two_per_cent_of_its_bucket(value: int) -> None:
    """Whatever its size and sign; small integers are exact."""
    found = percentiles([value], [50])["p50"]
    assert abs(found - value) <= abs(value) / 64
    assert found == value or abs(value) >= 64


_random = random.Random(4711)  # noqa: S311 - the same numbers each time
SHAPES: dict[str, Callable[[], float]] = {
    "lognormal": lambda: _random.lognormvariate(2, 1.5),
    "pareto": lambda: _random.paretovariate(1.1),
    "two": lambda: _random.choice((0.000_003, 1_000.0)),
}


@pytest.mark.parametrize("size", [1, 2, 3, 99, 100, 101, 5_000])
@pytest.mark.parametrize("shape", SHAPES)
def test_percentiles_are_within_two_per_cent(shape: str, size: int) -> None:
    """Of skewed values, against those of the nearest rank among all values."""
    counted = sorted(round(SHAPES[shape]() * 1_000_000) for _ in range(size))
    found = percentiles([*counted], [1, 50, 90, 99, 100])
    for percent in (1, 50, 90, 99, 100):
        rank = math.ceil(size * percent / 100)
        assert found[f"p{percent}"] == pytest.approx(counted[rank - 1], rel=0.02)


@given(st.lists(st.none() | st.lists(values, max_size=9), max_size=9))
def test_percentiles_of_many_are_those_of_each(counted: list[list[int | None] | None]) -> None:
    """In the order of the lists; null where nothing was counted, or nothing is known."""
    lists = [None if each is None else records(each).to_list() for each in counted]
    found = histogram.percentiles(pl.Series(lists, dtype=RECORDS), [50, 99])
    nothing = {"p50": None, "p99": None}
    assert found.to_dicts() == [
        percentiles(each, [50, 99]) if each and {*each} - {None} else nothing for each in counted
    ]
