"""Partitions that say nothing hold up neither windows nor memory, and lose no trip."""

import json
import random
from typing import Final

import polars as pl
import pytest

from audit.log import read_topic
from mobility.entities import BY_NAME
from mobility.messages import decode_windows
from mobility.topics import aggregated_topic, trips_topic
from tests.chaos.clock import Clock
from tests.chaos.conftest import Figures
from tests.chaos.exact import assert_exact
from tests.chaos.feed import Feed
from tests.chaos.recovered import earliest_window
from tests.chaos.tenant import Tenant, a_day_ago
from tests.chaos.trips import MINUTE, Sent, Shape, trip
from tests.chaos.waiting import until

pytestmark = pytest.mark.chaos

SPEAKS, FALLS_SILENT, EMPTY = range(3)

SHAPE = Shape()
_SILENCE: Final = 11 * 60


def test_one_partition_empty_and_one_silent_for_11_min(
    tenant: Tenant, clock: Clock, draw: random.Random, figures: Figures
) -> None:
    """Windows close, state goes after the punctuation, old trips are late with their position.

    The flow's own wall clock passes over the 11 minutes; the settings are the defaults.
    """
    begun = a_day_ago()
    quiet_from = begun + 10 * MINUTE
    Feed(tenant.settings, trips(draw, "before", begun, (SPEAKS, FALLS_SILENT), 200)).send_all()
    tenant.flow.start()
    with Feed(tenant.settings, trips(draw, "after", quiet_from, (SPEAKS,), 20_000), rate=100):
        until(lambda: "on_time" in panes(tenant, quiet_from), "the first window to close")
        assert punctuated(tenant) == set()
        assert earliest_window(tenant.flow.recovery) == begun - begun % tenant.settings.window_ms
        clock.step(_SILENCE)
        until(lambda: punctuated(tenant) == {FALLS_SILENT, EMPTY}, "punctuations")
        until(lambda: held_from(tenant) > quiet_from, "old state to be dropped")
    old = trips(draw, "old", begun, (FALLS_SILENT,), 200)
    Feed(tenant.settings, old).send_all()
    assert tenant.flow.stop()[0] == 0
    tenant.flow.finish()
    expected = assert_exact(tenant.settings)
    assert expected.count("late") == len(old)
    figures(f"{expected.count('punctuation')} punctuations, {len(old)} old trips late, exact")


def trips(
    draw: random.Random, name: str, begun: int, partitions: tuple[int, ...], number: int
) -> list[Sent]:
    """Return so many trips for each of the partitions, 3 s of event time apart."""
    return [
        Sent(partition, json.dumps(trip(draw, f"{name}-{place}", at, SHAPE)).encode())
        for place in range(number)
        for at in (begun + place * 3_000,)
        for partition in partitions
    ]


def panes(tenant: Tenant, until_then: int) -> set[str]:
    """Return the panes of drivers' windows that start before a time."""
    topic = aggregated_topic(tenant.settings, BY_NAME["driver"])
    values = [
        message.value or b""
        for batch in read_topic(tenant.settings.kafka, topic)
        for message in batch
    ]
    windows = decode_windows(values, BY_NAME["driver"])
    return set(windows.filter(pl.col("window_start") < until_then)["pane"])


def punctuated(tenant: Tenant) -> set[int]:
    """Return the partitions of the log that a punctuation stands in."""
    return {
        message.partition
        for batch in read_topic(tenant.settings.kafka, trips_topic(tenant.settings))
        for message in batch
        if message.value is None
    }


def held_from(tenant: Tenant) -> int:
    """Return the start of the earliest window in the newest snapshots, 0 where there is none."""
    return earliest_window(tenant.flow.recovery) or 0
