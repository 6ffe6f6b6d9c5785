"""The offsets of a consumer group, as every tool reads them."""

import time

from confluent_kafka import ConsumerGroupTopicPartitions, KafkaException

from broker.admin import ClusterAdmin
from broker.clients import is_transient
from mobility.settings import Settings
from tests.waiting import DEADLINE

_REQUEST_SECONDS = 3.0
"""librdkafka waits in vain for a coordinator that it has not found at once."""


def read_group(settings: Settings, group: str) -> dict[tuple[str, int], int]:
    """Return the next offset of each partition that has one."""
    admin = ClusterAdmin(settings)
    asked = [ConsumerGroupTopicPartitions(group)]
    deadline = time.monotonic() + DEADLINE
    while True:
        request = admin.client.list_consumer_group_offsets(asked, request_timeout=_REQUEST_SECONDS)
        try:
            places = admin.answer(request[group]).topic_partitions or ()
        except KafkaException as error:
            if not is_transient(error.args[0]) or time.monotonic() > deadline:
                raise
        else:
            return {(place.topic, place.partition): place.offset for place in places}
