"""The table of measures, and what is derived from it."""

import re

import polars as pl

from mobility.measure_lists import measure_list
from mobility.measures import (
    ADDITIVE,
    AMOUNTS,
    COUNTS,
    EXTREMES,
    MEANS,
    MEASURE_SCHEMA,
    MEASURES,
    STARTS,
    SUMS,
    TOTALS,
)
from mobility.records import WINDOW_SCHEMA
from mobility.trips import TRIP_SCHEMA


def test_names_and_types_are_pinned() -> None:
    """They are stored data: topics, recovery state, tables and keys have them."""
    kinds = {
        "trip_count": pl.Int64(),
        "total_duration": pl.Int128(),
        "total_distance": pl.Int128(),
        "total_revenue": pl.Int128(),
        "start_time": pl.Int64(),
        "last_start_time": pl.Int64(),
    }
    assert {name: MEASURE_SCHEMA[name] for name in kinds} == kinds
    others = ["id", "window_start", "pane", "generation"]
    assert [name for name in WINDOW_SCHEMA if name not in MEASURE_SCHEMA] == others


def test_every_row_of_the_table_is_sound() -> None:
    """Names can stand in SQL as they are, and inputs are columns of counted trips."""
    names = [measure.name for measure in MEASURES]
    assert len({*names, *MEANS}) == len(MEASURES) + len(MEANS)
    for measure in MEASURES:
        assert re.fullmatch("[a-z][a-z_]*", measure.name)
        assert measure.input is not None or measure.kind == "count"
        assert measure.count in COUNTS
        assert measure.input is None or TRIP_SCHEMA[measure.input] == pl.Int64
        assert measure.mean is None or measure.kind == "sum"
        assert measure.substitute is None or measure.substitute in names


def test_each_measure_is_of_one_sort() -> None:
    """It is added up or compared; it is a count, an amount in micro-units, or a time."""
    names = sorted(MEASURE_SCHEMA)
    assert sorted((*SUMS, *EXTREMES)) == sorted((*COUNTS, *AMOUNTS, *STARTS)) == names
    assert sorted((*COUNTS, *TOTALS)) == sorted(SUMS)
    assert tuple(each.name for each in ADDITIVE) == SUMS


def test_lists_have_the_order_of_the_table() -> None:
    """So the columns of a statement and those of its values match."""
    items = measure_list("{name}", "{best} {better_of} {is_worse} {reaches}").split(", ")
    assert items[:6] == [*SUMS[:4], "min least > <=", "max greatest < >="]
    assert measure_list("{name}").split(", ") == list(MEASURE_SCHEMA)
