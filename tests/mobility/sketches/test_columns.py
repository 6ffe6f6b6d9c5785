"""Sketches of windows: the same bytes from any batches, in any order, on any number of shards."""

import re
from typing import Any

import polars as pl
from hypothesis import given
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from mobility.entities import BY_NAME
from mobility.measures import MEANS, MEASURE_SCHEMA
from mobility.records import WINDOW_SCHEMA, window_schema
from mobility.sketched_measures import SKETCHES, sketches_named, sketches_of
from mobility.sketches.columns import encoded_columns, sketches_in
from mobility.totals import (
    WINDOW_KEY,
    aggregated_columns,
    merge_totals,
    partial_totals,
    split_by_shard,
    with_sketches,
)
from mobility.trips import TRIP_SCHEMA
from tests.strategies import NOON, batches, shard_counts

DRIVER = BY_NAME["driver"]
WINDOW = 300_000
COLUMNS = [*aggregated_columns(DRIVER, SKETCHES)]
SCHEMA = pl.Schema({**TRIP_SCHEMA, "window_start": pl.Int64(), "h3_region": pl.String()})

trips = st.lists(
    st.fixed_dictionaries(
        {
            "driver_id": st.none() | st.sampled_from("ab"),
            "passenger_id": st.none() | st.sampled_from("xyz"),
            "window_start": st.sampled_from((NOON, NOON + WINDOW)),
            "start_time": st.just(NOON),
            "duration": st.integers(0, 10**15) | st.integers(0, 99),
            "distance": st.none() | st.integers(0, 10**15),
            "revenue": st.none() | st.integers(-(10**15), 10**15),
        }
    ),
    max_size=30,
)


def partials(rows: list[dict[str, Any]]) -> pl.DataFrame:
    """Return the partial aggregates of trips, with all sketches."""
    frame = pl.DataFrame(rows, schema={name: SCHEMA[name] for name in COLUMNS})
    return partial_totals(frame, DRIVER, SKETCHES)


def test_every_row_of_the_table_is_sound() -> None:
    """Names are stored data and can stand in SQL as they are; inputs are columns of trips."""
    names = [each.name for each in SKETCHES]
    assert len({*names, *MEANS, *WINDOW_SCHEMA}) == len(names) + len(MEANS) + len(WINDOW_SCHEMA)
    for each in SKETCHES:
        assert re.fullmatch("[a-z][a-z0-9_]*", each.name)
        assert each.answer not in MEASURE_SCHEMA
        assert SCHEMA[each.input] == {"histogram": pl.Int64(), "distinct": pl.String()}[each.kind]
        assert {*each.entities} <= {*BY_NAME}
        # An id is not counted among its own trips.
        assert each.kind == "histogram" or each.input.removesuffix("_id") not in each.entities
    assert sketches_named([*reversed(names), "trip_count"]) == SKETCHES
    of_drivers = [each.name for each in sketches_of(DRIVER, names)]
    assert of_drivers == [name for name in names if name != "distinct_drivers"]
    assert window_schema(SKETCHES).names() == [*WINDOW_SCHEMA, *names]


@given(st.data(), trips, shard_counts)
def test_any_split_order_and_sharding_has_the_same_bytes(
    data: st.DataObject, rows: list[dict[str, Any]], shards: int
) -> None:
    """Partial aggregates of any batches merge to what one batch has."""
    parts = data.draw(st.permutations([partials(part) for part in data.draw(batches(rows))]))
    split = [split_by_shard(part, shards) for part in parts]
    totals = []
    for shard in range(shards):
        merged = merge_totals([])
        for each in split:
            if shard in each:
                merged = merge_totals([merged, each[shard]] if merged.height else [each[shard]])
        totals += [encoded_columns(merged)] if merged.height else []
    expected = encoded_columns(merge_totals([partials(rows)])).sort(WINDOW_KEY)
    found = pl.concat(totals).sort(WINDOW_KEY) if totals else expected.clear()
    assert_frame_equal(found, expected)
    assert expected.null_count().select(each.name for each in SKETCHES).sum_horizontal().sum() == 0


@given(trips, trips)
def test_what_a_part_lacks_is_not_known_of_the_whole(
    before: list[dict[str, Any]], since: list[dict[str, Any]]
) -> None:
    """A window that was open when a sketch was switched on has none; later ones have it."""
    old = with_sketches(with_sketches(partials(before), ()), SKETCHES)
    merged = merge_totals([old, partials(since)])
    assert sketches_in(merged) == [*SKETCHES]
    lacking = merged.join(old, on=WINDOW_KEY, how="semi")
    known = merged.join(old, on=WINDOW_KEY, how="anti")
    for each in SKETCHES:
        assert lacking[each.name].null_count() == lacking.height == old.height
        assert known[each.name].null_count() == 0


def test_without_sketches_nothing_is_computed() -> None:
    """The frames are those of before."""
    rows = partials([]).drop(each.name for each in SKETCHES)
    assert partial_totals(pl.DataFrame(schema=SCHEMA), DRIVER).schema == rows.schema
    assert window_schema(()) == WINDOW_SCHEMA
