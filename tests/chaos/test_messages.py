"""Feeds at their worst: hours of disorder, everything twice, a broken message in every hundred."""

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
from tests.chaos.conftest import Figures
from tests.chaos.exact import assert_exact
from tests.chaos.feed import Feed
from tests.chaos.machine import Machine
from tests.chaos.poison import KINDS
from tests.chaos.tenant import Tenant, a_day_ago, new_tenant
from tests.chaos.trips import MINUTE, Sent, Shape, stream, trip

pytestmark = pytest.mark.chaos

HOUR = 60 * MINUTE
TRIPS = 20_000

CLEAN = Shape(late=0, repeated=0, poison=0)


def answered(tenant: Tenant, messages: Iterable[Sent]) -> OracleResult:
    """Send the messages, read them in one run, and return the answer that every place holds.

    One run: what the flow has counted itself must be the answer's numbers, so it never restarted.
    """
    feed = Feed(tenant.settings, messages)
    feed.send_all()
    tenant.flow.finish()
    answer = assert_exact(tenant.settings, feed)
    told = output_comparisons.compare_flow_counters(answer, tenant.flow.status)
    assert told.differences == 0, told.examples
    return answer


@pytest.mark.parametrize("hours", [1, 2])
def test_disorder_of_an_hour_and_beyond(
    machine: Machine, tmp_path: Path, draw: random.Random, figures: Figures, hours: int
) -> None:
    """With a lateness of 1 h no trip that is up to 1 h behind is late.

    Of those beyond, as many are as the oracle says, and `trips_late` has exactly those.
    """
    shape = dataclasses.replace(CLEAN, step=1_000, disorder=hours * HOUR)
    with new_tenant(machine.settings, tmp_path, allowed_lateness=3_600) as tenant:
        messages = stream(draw.random(), tenant.settings.partitions, a_day_ago(), shape)
        answer = answered(tenant, itertools.islice(messages, TRIPS))
        late = answer.count("late")
        assert count_messages(tenant.settings, late_topic(tenant.settings)) == late
    assert (late == 0) == (hours == 1)
    figures(f"disorder of {hours} h, lateness 1 h: {late} of {TRIPS} late, 0 windows differ")


def with_ids_again(messages: Iterable[Sent], draw: random.Random) -> Iterator[Sent]:
    """Yield the messages; one in ten is followed by another trip that has its id and start."""
    for message in messages:
        yield message
        if draw.random() < 0.1:
            again = json.loads(message.value or b"") | {"price": draw.randrange(100)}
            yield Sent(message.partition, json.dumps(again).encode())


def test_repeated_trip_ids_count_once(
    tenant: Tenant, draw: random.Random, figures: Figures
) -> None:
    """Of two trips with one id and window the first counts, whatever the second says."""
    first = stream(draw.random(), tenant.settings.partitions, a_day_ago(), CLEAN)
    messages = list(with_ids_again(itertools.islice(first, TRIPS), draw))
    answer = answered(tenant, messages)
    assert answer.count("counted") == TRIPS
    assert answer.count("duplicate") == len(messages) - TRIPS
    figures(f"{answer.count('duplicate')} repeated ids in {len(messages)} messages, counted once")


def test_all_messages_sent_twice_count_once(
    tenant: Tenant, draw: random.Random, figures: Figures
) -> None:
    """An exact repeat is a duplicate, or late where its window is: never counted again."""
    first = stream(draw.random(), tenant.settings.partitions, a_day_ago(), CLEAN)
    # Each 5,000 messages, or 17 minutes of event time, come once more as they were.
    rounds = [list(itertools.islice(first, 5_000)) for _ in range(TRIPS // 5_000)]
    answer = answered(tenant, [message for once in rounds for message in once + once])
    assert answer.count("counted") == TRIPS
    assert answer.count("duplicate", "late") == TRIPS
    late = answer.count("late")
    assert 0 < late < TRIPS
    figures(f"{TRIPS} messages twice: {TRIPS - late} duplicates, {late} late, counted once")


def poisoned(tenant: Tenant, number: int, draw: random.Random) -> list[tuple[Sent, str | None]]:
    """Return messages with the reason against each: every hundredth is broken, by all kinds."""
    begun, partitions = a_day_ago(), tenant.settings.partitions
    good = zip(
        stream(draw.random(), partitions, begun, CLEAN), itertools.repeat(None), strict=False
    )
    bad = []
    for place, (reason, make) in zip(range(number // 100), itertools.cycle(KINDS.values())):
        fields = trip(draw, f"broken-{place}", begun + place * 100 * CLEAN.step, CLEAN)
        bad.append((Sent(draw.randrange(partitions), make(fields, draw)), reason))
    draw.shuffle(bad)
    return [each for broken in bad for each in (*itertools.islice(good, 99), broken)]


def test_poison_is_set_aside(
    machine: Machine, tmp_path: Path, draw: random.Random, figures: Figures
) -> None:
    """Of 100,000 messages exactly the 1,000 broken ones are in the DLQ; the flow never restarts.

    Each with its reason, its position and its original bytes.
    """
    with new_tenant(machine.settings, tmp_path, batch_size=10_000) as tenant:
        settings = tenant.settings
        messages = poisoned(tenant, 100_000, draw)
        answer = answered(tenant, [message for message, _ in messages])
        assert answer.count("counted") == 99_000
        assert count_messages(settings, dead_topic(settings)) == 1_000
        found = topics.read_source_positions(settings, dead_topic(settings))
    assert set(found["topic"]) == {trips_topic(settings)}
    assert sorted(found.select("partition", "offset", "error", "value").rows()) == sorted(
        broken_places(messages)
    )
    reasons = Counter(reason for _, reason in messages if reason)
    figures(f"1000 of 100000 messages in the DLQ, {len(KINDS)} kinds, {len(reasons)} reasons")


def broken_places(
    messages: list[tuple[Sent, str | None]],
) -> Iterator[tuple[int, int, str, bytes | None]]:
    """Yield partition, offset, reason and bytes of the broken ones, by counting."""
    offsets: Counter[int] = Counter()
    for message, reason in messages:
        if reason is not None:
            yield message.partition, offsets[message.partition], reason, message.value
        offsets[message.partition] += 1
