"""Each format of the benchmark holds the same trips."""

import pytest

from benchmarks.odd_messages import plain, records
from benchmarks.wrapped_messages import Wrapping, wrappings
from mobility.trips import decode_trips
from mobility.validation import TripRules

TRIPS = records(20)
ALL = wrappings(TRIPS[0])


@pytest.mark.parametrize("wrapping", ALL, ids=lambda each: each.name)
def test_a_format_holds_the_trips_of_plain_json(wrapping: Wrapping) -> None:
    """To the micro-unit but for floats of 32 bits, and to the millisecond."""
    expected = decode_trips([plain(trip) for trip in TRIPS], TripRules()).trips
    values = [wrapping.make(trip) for trip in TRIPS]
    found = decode_trips(values, TripRules(), wrapping.form).trips
    if "floats" in wrapping.name:
        expected, found = expected.drop("duration"), found.drop("duration")
    assert found.to_dicts() == expected.to_dicts()
