"""Comparison of a peer's windows with the oracle."""

import json

import polars as pl
import pytest

from audit.oracle import OracleResult, run_oracle, validate_log
from audit.validation import LogMessage
from benchmarks.peers.output import decode, describe, keep_last_updates
from mobility.settings import Settings

NOON = "2025-06-02T12:00:00Z"


@pytest.fixture
def expected() -> OracleResult:
    """Return the oracle's result for two trips of one driver in one window."""
    trip = {"driver_id": "d1", "start_time": NOON, "duration_min": 0.1, "distance_km": 0.2}
    messages = [
        LogMessage(0, offset, 2**42, json.dumps(trip | {"price": price}).encode())
        for offset, price in enumerate((1.5, 2.25))
    ]
    return run_oracle(validate_log([messages], Settings()), Settings())


def window(count: int, revenue: float, start: str = NOON) -> bytes:
    """Return a peer's message for that window."""
    sums = {"total_duration": count * 0.1, "total_distance": count * 0.2, "total_revenue": revenue}
    return json.dumps(
        {"entity_id": "d1", "window_start": start, "trip_count": count, **sums}
    ).encode()


def found(*values: bytes) -> pl.DataFrame:
    """Return the windows in these messages of the driver topic."""
    return keep_last_updates(decode(list(values), "driver"))


@pytest.mark.parametrize("start", [NOON, "2025-06-02 12:00:00", "2025-06-02T12:00:00.000+00:00"])
def test_times_may_have_several_forms(expected: OracleResult, start: str) -> None:
    """Doubles are equal if they differ by less than a micro-unit."""
    assert describe(expected, found(window(2, 3.75, start)), ["driver"]) == "equal: 1 windows"


def test_the_last_update_of_a_window_counts(expected: OracleResult) -> None:
    """Of a peer's updates the one with the most trips is compared."""
    both = found(window(2, 3.75), window(1, 1.5))
    assert describe(expected, both, ["driver"]).startswith("equal")


def test_missing_trips_are_counted(expected: OracleResult) -> None:
    """As windows and as trips."""
    short = describe(expected, found(window(1, 1.5)), ["driver"])
    assert short == "differs: 1 of 1 windows; 1 trips (50.0%) not counted"
    nothing = describe(expected, found(), ["driver"])
    assert nothing == "differs: 1 of 1 windows; 2 trips (100.0%) not counted"


def test_other_totals_differ(expected: OracleResult) -> None:
    """Also with the right number of trips."""
    assert describe(expected, found(window(2, 3.76)), ["driver"]).startswith("differs: 1 of 1")
