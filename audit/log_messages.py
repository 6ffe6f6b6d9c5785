"""Messages of a topic as the oracle takes them, independent of the Kafka client."""

from collections.abc import Iterator, Mapping
from typing import cast

import confluent_kafka

from audit.validation import LogMessage
from broker.topic_reader import read_topic
from mobility.settings import Settings


def read_log_messages(
    settings: Settings, topic: str, starts: Mapping[int, int] | None = None
) -> Iterator[list[LogMessage]]:
    """Yield all messages of a topic, from its beginning or `starts`, up to its present end.

    Raises MissingTopicError or BrokerError.
    """
    for batch in read_topic(settings, topic, starts):
        yield [to_log_message(message) for message in batch]


def to_log_message(message: confluent_kafka.Message) -> LogMessage:
    """Copy a message; the casts are right for every message that is not an error."""
    return LogMessage(
        cast("int", message.partition()),
        cast("int", message.offset()),
        message.timestamp()[1],
        message.value(),
        cast("list[tuple[str, bytes | None]]", message.headers() or []),
    )
