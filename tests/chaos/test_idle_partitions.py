"""Idle partitions delay neither windows nor the cleanup of state, and lose no trip."""

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
from tests.chaos.conftest import ReportFigure, Rounds
from tests.chaos.exact import assert_exact
from tests.chaos.killable_services import KillableServices
from tests.chaos.recovery_reader import earliest_window
from tests.chaos.steady_producer import SteadyProducer
from tests.chaos.tenant import Tenant, new_tenant, one_day_ago
from tests.chaos.trip_stream import MINUTE, TripMessage, TripMix, make_trip
from tests.waiting import until

pytestmark = pytest.mark.chaos

ACTIVE, BECOMES_IDLE, EMPTY = range(3)

SHAPE = TripMix()

# In the full suite partitions are idle for eleven minutes, with default settings; in the quick one
# a partition is idle after 1 s and punctuated after 2 s.
SETTINGS: dict[Rounds, dict[str, int]] = {
    "quick": {"idle_after": 1, "punctuate_after": 2},
    "full": {},
}
RATE: dict[Rounds, int] = {"quick": 500, "full": 60}
TIMEOUT: dict[Rounds, float] = {"quick": 90, "full": 900}


def test_one_partition_empty_and_one_idle(
    services_to_kill: KillableServices,
    tmp_path: Path,
    rounds: Rounds,
    rng: random.Random,
    report_figure: ReportFigure,
) -> None:
    """Windows close, state is cleaned up after the punctuation, and old trips are late."""
    begun = one_day_ago()
    with new_tenant(services_to_kill.settings, tmp_path, **SETTINGS[rounds]) as tenant:
        before = [
            message(rng, f"before-{number}", partition, begun + number * 3_000)
            for number in range(200)
            for partition in (ACTIVE, BECOMES_IDLE)
        ]
        SteadyProducer(tenant.settings, before).send_all()
        after = (
            message(rng, f"after-{number}", ACTIVE, begun + 10 * MINUTE + number * 1_000)
            for number in range(80_000)
        )
        tenant.flow.start()
        idle_since = time.monotonic()
        with SteadyProducer(tenant.settings, after, rate=RATE[rounds]):
            until(
                lambda: "on_time" in panes(tenant, begun + 10 * MINUTE), "the first window to close"
            )
            until(
                lambda: punctuated(tenant) >= {BECOMES_IDLE, EMPTY},
                "punctuations",
                seconds=TIMEOUT[rounds],
            )
            idle_seconds = time.monotonic() - idle_since
            until(lambda: earliest_state(tenant) > begun + 10 * MINUTE, "the cleanup of old state")
        old = [
            message(rng, f"old-{number}", BECOMES_IDLE, begun + number * 3_000)
            for number in range(200)
        ]
        SteadyProducer(tenant.settings, old).send_all()
        code, _ = tenant.flow.stop()
        assert code == 0
        tenant.flow.run_to_end()
        expected = assert_exact(tenant.settings)
        assert expected.count("late") == len(old)
    report_figure(
        f"{expected.count('punctuation')} punctuations after {idle_seconds:.0f} s, "
        f"{len(old)} old trips late, exact"
    )


def message(rng: random.Random, trip_id: str, partition: int, at: int) -> TripMessage:
    """Return a message with a trip for a partition."""
    return TripMessage(partition, json.dumps(make_trip(rng, trip_id, at, SHAPE)).encode())


def panes(tenant: Tenant, before: int) -> set[str]:
    """Return the panes of drivers' windows that start before a time."""
    topic = aggregated_topic(tenant.settings, BY_NAME["driver"])
    values = [
        message.value or b""
        for batch in read_log_messages(tenant.settings, topic)
        for message in batch
    ]
    windows = decode_windows(values, BY_NAME["driver"])
    return set(windows.filter(pl.col("window_start") < before)["pane"])


def punctuated(tenant: Tenant) -> set[int]:
    """Return the partitions of the log that have a punctuation."""
    return {
        message.partition
        for batch in read_log_messages(tenant.settings, trips_topic(tenant.settings))
        for message in batch
        if message.value is None
    }


def earliest_state(tenant: Tenant) -> int:
    """Return the start of the earliest window in the newest snapshots, 0 if there is none."""
    return earliest_window(tenant.flow.recovery) or 0
