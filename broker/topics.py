"""Topics as the broker describes them: their partitions and their ids."""

from concurrent.futures import Future
from dataclasses import dataclass
from functools import cached_property
from typing import Final

from confluent_kafka import KafkaException, TopicCollection
from confluent_kafka.admin import (  # type: ignore[attr-defined] # its imports are its exports
    ConfigEntry,
    TopicDescription,
)

from broker.access import Access, is_denied
from broker.admin import ClusterAdmin, is_missing
from broker.clients import ANSWER_SECONDS, reason_of
from broker.errors import MissingTopicError
from mobility.settings import Settings
from mobility.topics import trips_topic

TIMESTAMP_TYPE: Final = "message.timestamp.type"

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
    def _admin(self) -> ClusterAdmin:
        return ClusterAdmin(self._settings)

    def request(self) -> "Future[TopicDescription]":
        """Ask the broker; the answer comes later. `topic_info` reads it."""
        client = self._admin.client
        client.poll(0)  # reports of errors would pile up
        topics = TopicCollection([self._name])
        return client.describe_topics(topics, request_timeout=ANSWER_SECONDS)[self._name]

    def request_config(self) -> "Future[dict[str, ConfigEntry]]":
        """Ask the broker for the configuration; the answer comes later."""
        return self._admin.request_topic_config(self._name)

    def describe(self) -> TopicInfo:
        """Return the topic.

        Raises MissingTopicError where there is none, AccessError where Kafka refuses this client,
        BrokerError where no broker answers.
        """
        try:
            access = Access("Describe", self._name)
            return topic_info(self._admin.ask(self.request, access))
        except KafkaException as error:
            if is_missing(error):
                msg = (
                    f"There is no topic {self._name} at {self._settings.kafka}: "
                    "create the topics with `just topics`."
                )
                raise MissingTopicError(msg) from error
            raise self._admin.unavailable(reason_of(error)) from error

    def timestamp_type(self) -> str | None:
        """Return the `message.timestamp.type` of the topic; None where it may not be asked for.

        It needs the permission DescribeConfigs. Raises AccessError, BrokerError.
        """
        try:
            return self._admin.topic_config(self._name)[TIMESTAMP_TYPE]
        except KafkaException as error:
            if is_denied(error.args[0]):
                return None
            raise self._admin.unavailable(reason_of(error)) from error


def find_topic(settings: Settings, name: str) -> TopicInfo:
    """Return a topic. Raises MissingTopicError, AccessError or BrokerError."""
    return TopicDescriber(settings, name).describe()


def cluster_id(settings: Settings) -> str:
    """Return the id of the Kafka cluster. Raises AccessError, BrokerError."""
    return ClusterAdmin(settings).log_in()


def log_name(settings: Settings) -> str:
    """Return the name of the log for records of it: the topic and the id of its cluster.

    Raises AccessError, BrokerError.
    """
    return f"{trips_topic(settings)} on cluster {cluster_id(settings)}"


def topic_info(description: TopicDescription) -> TopicInfo:
    """Return what a description says."""
    numbers = tuple(sorted(partition.id for partition in description.partitions))
    identity = str(description.topic_id)
    return TopicInfo(description.name, numbers, None if identity == _NO_ID else identity)
