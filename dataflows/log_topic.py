"""A topic as the broker describes it: which partitions it has, and whether it is still the same."""

from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from functools import cache
from typing import Final

from confluent_kafka import KafkaError, KafkaException, TopicCollection
from confluent_kafka.admin import AdminClient, TopicDescription  # type: ignore[attr-defined] # exported

from dataflows.failures import RefusalError
from dataflows.partition_reader import SourceError
from mobility.settings import Settings

_ASK_SECONDS: Final = 10.0
_NO_ID: Final = "AAAAAAAAAAAAAAAAAAAAAA"

Ask = Callable[[], "Future[TopicDescription]"]
"""Asks the broker for a topic's description; the answer comes later."""


@dataclass(frozen=True, slots=True)
class Topic:
    """A topic's partitions in order, and its id: one that is made again has another.

    Brokers of old tell no id.
    """

    name: str
    partitions: tuple[int, ...]
    id: str | None = None


def asking(settings: Settings, name: str) -> Ask:
    """Return what asks for a topic's description; the first question connects to the broker."""

    @cache
    def admin() -> AdminClient:
        return AdminClient({"bootstrap.servers": settings.kafka})

    def ask() -> "Future[TopicDescription]":
        answers = admin().describe_topics(TopicCollection([name]), request_timeout=_ASK_SECONDS)
        return answers[name]

    return ask


def described(settings: Settings, name: str, ask: Ask) -> Topic:
    """Return the topic; raise RefusalError where there is none, SourceError without a broker."""
    try:
        return topic_from(ask().result(2 * _ASK_SECONDS))
    except KafkaException as error:
        if is_unknown(error):
            msg = f"no topic {name} at {settings.kafka}: make the topics with `just topics`"
            raise RefusalError(msg) from error
        msg = f"no Kafka at {settings.kafka}: {error.args[0].str()}. Is it running?"
        raise SourceError(msg) from error


def topic_from(description: TopicDescription) -> Topic:
    """Return the topic of a description."""
    numbers = tuple(sorted(partition.id for partition in description.partitions))
    identity = str(description.topic_id)
    return Topic(description.name, numbers, None if identity == _NO_ID else identity)


def is_unknown(error: KafkaException) -> bool:
    """Tell whether the broker has no topic of that name."""
    return bool(error.args[0].code() == KafkaError.UNKNOWN_TOPIC_OR_PART)
