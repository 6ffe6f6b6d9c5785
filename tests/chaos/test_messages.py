"""Difficult logs: hours of disorder, all messages twice, one poison message in a hundred."""

import dataclasses
import itertools
import json
import random
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

from audit import output_comparisons, topics
from audit.oracle import OracleResult
from broker.topic_reader import count_messages
from mobility.topics import dead_topic, late_topic, trips_topic
from tests.chaos.conftest import ReportFigure
from tests.chaos.exact import assert_exact
from tests.chaos.killable_services import KillableServices
from tests.chaos.poison_messages import POISON_KINDS
from tests.chaos.steady_producer import SteadyProducer
from tests.chaos.tenant import Tenant, new_tenant, one_day_ago
from tests.chaos.trip_stream import MINUTE, TripMessage, TripMix, make_trip, stream_messages

pytestmark = pytest.mark.chaos

HOUR = 60 * MINUTE
TRIPS = 20_000

CLEAN = TripMix(late=0, repeated=0, poison=0)


def run_and_check(tenant: Tenant, messages: Iterable[TripMessage]) -> OracleResult:
    """Send the messages, process them in one run, and return the result that all outputs have.

    The flow's counters must equal the result too, so it was not restarted.
    """
    producer = SteadyProducer(tenant.settings, messages)
    producer.send_all()
    tenant.flow.run_to_end()
    expected = assert_exact(tenant.settings, producer)
    comparison = output_comparisons.compare_flow_counters(expected, tenant.flow.status)
    assert comparison.differences == 0, comparison.examples
    return expected


@pytest.mark.parametrize("hours", [1, 2])
def test_disorder_of_an_hour_and_beyond(
    services_to_kill: KillableServices,
    tmp_path: Path,
    rng: random.Random,
    report_figure: ReportFigure,
    hours: int,
) -> None:
    """With an allowed lateness of 1 h no trip that is up to 1 h out of order is late.

    Of the others those are late that the oracle says, and `trips_late` has exactly those.
    """
    shape = dataclasses.replace(CLEAN, step=1_000, disorder=hours * HOUR)
    with new_tenant(services_to_kill.settings, tmp_path, allowed_lateness=3_600) as tenant:
        messages = stream_messages(rng.random(), tenant.settings.partitions, one_day_ago(), shape)
        expected = run_and_check(tenant, itertools.islice(messages, TRIPS))
        late = expected.count("late")
        assert count_messages(tenant.settings, late_topic(tenant.settings)) == late
    assert (late == 0) == (hours == 1)
    report_figure(f"disorder of {hours} h, lateness 1 h: {late} of {TRIPS} late, 0 windows differ")


def with_duplicate_ids(
    messages: Iterable[TripMessage], rng: random.Random
) -> Iterator[TripMessage]:
    """Yield the messages; one in ten is followed by another trip with the same id and start."""
    for message in messages:
        yield message
        if rng.random() < 0.1:
            again = json.loads(message.value or b"") | {"price": rng.randrange(100)}
            yield TripMessage(message.partition, json.dumps(again).encode())


def test_repeated_trip_ids_count_once(
    tenant: Tenant, rng: random.Random, report_figure: ReportFigure
) -> None:
    """Of two trips with the same id and window the first counts, whatever the second has."""
    first = stream_messages(rng.random(), tenant.settings.partitions, one_day_ago(), CLEAN)
    messages = list(with_duplicate_ids(itertools.islice(first, TRIPS), rng))
    expected = run_and_check(tenant, messages)
    assert expected.count("counted") == TRIPS
    assert expected.count("duplicate") == len(messages) - TRIPS
    report_figure(
        f"{expected.count('duplicate')} repeated ids in {len(messages)} messages, counted once"
    )


def test_all_messages_sent_twice_count_once(
    tenant: Tenant, rng: random.Random, report_figure: ReportFigure
) -> None:
    """An equal message is a duplicate, or late if its window is: never counted again."""
    first = stream_messages(rng.random(), tenant.settings.partitions, one_day_ago(), CLEAN)
    # Every 5,000 messages, or 17 minutes of event time, are sent a second time.
    rounds = [list(itertools.islice(first, 5_000)) for _ in range(TRIPS // 5_000)]
    expected = run_and_check(tenant, [message for once in rounds for message in once + once])
    assert expected.count("counted") == TRIPS
    assert expected.count("duplicate", "late") == TRIPS
    late = expected.count("late")
    assert 0 < late < TRIPS
    report_figure(f"{TRIPS} messages twice: {TRIPS - late} duplicates, {late} late, counted once")


def mix_with_poison(
    tenant: Tenant, number: int, rng: random.Random
) -> list[tuple[TripMessage, str | None]]:
    """Return messages with their dead-letter reason: every hundredth is a poison message."""
    begun, partitions = one_day_ago(), tenant.settings.partitions
    good = zip(
        stream_messages(rng.random(), partitions, begun, CLEAN),
        itertools.repeat(None),
        strict=False,
    )
    bad = []
    for index, (reason, make) in zip(range(number // 100), itertools.cycle(POISON_KINDS.values())):
        fields = make_trip(rng, f"poison-{index}", begun + index * 100 * CLEAN.step, CLEAN)
        bad.append((TripMessage(rng.randrange(partitions), make(fields, rng)), reason))
    rng.shuffle(bad)
    return [each for poison in bad for each in (*itertools.islice(good, 99), poison)]


def test_poison_messages_become_dead_letters(
    services_to_kill: KillableServices,
    tmp_path: Path,
    rng: random.Random,
    report_figure: ReportFigure,
) -> None:
    """Of 100,000 messages exactly the 1,000 poison ones are in the DLQ; the flow does not restart.

    Each has its reason, its source position and its original bytes.
    """
    with new_tenant(services_to_kill.settings, tmp_path, batch_size=10_000) as tenant:
        settings = tenant.settings
        messages = mix_with_poison(tenant, 100_000, rng)
        expected = run_and_check(tenant, [message for message, _ in messages])
        assert expected.count("counted") == 99_000
        assert count_messages(settings, dead_topic(settings)) == 1_000
        found = topics.read_source_positions(settings, dead_topic(settings))
    assert set(found["topic"]) == {trips_topic(settings)}
    assert sorted(found.select("partition", "offset", "error", "value").rows()) == sorted(
        poison_positions(messages)
    )
    reasons = Counter(reason for _, reason in messages if reason)
    report_figure(
        f"1000 of 100000 messages in the DLQ, {len(POISON_KINDS)} kinds, {len(reasons)} reasons"
    )


def poison_positions(
    messages: list[tuple[TripMessage, str | None]],
) -> Iterator[tuple[int, int, str, bytes | None]]:
    """Yield partition, offset, reason and bytes of the poison messages."""
    offsets: Counter[int] = Counter()
    for message, reason in messages:
        if reason is not None:
            yield message.partition, offsets[message.partition], reason, message.value
        offsets[message.partition] += 1
