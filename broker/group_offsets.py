"""Offsets of a consumer group that nobody joins, as of a consumer that is assigned its partitions.

They are committed by a consumer of their own and not by those that read: there are several of them
per process, and closing a consumer waits for its commits, for ever where no broker answers
(librdkafka #3740). This one reads nothing and is never closed. The admin client has a request for
it too, but librdkafka 2 aborts the process where the coordinator goes away meanwhile.
"""

import time
from collections.abc import Iterable, Mapping
from functools import cached_property
from typing import Any, Final

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

from broker.access import Access, Operation, denial, is_denied
from broker.admin import MISSING_SECONDS
from broker.clients import ANSWER_SECONDS, client_config, configured, is_transient
from broker.connection import ConnectionErrors
from broker.errors import AccessError, BrokerError
from broker.offsets import Partition
from mobility.settings import Settings

_POLL_SECONDS: Final = 0.1
_PAUSE_SECONDS: Final = 0.2
_JOINED: Final = frozenset({KafkaError.UNKNOWN_MEMBER_ID, KafkaError.ILLEGAL_GENERATION})


class GroupOffsets:
    """The offsets of a group; connects at the first request."""

    def __init__(self, settings: Settings, group: str) -> None:
        self._settings = settings
        self._group = group
        self._errors = ConnectionErrors(settings)
        self._pending = 0
        self._error: KafkaError | None = None

    @cached_property
    def _consumer(self) -> Consumer:
        config: dict[str, Any] = client_config(self._settings, "mobility-offsets") | {
            "group.id": self._group,
            "enable.auto.commit": False,
            "error_cb": self._errors.note,
            "on_commit": self._take_answer,
        }
        return configured(Consumer, self._settings, config)

    def commit(self, offsets: Mapping[Partition, int]) -> None:
        """Store the next offset of each partition; return when the coordinator has stored all.

        A passing error is waited for, 15 s at most. Raises AccessError where the client may not do
        that, BrokerError where it failed otherwise.
        """
        began = time.monotonic()
        wanted = [TopicPartition(*place, offset) for place, offset in offsets.items()]
        while error := self._ask(wanted, began + ANSWER_SECONDS):
            is_missing = error.code() == KafkaError.UNKNOWN_TOPIC_OR_PART
            limit = MISSING_SECONDS if is_missing else ANSWER_SECONDS
            if not is_transient(error) or time.monotonic() - began > limit:
                raise self._refused(error)
            time.sleep(_PAUSE_SECONDS)

    def read(self, partitions: Iterable[Partition]) -> dict[Partition, int]:
        """Return the stored next offset of each partition; those without one are left out.

        A passing error is waited for, 15 s at most. Raises AccessError where the client may not do
        that, BrokerError where it failed otherwise.
        """
        places = [TopicPartition(*place) for place in partitions]
        deadline = time.monotonic() + ANSWER_SECONDS
        while True:
            try:
                stored = self._consumer.committed(places, ANSWER_SECONDS)
            except KafkaException as error:
                if not is_transient(error.args[0]) or time.monotonic() > deadline:
                    raise self._refused(error.args[0], "Describe") from error
            else:
                known = (place for place in stored if place.offset >= 0)
                return {(place.topic, place.partition): place.offset for place in known}
            time.sleep(_PAUSE_SECONDS)

    def _ask(self, wanted: list[TopicPartition], deadline: float) -> KafkaError | None:
        """Return why not all offsets were stored, None where they were."""
        self._wait(deadline)  # for the answer to an earlier request that came too late
        try:
            self._consumer.commit(offsets=wanted, asynchronous=True)
        except KafkaException as error:
            refused: KafkaError = error.args[0]
            return refused
        self._pending += 1
        self._wait(deadline)
        return self._error

    def _wait(self, deadline: float) -> None:
        while self._pending:
            message = self._consumer.poll(_POLL_SECONDS)  # it handles answers and reports of errors
            if message is not None and (error := message.error()) and is_denied(error):
                # No coordinator is known then, so that the request gets no answer of its own.
                raise self._refused(error)
            if refusal := self._errors.refusal():
                raise refusal
            if self._pending and time.monotonic() > deadline:
                why = self._errors.last_words()
                msg = f"Kafka at {self._settings.kafka} does not answer{why}"
                raise BrokerError(msg)

    def _take_answer(self, error: KafkaError | None, stored: list[TopicPartition]) -> None:
        self._pending -= 1
        self._error = error or next((place.error for place in stored if place.error), None)

    def _refused(self, error: KafkaError, operation: Operation = "Read") -> BrokerError:
        if is_denied(error):
            access = Access(operation, self._group, "Group")
            return AccessError(denial(self._settings, access, error))
        if error.code() in _JOINED:
            return BrokerError(
                f"other consumers have joined the group {self._group}: give them or the flow "
                "another one (MOBILITY_CONSUMER_GROUP)"
            )
        return BrokerError(f"Kafka at {self._settings.kafka}: {error.str()}")
