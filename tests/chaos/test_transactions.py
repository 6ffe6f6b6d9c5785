"""Producers that write trips in transactions: what is not committed was never said."""

import itertools
import random
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

import polars as pl
import pytest

from audit.log_messages import read_log_messages
from broker.topic_reader import TopicReader
from mobility.entities import BY_NAME
from mobility.messages import decode_windows
from mobility.settings import Settings, to_environ
from mobility.topics import aggregated_topic, trips_topic
from stack.checkout import clean_environ, module_environ
from tests.chaos.conftest import ReportFigure, Rounds
from tests.chaos.exact import assert_exact
from tests.chaos.killable_services import KillableServices
from tests.chaos.steady_producer import SteadyProducer
from tests.chaos.tenant import Tenant, new_tenant, one_day_ago
from tests.chaos.transactions import (
    TransactionalProducer,
    abandon_transaction,
    open_transaction,
)
from tests.chaos.trip_stream import TripMessage, TripMix, stream_messages
from tests.waiting import until

pytestmark = pytest.mark.chaos

CLEAN = TripMix(step=50, poison=0)


def test_flow_killed_amid_transactions(
    services_to_kill: KillableServices,
    tmp_path: Path,
    rounds: Rounds,
    rng: random.Random,
    report_figure: ReportFigure,
) -> None:
    """Some are aborted, and some abandoned by producers that were killed: 0 windows differ.

    The log ends in control records; the flow reads past them, becomes idle, and every reader ends.
    """
    kills = {"quick": 3, "full": 10}[rounds]
    with new_tenant(services_to_kill.settings, tmp_path, idle_after=1) as tenant:
        settings, flow = tenant.settings, tenant.flow
        messages = stream_messages(rng.random(), settings.partitions, one_day_ago(), TripMix())
        lost = stream_messages(rng.random(), settings.partitions, one_day_ago(), CLEAN)
        with TransactionalProducer(settings, messages, 1_500, rng) as producer:
            for number in range(kills):
                if not flow.running:
                    flow.start()
                flow.wait_until_read(rng.randrange(1, 3_000))
                if number % 3 == 1:
                    abandon_transaction(
                        settings, f"lost-{number}", list(itertools.islice(lost, 50))
                    )
                time.sleep(rng.uniform(0, 1.2))  # anywhere in an epoch and its commits
                if rng.random() < 0.5:
                    flow.kill()
                else:
                    flow.kill_one_worker(rng)
        if not flow.running:
            flow.start()
        wait_until_idle(tenant)
        assert flow.stop()[0] == 0
        flow.run_to_end()
        expected = assert_exact(settings, producer)
        assert_audited(settings)
    assert producer.aborted
    report_figure(
        f"{kills} kills amid {producer.committed} transactions, {producer.aborted} aborted ones "
        f"and {(kills + 1) // 3} abandoned ones; {expected.windows.height} windows, 0 differ"
    )


STEADY = (0, 1)
COMMITTED, ABORTED = 2, 3


def test_an_open_transaction_holds_up_nothing_else(
    services_to_kill: KillableServices,
    tmp_path: Path,
    rounds: Rounds,
    rng: random.Random,
    report_figure: ReportFigure,
) -> None:
    """Early panes of other partitions go on; a partition that has one is not punctuated."""
    seconds, size = {"quick": (15, 2_500), "full": (60, 25_000)}[rounds]
    short = {"partitions": 4, "idle_after": 1, "punctuate_after": 2}
    with new_tenant(services_to_kill.settings, tmp_path, **short) as tenant:
        settings, flow = tenant.settings, tenant.flow
        trips = stream_messages(rng.random(), settings.partitions, one_day_ago(), CLEAN)
        SteadyProducer(settings, itertools.islice(trips, 2_000)).send_all()
        flow.start()
        flow.wait_until_read(2_000)
        held = {
            partition: open_transaction(
                settings,
                f"held-{partition}",
                to_partitions(itertools.islice(trips, size), partition),
            )
            for partition in (COMMITTED, ABORTED)
        }
        ends = log_ends(settings)
        counts = [count_early(tenant)]
        with SteadyProducer(settings, to_partitions(trips, *STEADY), rate=500) as producer:
            for _ in range(seconds):
                producer.wait_until_sent(500)
                counts.append(until(lambda: count_early(tenant), "early panes", counts[-1].__lt__))
            # Nobody has written to the partitions with open transactions.
            assert {p: log_ends(settings)[p] for p in held} == {p: ends[p] for p in held}
            held[COMMITTED].commit_transaction(60)
            held[ABORTED].abort_transaction(60)
        wait_until_idle(tenant)
        assert flow.stop()[0] == 0
        flow.run_to_end()
        expected = assert_exact(settings)
        trips_read = expected.messages.filter(pl.col("outcome") != "punctuation")
        assert trips_read.height == 2_000 + size + producer.sent
        assert_audited(settings)
    report_figure(
        f"open for {seconds} s: {counts[-1] - counts[0]} early panes, 0 punctuations; "
        f"{expected.windows.height} windows, 0 differ"
    )


def to_partitions(messages: Iterable[TripMessage], *partitions: int) -> Iterator[TripMessage]:
    """Yield the messages with their partitions replaced by these."""
    for message in messages:
        yield TripMessage(partitions[message.partition % len(partitions)], message.value)


def log_ends(settings: Settings) -> dict[int, int]:
    """Return the end of each partition of the log, with what is not committed."""
    with TopicReader(settings, trips_topic(settings)) as reader:
        return reader.ends()


def count_early(tenant: Tenant) -> int:
    """Return how many early panes of drivers were sent."""
    entity = BY_NAME["driver"]
    values = [
        message.value or b""
        for batch in read_log_messages(tenant.settings, aggregated_topic(tenant.settings, entity))
        for message in batch
    ]
    return decode_windows(values, entity).filter(pl.col("pane") == "early").height


def wait_until_idle(tenant: Tenant) -> None:
    """Wait until the flow has read everything and each partition is idle."""

    def states() -> list[tuple[str, int]]:
        statuses = tenant.flow.statuses()
        partitions = [each for status in statuses for each in status["partitions"].values()]
        return [(each["status"], each["lag"]) for each in partitions]

    everything = [("idle", 0)] * tenant.settings.partitions
    until(states, "every partition to be idle", everything.__eq__)


def assert_audited(settings: Settings) -> None:
    """Assert that an audit of all windows ends, and finds nothing."""
    audit = subprocess.run(
        [sys.executable, "-m", "audit.sampling", "--all"],
        env=module_environ(clean_environ()) | to_environ(settings),
        capture_output=True,
        text=True,
        check=False,
    )
    assert audit.returncode == 0, audit.stdout + audit.stderr
