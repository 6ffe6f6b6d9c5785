"""Peers' windows held against the answer."""

import json

import polars as pl
import pytest

from audit.oracle import OracleResult, run_oracle, validate_log
from audit.validation import LogMessage
from benchmarks.peers.output import decoded, latest, verdict
from mobility.settings import Settings

NOON = "2025-06-02T12:00:00Z"


@pytest.fixture
def expected() -> OracleResult:
    """Return the answer for two trips of one driver in one window."""
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
    return latest(decoded(list(values), "driver"))


@pytest.mark.parametrize("start", [NOON, "2025-06-02 12:00:00", "2025-06-02T12:00:00.000+00:00"])
def test_equal_however_the_time_is_written(expected: OracleResult, start: str) -> None:
    """Doubles are equal where they are so to a micro-unit."""
    assert verdict(expected, found(window(2, 3.75, start)), ["driver"]) == "equal: 1 windows"


def test_the_last_word_of_a_window_counts(expected: OracleResult) -> None:
    """A peer that sends updates is judged by the one with the most trips."""
    both = found(window(2, 3.75), window(1, 1.5))
    assert verdict(expected, both, ["driver"]).startswith("equal")


def test_what_is_missing_is_counted(expected: OracleResult) -> None:
    """In windows and in trips."""
    short = verdict(expected, found(window(1, 1.5)), ["driver"])
    assert short == "differs: 1 of 1 windows; 1 trips (50.0%) not counted"
    nothing = verdict(expected, found(), ["driver"])
    assert nothing == "differs: 1 of 1 windows; 2 trips (100.0%) not counted"


def test_other_totals_differ(expected: OracleResult) -> None:
    """With the right number of trips, too."""
    assert verdict(expected, found(window(2, 3.76)), ["driver"]).startswith("differs: 1 of 1")
