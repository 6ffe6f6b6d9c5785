"""The follower on a real broker: what it reads, where it continues, and when it refuses."""

import pytest
from confluent_kafka import Producer, TopicPartition
from confluent_kafka.admin import AdminClient

from audit.topic_follower import TopicChangedError, TopicFollower
from audit.validation import LogMessage
from broker.errors import DeletedOffsetsError
from mobility.records import MAX_EVENT_TIME
from mobility.topics import trips_topic
from tests.dataflows.conftest import Hub

pytestmark = pytest.mark.services


@pytest.fixture
def log(hub: Hub) -> Hub:
    """Return a tenant with an empty log."""
    hub.make_topics()
    return hub


def append(hub: Hub, *values: str, transactional: bool = False) -> None:
    """Append messages to the first partition, in one transaction or without one."""
    config = {"bootstrap.servers": hub.settings.kafka}
    if transactional:
        config["transactional.id"] = hub.settings.topic_prefix
    producer = Producer(config)
    if transactional:
        producer.init_transactions()
        producer.begin_transaction()
    for value in values:
        producer.produce(trips_topic(hub.settings), value, partition=0)
    if transactional:
        producer.commit_transaction()
    assert producer.flush(30) == 0


def delete(hub: Hub, before: int) -> None:
    """Delete the messages of the first partition before an offset, as retention does."""
    admin = AdminClient({"bootstrap.servers": hub.settings.kafka})
    place = TopicPartition(trips_topic(hub.settings), 0, before)
    for removal in admin.delete_records([place]).values():
        removal.result()


def read(follower: TopicFollower) -> list[LogMessage]:
    """Read to the present ends."""
    return [message for batch in follower.read(follower.ends(), 2) for message in batch]


def values(messages: list[LogMessage]) -> list[bytes | None]:
    """Return the values of messages."""
    return [message.value for message in messages]


def test_each_read_continues_where_the_last_one_ended(log: Hub) -> None:
    """Every message is read once, and the positions are the next offsets."""
    follower = TopicFollower(log.settings, trips_topic(log.settings))
    try:
        assert read(follower) == []
        append(log, "a", "b", "c")
        assert values(read(follower)) == [b"a", b"b", b"c"]
        append(log, "d")
        assert values(read(follower)) == [b"d"]
        assert follower.positions[0] == 4
        assert follower.truncated_until is None
    finally:
        follower.close()


def test_a_log_that_ends_in_a_transaction_marker_is_read_to_its_end(log: Hub) -> None:
    """The marker has an offset and is not a message; later messages are read."""
    append(log, "a", transactional=True)
    follower = TopicFollower(log.settings, trips_topic(log.settings))
    try:
        assert values(read(follower)) == [b"a"]
        assert follower.positions == follower.ends()
        append(log, "b", transactional=True)
        assert values(read(follower)) == [b"b"]
    finally:
        follower.close()


@pytest.mark.parametrize("needs_append_time", [True, False])
def test_a_truncated_log_is_known_up_to_its_first_message(
    log: Hub, needs_append_time: bool
) -> None:
    """By its log-append time, which the messages of the trips topic have."""
    append(log, "a", "b", "c")
    delete(log, 1)
    follower = TopicFollower(
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
    append(log, "a", "b", "c")
    follower = TopicFollower(log.settings, trips_topic(log.settings), max_backlog=2)
    try:
        messages = read(follower)
        assert values(messages) == [b"b", b"c"]
        assert follower.truncated_until == messages[0].timestamp
    finally:
        follower.close()


def test_messages_that_are_deleted_before_they_are_read_are_an_error(log: Hub) -> None:
    """Without the error they would be skipped unnoticed."""
    follower = TopicFollower(log.settings, trips_topic(log.settings))
    try:
        append(log, "a", "b", "c")
        delete(log, 2)
        with pytest.raises(DeletedOffsetsError):
            read(follower)
    finally:
        follower.close()


def test_a_topic_that_shrinks_is_another_one(log: Hub) -> None:
    """A log never has fewer offsets than before, so it was recreated."""
    append(log, "a", "b")
    follower = TopicFollower(log.settings, trips_topic(log.settings))
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

    append(log, "a")
    follower = TopicFollower(log.settings, trips_topic(log.settings))
    try:
        with pytest.raises(StopError):
            list(follower.read(follower.ends(), 1, stop))
    finally:
        follower.close()
