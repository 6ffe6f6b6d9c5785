"""The highest event times are found exactly, in the log and from its end."""

import json
import time
from collections.abc import Callable

import pytest
from confluent_kafka import TopicPartition
from confluent_kafka.admin import AdminClient

from corrections import max_event_times
from corrections.max_event_times import MaxEventTimes, event_times, read_max_event_times
from mobility.event_time import LatenessRules
from mobility.settings import Settings
from mobility.topics import trips_topic
from mobility.values import JSON
from tests.dataflows.conftest import PARTITIONS, Hub, trips_log
from tests.dataflows.doubles import FakeMessage, as_messages
from tests.strategies import MINUTE, NOON, Entry

RULES = LatenessRules.of(Settings())


def test_a_window_accepts_trips_until_shortly_before_they_would_be_late() -> None:
    """The margin is a minute; a partition without an event time accepts every trip."""
    late_from = NOON + 5 * MINUTE + 10 * MINUTE + MINUTE // 2
    for latest, accepts in (
        (NOON, True),
        (late_from - MINUTE, True),
        (late_from - MINUTE + 1, False),
        (late_from + 1, False),
    ):
        assert MaxEventTimes({0: latest}, RULES).accepts(0, NOON) == accepts
    assert MaxEventTimes({0: None}, RULES).accepts(0, NOON)


def test_windows_are_complete_where_every_partition_is_past_them() -> None:
    """None is complete while a partition has no event time."""
    assert MaxEventTimes({0: NOON, 1: None}, RULES).complete_until is None
    both = MaxEventTimes({0: NOON, 1: NOON + MINUTE}, RULES)
    assert both.complete_until == NOON - 10 * MINUTE - MINUTE // 2
    assert both.highest == NOON + MINUTE


def test_event_times_are_those_that_the_flow_takes() -> None:
    """Of trips up to the largest message size of the settings, and of punctuations."""
    large = json.dumps(
        {"start_time": NOON, "duration_min": 1, "distance_km": 1, "price": 1, "note": "x" * 2**20}
    ).encode()
    mark = [("watermark", b"%d" % (NOON - MINUTE))]
    messages = as_messages([FakeMessage(large, 0), FakeMessage(None, 1, marks=mark)])
    assert event_times(messages, Settings(), JSON).to_list() == [NOON - MINUTE]
    assert event_times(messages, Settings(max_message_bytes=2**21), JSON).sort().to_list() == [
        NOON - MINUTE,
        NOON,
    ]
    small = as_messages([FakeMessage(Entry(NOON, "t").value, 0)])
    assert event_times(small, Settings(), JSON).to_list() == [NOON]
    assert event_times(small, Settings(max_message_bytes=50), JSON).to_list() == []


@pytest.mark.services
@pytest.mark.parametrize("start", [lambda: NOON, lambda: time.time_ns() // 10**6 - 120 * MINUTE])
def test_the_end_of_the_log_is_enough(
    hub: Hub, monkeypatch: pytest.MonkeyPatch, start: Callable[[], int]
) -> None:
    """For history and a live feed, with dead letters, late trips and punctuations at the end."""
    monkeypatch.setattr(max_event_times, "_TAIL_MESSAGES", 3)
    hub.make_topics()
    began = start()
    log = trips_log(31, began, trips=60)
    future = Entry(time.time_ns() // 10**6 + 60 * MINUTE, "future")
    old = [Entry(began - n * MINUTE, f"old-{n}") for n in range(10)]
    dead = [future, Entry(future.time, punctuation=True)]
    hub.write([[*dead, *entries, *dead, b"{", *old] for entries in log[:2]])
    expected: dict[int, int | None] = {
        partition: max(entry.time for entry in entries) for partition, entries in enumerate(log)
    }
    expected[2] = None
    assert (
        read_max_event_times(hub.settings, JSON, lambda _done, _total: None).by_partition
        == expected
    )


@pytest.mark.services
def test_removed_messages_count_with_the_highest_event_time_they_can_have_had(hub: Hub) -> None:
    """It is the first append time that is left plus the tolerance: no window is open by mistake."""
    hub.make_topics()
    hub.write([[Entry(NOON + MINUTE, "gone"), Entry(NOON, "left")]] * PARTITIONS)
    left = [m for m in hub.messages("trips_stream") if (m.partition(), m.offset()) == (0, 1)]
    admin = AdminClient({"bootstrap.servers": hub.settings.kafka})
    position = TopicPartition(trips_topic(hub.settings), 0, 1)
    for removal in admin.delete_records([position]).values():
        removal.result()
    found = read_max_event_times(hub.settings, JSON, lambda _done, _total: None).by_partition
    assert found[0] == left[0].timestamp()[1] + hub.settings.future_tolerance * 1_000
    assert found[1] == NOON + MINUTE
