"""The flow reads a log of each format, and every output is that of the batch computation."""

import itertools
import json
from collections.abc import Sequence

import msgspec
import polars as pl
import pytest

from audit.log_messages import read_log_messages
from audit.oracle import OracleResult, run_oracle, validate_log
from audit.output_comparisons import compare_dead_letters, compare_late_trips, compare_windows
from audit.topics import read_source_positions, read_windows
from mobility.topics import dead_topic, late_topic, trips_topic
from mobility.value_settings import Value
from tests.dataflows.conftest import Hub, trips_log
from tests.dataflows.test_services import assert_succeeded
from tests.envelopes import WRAPS, change, in_schema
from tests.strategies import Entry

pytestmark = pytest.mark.services

POISON = (b"\xff", b"{}", b"{", change(b"null", b"{}", "d"), in_schema(b"{}"), in_schema(b"null"))


def wrapped_log(name: Value, seed: int) -> list[list[Entry | bytes]]:
    """Return a log of trips in every envelope that holds them, among dead letters."""
    ways = itertools.cycle(WRAPS[name])
    return [
        [
            *POISON,
            *(entry if entry.value is None else next(ways)(entry.value) for entry in entries),
        ]
        for entries in trips_log(seed)
    ]


def assert_audited(hub: Hub, *, dead_letters: bool = True) -> OracleResult:
    """Assert that topics of windows, late trips and dead letters are what the log makes them."""
    settings = hub.settings
    log = validate_log(read_log_messages(settings, trips_topic(settings)), settings)
    expected = run_oracle(log, settings)
    late = read_source_positions(settings, late_topic(settings))
    dead = read_source_positions(settings, dead_topic(settings))
    for compared in (
        compare_windows("aggregated", expected, read_windows(settings, lambda _topic: None)),
        compare_late_trips(expected, late, settings),
        compare_dead_letters(expected, log, dead, settings),
    ):
        assert compared.expected > 0 or (compared.output == "trips_dlq" and not dead_letters)
        assert compared.differences == 0, compared.examples
    return expected


def enriched_trips(hub: Hub) -> list[dict[str, object]]:
    """Return the messages of `enriched.driver`."""
    return [json.loads(message.value() or b"") for message in hub.messages("enriched.driver")]


@pytest.mark.parametrize("name", ["connect-json", "debezium"])
def test_a_log_of_envelopes(hub: Hub, name: Value) -> None:
    """Windows, late trips, dead letters with their bytes, and enriched trips."""
    hub.settings = msgspec.structs.replace(hub.settings, value=name, enriched=("driver",))
    hub.make_topics()
    log: Sequence[Sequence[Entry | bytes]] = wrapped_log(name, 5)
    hub.write(log)
    assert_succeeded(hub.run())
    expected = assert_audited(hub)
    assert expected.count("counted") > 1_000
    assert expected.count("dead") == len(POISON) * len(log)
    counted = (
        expected.messages.filter(pl.col("outcome") == "counted").drop_nulls("driver_id").height
    )
    trips = enriched_trips(hub)
    assert len(trips) == counted
    assert all(
        trip.keys()
        == {"start_time", "duration_min", "distance_km", "price", "log"}
        | {"trip_id", "driver_id", "vehicle_type"}
        for trip in trips
    )
    # A value of the setting is an answer: another one does not go on in the same folder.
    refused = hub.run(value="json")
    assert refused.returncode == 2
    assert f"MOBILITY_VALUE={name}" in refused.stderr
