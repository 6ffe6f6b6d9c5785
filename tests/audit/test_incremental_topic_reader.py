"""The follower on a real broker: what it reads, where it continues, and when it refuses."""

import pytest

from audit.incremental_topic_reader import IncrementalTopicReader, TopicChangedError
from audit.validation import LogMessage
from broker.errors import DeletedOffsetsError
from mobility.records import MAX_EVENT_TIME
from mobility.topics import trips_topic
from tests.broker.topic_contents import append, delete_before
from tests.dataflows.conftest import Hub

pytestmark = pytest.mark.services


@pytest.fixture
def log(hub: Hub) -> Hub:
    """Return a tenant with an empty log."""
    hub.make_topics()
    return hub


def read(follower: IncrementalTopicReader) -> list[LogMessage]:
    """Read to the present ends."""
    return [message for batch in follower.read(follower.ends(), 2) for message in batch]


def values(messages: list[LogMessage]) -> list[bytes | None]:
    """Return the values of messages."""
    return [message.value for message in messages]


def test_each_read_continues_where_the_last_one_ended(log: Hub) -> None:
    """Every message is read once, and the positions are the next offsets."""
    follower = IncrementalTopicReader(log.settings, trips_topic(log.settings))
    try:
        assert read(follower) == []
        append(log.settings, trips_topic(log.settings), "a", "b", "c")
        assert values(read(follower)) == [b"a", b"b", b"c"]
        append(log.settings, trips_topic(log.settings), "d")
        assert values(read(follower)) == [b"d"]
        assert follower.positions[0] == 4
        assert follower.truncated_until is None
    finally:
        follower.close()


def test_a_log_that_ends_in_a_transaction_marker_is_read_to_its_end(log: Hub) -> None:
    """The marker has an offset and is not a message; later messages are read."""
    append(log.settings, trips_topic(log.settings), "a", transactional_id=log.settings.topic_prefix)
    follower = IncrementalTopicReader(log.settings, trips_topic(log.settings))
    try:
        assert values(read(follower)) == [b"a"]
        assert follower.positions == follower.ends()
        append(
            log.settings, trips_topic(log.settings), "b", transactional_id=log.settings.topic_prefix
        )
        assert values(read(follower)) == [b"b"]
    finally:
        follower.close()


@pytest.mark.parametrize("needs_append_time", [True, False])
def test_a_truncated_log_is_known_up_to_its_first_message(
    log: Hub, needs_append_time: bool
) -> None:
    """By its log-append time, which the messages of the trips topic have."""
    append(log.settings, trips_topic(log.settings), "a", "b", "c")
    delete_before(log.settings, trips_topic(log.settings), {0: 1})
    follower = IncrementalTopicReader(
        log.settings, trips_topic(log.settings), needs_append_time=needs_append_time
    )
    try:
        first, _ = read(follower)
        assert first.value == b"b"
        assert follower.truncated_until == first.timestamp < MAX_EVENT_TIME
    finally:
        follower.close()


def test_a_backlog_is_limited(log: Hub) -> None:
    """Only the last messages of a partition are read, and the others count as truncated."""
    append(log.settings, trips_topic(log.settings), "a", "b", "c")
    follower = IncrementalTopicReader(log.settings, trips_topic(log.settings), max_backlog=2)
    try:
        messages = read(follower)
        assert values(messages) == [b"b", b"c"]
        assert follower.truncated_until == messages[0].timestamp
    finally:
        follower.close()


def test_messages_that_are_deleted_before_they_are_read_are_an_error(log: Hub) -> None:
    """Without the error they would be skipped unnoticed."""
    follower = IncrementalTopicReader(log.settings, trips_topic(log.settings))
    try:
        append(log.settings, trips_topic(log.settings), "a", "b", "c")
        delete_before(log.settings, trips_topic(log.settings), {0: 2})
        with pytest.raises(DeletedOffsetsError):
            read(follower)
    finally:
        follower.close()


def test_a_topic_that_shrinks_is_another_one(log: Hub) -> None:
    """A log never has fewer offsets than before, so it was recreated."""
    append(log.settings, trips_topic(log.settings), "a", "b")
    follower = IncrementalTopicReader(log.settings, trips_topic(log.settings))
    try:
        read(follower)
        follower.positions[0] += 1
        with pytest.raises(TopicChangedError, match="was recreated"):
            follower.ends()
    finally:
        follower.close()


def test_a_callback_can_end_a_read(log: Hub) -> None:
    """It is called while the read waits, so that a stop does not take long."""

    class StopError(Exception):
        """Raised by the callback."""

    def stop() -> None:
        raise StopError

    append(log.settings, trips_topic(log.settings), "a")
    follower = IncrementalTopicReader(log.settings, trips_topic(log.settings))
    try:
        with pytest.raises(StopError):
            list(follower.read(follower.ends(), 1, stop))
    finally:
        follower.close()
