"""The sketches of the oracle and of the flow, implemented independently, are the same bytes."""

from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from audit.sketches import sketches_of_trips
from mobility.entities import BY_NAME
from mobility.records import MICRO
from mobility.sketched_measures import SKETCHES, sketches_named
from mobility.sketches.columns import canonical_columns, encoded_columns, records_of_trips
from mobility.totals import aggregated_columns, merge_totals, partial_totals
from mobility.trips import TRIP_SCHEMA
from tests.strategies import batches

DRIVER = BY_NAME["driver"]
KEYS = ("id", "window_start")

# Whole numbers of micro-units, so that both sides round the same doubles to the same integers.
amounts = st.integers(0, 10**15) | st.integers(0, 200) | st.none()
trips = st.lists(
    st.fixed_dictionaries(
        {
            "driver_id": st.sampled_from("abc"),
            "passenger_id": st.none() | st.sampled_from("xyz"),
            "vehicle_type": st.just("car"),
            "window_start": st.sampled_from((0, 300_000)),
            "start_time": st.just(0),
            "duration": amounts,
            "distance": amounts,
            "revenue": st.none() | st.integers(-(10**15), 10**15),
        }
    ),
    max_size=40,
)


@given(st.data(), trips)
def test_both_have_the_same_bytes(data: st.DataObject, rows: list[dict[str, Any]]) -> None:
    """Of any trips, in any batches: also of what none of them has."""
    columns = aggregated_columns(DRIVER, SKETCHES)
    schema = pl.Schema({**TRIP_SCHEMA, "window_start": pl.Int64()})
    frame = pl.DataFrame(rows, schema={name: schema[name] for name in columns})
    parts = data.draw(batches(list(range(frame.height))))
    partials = [partial_totals(frame[part], DRIVER, SKETCHES) for part in parts]
    found = merge_totals(partials) if partials else partial_totals(frame, DRIVER, SKETCHES)
    fields = {"duration": "duration_min", "distance": "distance_km", "revenue": "price"}
    messages = pl.DataFrame(
        [{**row, **{name: units(row[column]) for column, name in fields.items()}} for row in rows],
        schema={**schema, **dict.fromkeys(fields.values(), pl.Float64)},
    )
    expected = sketches_of_trips(messages.with_columns(id="driver_id"), KEYS, SKETCHES)
    names = [*KEYS, *(each.name for each in SKETCHES)]
    assert_frame_equal(encoded_columns(found).select(names).sort(KEYS), expected.sort(KEYS))


def units(amount: int | None) -> float | None:
    """Return micro-units in units."""
    return None if amount is None else amount / MICRO


@pytest.mark.parametrize("passengers", [999, 1_000, 5_000])
def test_large_sets_have_the_same_bytes(passengers: int) -> None:
    """Hashes of up to 999, then registers."""
    trips = pl.DataFrame({"passenger_id": [f"p{number}" for number in range(passengers)]})
    trips = trips.with_columns(id=pl.lit("car"), window_start=pl.lit(0))
    (sketch,) = sketches_named(["distinct_passengers"])
    expected = sketches_of_trips(trips, KEYS, [sketch])
    records = trips.group_by(KEYS).agg(records_of_trips([sketch]))
    found = encoded_columns(canonical_columns(records))
    assert found["distinct_passengers"].to_list() == expected["distinct_passengers"].to_list()
