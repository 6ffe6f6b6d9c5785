"""One process of a cluster is killed, and the number of processes changes between runs."""

import random

import pytest

from broker.topic_reader import count_messages
from mobility.entities import BY_NAME
from mobility.topics import dead_topic, enriched_topic, late_topic
from tests.chaos.conftest import EVERY_STORE, ReportFigure, Rounds
from tests.chaos.exact import assert_exact
from tests.chaos.tenant import Tenant

pytestmark = [pytest.mark.chaos, EVERY_STORE]


def test_one_of_three_killed_and_rescaled_between_runs(
    tenant: Tenant, rounds: Rounds, rng: random.Random, report_figure: ReportFigure
) -> None:
    """One process, then three of which one is killed, then two, repeatedly: 0 windows differ."""
    kills = {"quick": 1, "full": 10}[rounds]
    flow = tenant.flow
    with tenant.producer(rng.random()) as producer:
        for _ in range(kills):
            for processes in (1, 3, 2):
                flow.start("--processes", str(processes))
                flow.wait_until_read(rng.randrange(1, 2_000))
                if processes == 3:
                    flow.kill_one_worker(rng)
                if rng.random() < 0.5:
                    flow.kill()
                else:
                    flow.stop()
    flow.run_to_end("--processes", "2")
    assert_exact(tenant.settings, producer)
    report_figure(f"{kills} kills of one of three, {3 * kills} rescalings, 0 windows differ")


def test_sigterm_under_load(
    tenant: Tenant, rounds: Rounds, rng: random.Random, report_figure: ReportFigure
) -> None:
    """Each stop is graceful, exits with 0, and the next run continues where it ended.

    Nothing is repeated: over all runs each message is read once, and each enriched, late and dead
    trip is written once, to topics that have duplicates after a crash only.
    """
    stops = {"quick": 3, "full": 20}[rounds]
    flow, settings = tenant.flow, tenant.settings
    read, slowest = 0, 0.0
    with tenant.producer(rng.random(), rate=3_000) as producer:
        for _ in range(stops):
            flow.start("--processes", rng.choice("12"), enriched=("driver",))
            flow.wait_until_read(rng.randrange(1, 4_000))
            code, seconds = flow.stop()
            assert code == 0
            slowest = max(slowest, seconds)
            read += flow.counters()["read"]
    flow.run_to_end(enriched=("driver",))
    read += flow.counters()["read"]
    expected = assert_exact(settings, producer)
    assert read == producer.sent
    enriched = expected.messages.filter(outcome="counted").drop_nulls("driver_id").height
    for topic, number in (
        (enriched_topic(settings, BY_NAME["driver"]), enriched),
        (late_topic(settings), expected.count("late")),
        (dead_topic(settings), expected.count("dead")),
    ):
        assert count_messages(settings, topic) == number, topic
    report_figure(
        f"{stops} stops, the slowest {slowest:.1f} s; {read} messages read, 0 of them twice"
    )
