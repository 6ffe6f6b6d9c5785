"""Trips that are in the log already are not sent again."""

from collections import Counter

from producer.resumption import ResumingTripWriter, _digest
from tests.producer.test_replayer import FakeClock, MemoryTripWriter

SENT = [("d1", "a"), ("d1", "a"), ("d2", "b")]


def resuming(found: list[tuple[str, str]]) -> tuple[ResumingTripWriter, MemoryTripWriter]:
    """Return a writer where these are in the log, and the one behind it."""
    behind = MemoryTripWriter(FakeClock())
    messages = Counter(_digest(key.encode(), value.encode()) for key, value in found)
    return ResumingTripWriter(behind, messages), behind


def send(writer: ResumingTripWriter, *trips: tuple[str, str]) -> None:
    """Send trips at once."""
    writer.send([key for key, _ in trips], [value for _, value in trips])


def test_each_message_is_left_out_as_often_as_it_is_in_the_log() -> None:
    """Trips without an id may be equal: one in the log stands for one of them."""
    writer, behind = resuming([("d1", "a"), ("d2", "b")])
    send(writer, *SENT, ("d3", "c"))
    assert [value for _, value in behind.trips] == ["a", "c"]
    assert not writer.is_resuming
    send(writer, ("d2", "b"))
    assert [value for _, value in behind.trips] == ["a", "c", "b"]


def test_the_key_tells_messages_apart() -> None:
    """The same bytes, with another border between key and value, are another message."""
    writer, behind = resuming([("d1", "1a")])
    send(writer, ("d11", "a"), ("d", "11a"))
    assert [value for _, value in behind.trips] == ["a", "11a"]
    assert writer.is_resuming


def test_messages_of_others_are_not_waited_for_for_ever() -> None:
    """Beyond what a producer queues, nothing of the killed one can be in the log."""
    writer, behind = resuming([("of", "others")])
    trips = [("d", "x")] * 200_001
    send(writer, *trips)
    assert not writer.is_resuming
    assert len(behind.trips) == len(trips)


def test_without_a_crash_everything_is_passed_on() -> None:
    """Trips, punctuations and what was delivered."""
    writer, behind = resuming([])
    send(writer, *SENT)
    writer.send_punctuation(1, 5)
    writer.poll()
    writer.flush()
    assert not writer.is_resuming
    assert [value for _, value in behind.trips] == ["a", "a", "b"]
    assert [(part, at) for _, part, at in behind.punctuations] == [(1, 5)]
    assert (behind.flushes, sum(writer.delivered.trips)) == (1, 3)
