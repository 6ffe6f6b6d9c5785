"""Partitions that say nothing hold up neither windows nor memory, and lose no trip."""

import json
import random
import time
from pathlib import Path

import polars as pl
import pytest

from audit.log_messages import read_log_messages
from mobility.entities import BY_NAME
from mobility.messages import decode_windows
from mobility.topics import aggregated_topic, trips_topic
from tests.chaos.conftest import Figures, Rounds
from tests.chaos.exact import assert_exact
from tests.chaos.feed import Feed
from tests.chaos.machine import Machine
from tests.chaos.recovered import earliest_window
from tests.chaos.tenant import Tenant, a_day_ago, new_tenant
from tests.chaos.trips import MINUTE, Sent, Shape, trip
from tests.waiting import until

pytestmark = pytest.mark.chaos

SPEAKS, FALLS_SILENT, EMPTY = range(3)

SHAPE = Shape()

# In the full suite eleven minutes of silence pass, by the settings' defaults; in the quick one a
# partition counts as idle after 1 s and is punctuated after 2 s: the same clock, only sooner.
SETTINGS: dict[Rounds, dict[str, int]] = {
    "quick": {"idle_after": 1, "punctuate_after": 2},
    "full": {},
}
RATE: dict[Rounds, int] = {"quick": 500, "full": 60}
PATIENCE: dict[Rounds, float] = {"quick": 90, "full": 900}


def test_one_partition_empty_and_one_silent(
    machine: Machine, tmp_path: Path, rounds: Rounds, draw: random.Random, figures: Figures
) -> None:
    """Windows close, state goes after the punctuation, old trips are late with their position."""
    begun = a_day_ago()
    with new_tenant(machine.settings, tmp_path, **SETTINGS[rounds]) as tenant:
        before = [
            message(draw, f"before-{number}", partition, begun + number * 3_000)
            for number in range(200)
            for partition in (SPEAKS, FALLS_SILENT)
        ]
        Feed(tenant.settings, before).send_all()
        after = (
            message(draw, f"after-{number}", SPEAKS, begun + 10 * MINUTE + number * 1_000)
            for number in range(80_000)
        )
        tenant.flow.start()
        silent_since = time.monotonic()
        with Feed(tenant.settings, after, rate=RATE[rounds]):
            until(
                lambda: "on_time" in panes(tenant, begun + 10 * MINUTE), "the first window to close"
            )
            until(
                lambda: punctuated(tenant) >= {FALLS_SILENT, EMPTY},
                "punctuations",
                seconds=PATIENCE[rounds],
            )
            silence = time.monotonic() - silent_since
            until(lambda: held_from(tenant) > begun + 10 * MINUTE, "old state to be dropped")
        old = [
            message(draw, f"old-{number}", FALLS_SILENT, begun + number * 3_000)
            for number in range(200)
        ]
        Feed(tenant.settings, old).send_all()
        code, _ = tenant.flow.stop()
        assert code == 0
        tenant.flow.finish()
        expected = assert_exact(tenant.settings)
        assert expected.count("late") == len(old)
    figures(
        f"{expected.count('punctuation')} punctuations after {silence:.0f} s of silence, "
        f"{len(old)} old trips late, exact"
    )


def message(draw: random.Random, trip_id: str, partition: int, at: int) -> Sent:
    """Return a trip on its way to a partition."""
    return Sent(partition, json.dumps(trip(draw, trip_id, at, SHAPE)).encode())


def panes(tenant: Tenant, until_then: int) -> set[str]:
    """Return the panes of drivers' windows that start before a time."""
    topic = aggregated_topic(tenant.settings, BY_NAME["driver"])
    values = [
        message.value or b""
        for batch in read_log_messages(tenant.settings, topic)
        for message in batch
    ]
    windows = decode_windows(values, BY_NAME["driver"])
    return set(windows.filter(pl.col("window_start") < until_then)["pane"])


def punctuated(tenant: Tenant) -> set[int]:
    """Return the partitions of the log that a punctuation stands in."""
    return {
        message.partition
        for batch in read_log_messages(tenant.settings, trips_topic(tenant.settings))
        for message in batch
        if message.value is None
    }


def held_from(tenant: Tenant) -> int:
    """Return the start of the earliest window in the newest snapshots, 0 where there is none."""
    return earliest_window(tenant.flow.recovery) or 0
