"""Offsets of many partitions in one request each to the brokers that lead them."""

import time
from collections.abc import Iterable, Mapping
from concurrent.futures import Future
from functools import cached_property
from typing import Final

from confluent_kafka import IsolationLevel, KafkaException, TopicPartition
from confluent_kafka.admin import (  # type: ignore[attr-defined] # its imports are its exports
    AdminClient,
    ListOffsetsResultInfo,
    OffsetSpec,
)

from broker.clients import ANSWER_SECONDS, admin_client, is_transient, reason_of
from broker.errors import BrokerError
from mobility.settings import Settings

_RETRY_SECONDS: Final = 0.1
_EARLIEST: Final[OffsetSpec] = OffsetSpec.earliest()  # type: ignore[no-untyped-call]  # no types
_LATEST: Final[OffsetSpec] = OffsetSpec.latest()  # type: ignore[no-untyped-call]  # no types

Partition = tuple[str, int]
"""A topic and the number of a partition."""

Answers = Mapping[Partition, "Future[ListOffsetsResultInfo]"]


class OffsetQuery:
    """Asks for the first and last offsets of partitions; connects at the first request."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    @cached_property
    def _admin(self) -> AdminClient:
        return admin_client(self._settings)

    def count_brokers(self, topic: str) -> int:
        """Return the number of brokers of the cluster that has a topic. Raises BrokerError."""
        try:
            return len(self._admin.list_topics(topic, ANSWER_SECONDS).brokers)
        except KafkaException as error:
            msg = f"The brokers at {self._settings.kafka} can't be counted: {reason_of(error)}"
            raise BrokerError(msg) from error

    def bounds(self, topic: str, partitions: Iterable[int]) -> dict[int, tuple[int, int]]:
        """Return the first offset of each partition and the one after its last.

        That is the last stable offset (KIP-98): messages of an open transaction, and all behind
        them, come later. Raises BrokerError.
        """
        asked = [(topic, partition) for partition in partitions]
        deadline = time.monotonic() + ANSWER_SECONDS
        while True:
            lows = self._request(asked, _EARLIEST, IsolationLevel.READ_COMMITTED)
            ends = self._request(asked, _LATEST, IsolationLevel.READ_COMMITTED)
            try:
                return {
                    partition: (_offset(lows[topic, partition]), _offset(ends[topic, partition]))
                    for topic, partition in asked
                }
            except KafkaException as error:
                if not is_transient(error.args[0]) or time.monotonic() > deadline:
                    msg = f"The offsets of {topic} at {self._settings.kafka} can't be read: "
                    raise BrokerError(msg + reason_of(error)) from error
            time.sleep(_RETRY_SECONDS)

    def request_high_watermarks(self, partitions: Iterable[Partition]) -> Answers:
        """Ask for the ends of what is written, committed or not; the answers come later."""
        return self._request(partitions, _LATEST, IsolationLevel.READ_UNCOMMITTED)

    def _request(
        self, partitions: Iterable[Partition], spec: OffsetSpec, isolation: IsolationLevel
    ) -> Answers:
        asked = {TopicPartition(*partition): spec for partition in partitions}
        if not asked:
            return {}
        answers = self._admin.list_offsets(
            asked, isolation_level=isolation, request_timeout=ANSWER_SECONDS
        )
        return {(place.topic, place.partition): answer for place, answer in answers.items()}


def _offset(answer: "Future[ListOffsetsResultInfo]") -> int:
    return int(answer.result(2 * ANSWER_SECONDS).offset)
