"""Topics as the broker describes them: their partitions and their ids."""

from concurrent.futures import Future
from dataclasses import dataclass
from functools import cached_property
from typing import Final

from confluent_kafka import KafkaError, KafkaException, TopicCollection
from confluent_kafka.admin import (  # type: ignore[attr-defined] # its imports are its exports
    AdminClient,
    ConfigResource,
    ResourceType,
    TopicDescription,
)

from broker.clients import ANSWER_SECONDS, admin_client, reason_of
from broker.errors import BrokerError, MissingTopicError
from mobility.settings import Settings

_NO_ID: Final = "AAAAAAAAAAAAAAAAAAAAAA"


@dataclass(frozen=True, slots=True)
class TopicInfo:
    """A topic's partitions in order, and its id (KIP-516): a topic that is recreated has another.

    `id` is None where the broker is too old to have one.
    """

    name: str
    partitions: tuple[int, ...]
    id: str | None = None


class TopicDescriber:
    """Describes one topic, as often as it is asked; connects at the first request."""

    def __init__(self, settings: Settings, name: str) -> None:
        self._settings = settings
        self._name = name

    @cached_property
    def _admin(self) -> AdminClient:
        return admin_client(self._settings)

    def request(self) -> "Future[TopicDescription]":
        """Ask the broker; the answer comes later. `topic_info` reads it."""
        topics = TopicCollection([self._name])
        answers = self._admin.describe_topics(topics, request_timeout=ANSWER_SECONDS)
        return answers[self._name]

    def describe(self) -> TopicInfo:
        """Return the topic.

        Raises MissingTopicError where there is none, BrokerError where no broker answers.
        """
        try:
            return topic_info(self.request().result(2 * ANSWER_SECONDS))
        except KafkaException as error:
            if is_missing(error):
                msg = (
                    f"There is no topic {self._name} at {self._settings.kafka}: "
                    "create the topics with `just topics`."
                )
                raise MissingTopicError(msg) from error
            raise unavailable(self._settings, error) from error


def find_topic(settings: Settings, name: str) -> TopicInfo:
    """Return a topic. Raises MissingTopicError or BrokerError."""
    return TopicDescriber(settings, name).describe()


def cluster_id(settings: Settings) -> str:
    """Return the id of the Kafka cluster. Raises BrokerError where no broker answers."""
    admin = admin_client(settings)  # without a reference it would be closed before it answers
    try:
        cluster = admin.describe_cluster(request_timeout=ANSWER_SECONDS)
        return str(cluster.result(2 * ANSWER_SECONDS).cluster_id)
    except KafkaException as error:
        raise unavailable(settings, error) from error


def timestamp_type(settings: Settings, name: str) -> str | None:
    """Return the `message.timestamp.type` of a topic; None where that may not be asked for.

    It needs the permission DescribeConfigs. Raises BrokerError where no broker answers.
    """
    admin = admin_client(settings)
    resource = ConfigResource(ResourceType.TOPIC, name)
    try:
        config = admin.describe_configs([resource], request_timeout=ANSWER_SECONDS)[resource]
        return str(config.result(2 * ANSWER_SECONDS)["message.timestamp.type"].value)
    except KafkaException as error:
        if error.args[0].code() == KafkaError.TOPIC_AUTHORIZATION_FAILED:
            return None
        raise unavailable(settings, error) from error


def topic_info(description: TopicDescription) -> TopicInfo:
    """Return what a description says."""
    numbers = tuple(sorted(partition.id for partition in description.partitions))
    identity = str(description.topic_id)
    return TopicInfo(description.name, numbers, None if identity == _NO_ID else identity)


def is_missing(error: KafkaException) -> bool:
    """Tell whether the broker answered that it has no such topic."""
    return bool(error.args[0].code() == KafkaError.UNKNOWN_TOPIC_OR_PART)


def unavailable(settings: Settings, error: KafkaException) -> BrokerError:
    """Return the error for a broker that does not answer."""
    msg = (
        f"Kafka at {settings.kafka} (MOBILITY_KAFKA) does not answer: {reason_of(error)}. "
        "Is it running?"
    )
    return BrokerError(msg)
