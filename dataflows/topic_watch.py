"""Watching the topic of a running flow: partitions that were added, a topic that was recreated."""

import logging
import time
from collections.abc import Callable
from concurrent.futures import Future
from typing import Final

from confluent_kafka import KafkaException
from confluent_kafka.admin import TopicDescription  # type: ignore[attr-defined] # exported

from broker.admin import MISSING_SECONDS, is_missing
from broker.topics import TopicDescriber, TopicInfo, timestamp_type, topic_info
from dataflows.refusals import refused_by_kafka
from mobility.settings import Settings
from runtime.failures import RefusalError
from runtime.flow_metrics import FlowMetrics

_EVERY_SECONDS: Final = 20.0

_log: Final = logging.getLogger(__name__)


class TopicWatch:
    """Asks the broker every 20 s and never waits for the answer: it is read at a later check."""

    def __init__(
        self,
        known: TopicInfo,
        describer: TopicDescriber,
        metrics: FlowMetrics,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._known = known
        self._describer = describer
        self._metrics = metrics
        self._clock = clock
        self._ask_at = clock() + _EVERY_SECONDS
        self._missing_since: float | None = None
        self._answer: Future[TopicDescription] | None = None

    def check(self) -> None:
        """Record added partitions; raise RefusalError where the topic was deleted or recreated."""
        answer = self._answer
        if answer is not None and answer.done():
            self._answer = None
            self._compare(answer)
        elif answer is None and self._clock() >= self._ask_at:
            self._ask_at = self._clock() + _EVERY_SECONDS
            self._answer = self._describer.request()

    def _compare(self, answer: "Future[TopicDescription]") -> None:
        try:
            topic = topic_info(answer.result())
        except KafkaException as error:
            if is_missing(error):
                self._record_missing()
            return  # a broker that does not answer now is asked again
        self._missing_since = None
        if self._known.id is not None and topic.id not in {None, self._known.id}:
            self._refuse(f"was deleted and recreated (id {topic.id}, before {self._known.id})")
        unread = len(set(topic.partitions) - set(self._known.partitions))
        if unread > self._metrics.partitions_unread:
            _log.warning(
                "%s has %d partitions that this run does not read: restart the flow",
                topic.name,
                unread,
            )
        self._metrics.partitions_unread = unread

    def _record_missing(self) -> None:
        """Refuse a topic that is missing for a while: a broker that has just started knows none."""
        now = self._clock()
        self._missing_since = now if self._missing_since is None else self._missing_since
        if now - self._missing_since >= MISSING_SECONDS:
            self._refuse("was deleted")
        self._ask_at = now + MISSING_SECONDS

    def _refuse(self, what: str) -> None:
        msg = (
            f"The topic {self._known.name} {what} while it was being read.\nThe stores keep what "
            "they have. A start on this recovery folder names both positions and the remedy."
        )
        raise RefusalError(msg)


def check_timestamps(settings: Settings, topic: str) -> None:
    """Refuse a topic in which producers vouch for their own clocks, unless that is meant.

    Raises RefusalError or BrokerError.
    """
    if settings.timestamp == "create":
        return
    with refused_by_kafka():
        kind = timestamp_type(settings, topic)
    if kind is None:
        _log.warning("whether %s has log-append times can't be checked: no DescribeConfigs", topic)
    elif kind != "LogAppendTime":
        msg = (
            f"The topic {topic} has message.timestamp.type={kind}: its timestamps are those of the "
            "producers, so one wrong clock can make the trips of all others late.\n"
            "Set it to LogAppendTime (kafka-configs --alter --entity-type topics --entity-name "
            f"{topic} --add-config message.timestamp.type=LogAppendTime), or start with "
            "MOBILITY_TIMESTAMP=create if the producers' clocks are to be trusted."
        )
        raise RefusalError(msg)


def describe_or_refuse(describer: TopicDescriber) -> TopicInfo:
    """Return the topic; raise RefusalError where it is missing or may not be seen.

    Raises BrokerError without a broker.
    """
    with refused_by_kafka():
        return describer.describe()
