"""Offsets of a consumer group that nobody joins, as of a consumer that is assigned its partitions.

They are committed by a question of the admin client and not by the consumer that reads: closing a
consumer waits for its commits, for ever where no broker answers (librdkafka #3740).
"""

from collections.abc import Mapping
from concurrent.futures import Future
from functools import cached_property
from typing import Final

from confluent_kafka import ConsumerGroupTopicPartitions, KafkaError, KafkaException, TopicPartition

from broker.access import Access, denial, is_denied
from broker.admin import ClusterAdmin
from broker.errors import AccessError, BrokerError
from broker.offsets import Partition
from mobility.settings import Settings

# librdkafka asks for the coordinator three times within a second, and not again until the request
# times out. A cluster has none before its first group. So the timeout is short, and the request is
# repeated.
_REQUEST_SECONDS: Final = 3.0
_JOINED: Final = frozenset({KafkaError.UNKNOWN_MEMBER_ID, KafkaError.ILLEGAL_GENERATION})


class GroupOffsets:
    """The offsets of a group; connects at the first commit."""

    def __init__(self, settings: Settings, group: str) -> None:
        self._settings = settings
        self._group = group

    @cached_property
    def _admin(self) -> ClusterAdmin:
        return ClusterAdmin(self._settings)

    def commit(self, offsets: Mapping[Partition, int]) -> None:
        """Store the next offset of each partition; return when the coordinator has stored all.

        Raises AccessError where the client may not do that, BrokerError where it failed otherwise.
        """
        wanted = [TopicPartition(*place, offset) for place, offset in offsets.items()]
        try:
            answer = self._admin.ask(lambda: self._request(wanted), self._access)
        except KafkaException as error:
            raise self._refused(error.args[0]) from error
        for place in answer.topic_partitions or ():
            if place.error is not None:
                raise self._refused(place.error)

    @property
    def _access(self) -> Access:
        return Access("Read", self._group, "Group")

    def _request(self, wanted: list[TopicPartition]) -> "Future[ConsumerGroupTopicPartitions]":
        request = [ConsumerGroupTopicPartitions(self._group, wanted)]
        return self._admin.client.alter_consumer_group_offsets(
            request, request_timeout=_REQUEST_SECONDS
        )[self._group]

    def _refused(self, error: KafkaError) -> BrokerError:
        if is_denied(error):
            return AccessError(denial(self._settings, self._access, error))
        if error.code() in _JOINED:
            return BrokerError(
                f"other consumers have joined the group {self._group}: give them or the flow "
                "another one (MOBILITY_CONSUMER_GROUP)"
            )
        return BrokerError(f"Kafka at {self._settings.kafka}: {error.str()}")
