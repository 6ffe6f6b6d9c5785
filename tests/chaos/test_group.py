"""A cluster loses one of its processes, and changes its size between runs."""

import random

import pytest

from broker.topic_reader import count_messages
from mobility.entities import BY_NAME
from mobility.topics import dead_topic, enriched_topic, late_topic
from tests.chaos.conftest import Figures, Rounds
from tests.chaos.exact import assert_exact
from tests.chaos.tenant import Tenant

pytestmark = pytest.mark.chaos


def test_one_of_three_killed_and_rescaled_between_runs(
    tenant: Tenant, rounds: Rounds, draw: random.Random, figures: Figures
) -> None:
    """One process, three of which one is killed, two, and round again: 0 windows differ."""
    kills = {"quick": 1, "full": 10}[rounds]
    flow = tenant.flow
    with tenant.feed(draw.random()) as feed:
        for _ in range(kills):
            for processes in (1, 3, 2):
                flow.start("--processes", str(processes))
                flow.wait_until_read(draw.randrange(1, 2_000))
                if processes == 3:
                    flow.kill_one(draw)
                if draw.random() < 0.5:
                    flow.kill()
                else:
                    flow.stop()
    flow.finish("--processes", "2")
    assert_exact(tenant.settings, feed)
    figures(f"{kills} kills of one of three, {3 * kills} rescalings, 0 windows differ")


def test_sigterm_under_load(
    tenant: Tenant, rounds: Rounds, draw: random.Random, figures: Figures
) -> None:
    """Each stop is graceful, exits with 0 in 5 s, and the next run goes on where it ended.

    Nothing is replayed: over all runs each message is read once, and each enriched, late and dead
    trip went out once, in topics that are delivered at least once after a crash.
    """
    stops = {"quick": 3, "full": 20}[rounds]
    flow, settings = tenant.flow, tenant.settings
    read, slowest = 0, 0.0
    with tenant.feed(draw.random(), rate=3_000) as feed:
        for _ in range(stops):
            flow.start("--processes", draw.choice("12"), enriched=("driver",))
            flow.wait_until_read(draw.randrange(1, 4_000))
            code, seconds = flow.stop()
            assert code == 0
            slowest = max(slowest, seconds)
            read += flow.counters()["read"]
    flow.finish(enriched=("driver",))
    read += flow.counters()["read"]
    expected = assert_exact(settings, feed)
    assert read == feed.sent
    enriched = expected.messages.filter(outcome="counted").drop_nulls("driver_id").height
    for topic, number in (
        (enriched_topic(settings, BY_NAME["driver"]), enriched),
        (late_topic(settings), expected.count("late")),
        (dead_topic(settings), expected.count("dead")),
    ):
        assert count_messages(settings, topic) == number, topic
    figures(f"{stops} stops, the slowest {slowest:.1f} s; {read} messages read, 0 of them twice")
    assert slowest < 5
