"""Watching the topic of a running flow.

Partitions may be added, the topic may be recreated, or its timestamps become those of producers.
"""

import logging
import time
from collections.abc import Callable
from concurrent.futures import Future
from typing import Final

from confluent_kafka import KafkaException
from confluent_kafka.admin import (  # type: ignore[attr-defined] # its imports are its exports
    ConfigEntry,
    TopicDescription,
)

from broker.access import is_denied
from broker.admin import MISSING_SECONDS, is_missing
from broker.topics import TIMESTAMP_TYPE, TopicDescriber, TopicInfo, topic_info
from dataflows.refusals import refused_by_kafka
from mobility.settings import Settings
from runtime.failures import RefusalError
from runtime.flow_metrics import FlowMetrics

_EVERY_SECONDS: Final = 20.0
_LOG_APPEND: Final = "LogAppendTime"

_log: Final = logging.getLogger(__name__)


class TopicWatch:
    """Asks the broker every 20 s and never waits for the answer: it is read at a later check."""

    def __init__(
        self,
        settings: Settings,
        known: TopicInfo,
        describer: TopicDescriber,
        metrics: FlowMetrics,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._settings = settings
        self._known = known
        self._describer = describer
        self._metrics = metrics
        self._clock = clock
        self._ask_at = clock() + _EVERY_SECONDS
        self._missing_since: float | None = None
        self._answer: Future[TopicDescription] | None = None
        self._config: Future[dict[str, ConfigEntry]] | None = None
        self._asks_config = settings.timestamp != "create"

    def check(self) -> None:
        """Record added partitions.

        Raises RefusalError where the topic was deleted or recreated, or got timestamps of producers
        that are not trusted.
        """
        answer, config = self._answer, self._config
        if config is not None and config.done():
            self._config = None
            self._check_config(config)
        if answer is not None and answer.done():
            self._answer = None
            self._compare(answer)
        elif answer is None and self._clock() >= self._ask_at:
            self._ask_at = self._clock() + _EVERY_SECONDS
            self._answer = self._describer.request()
            if self._asks_config and self._config is None:
                self._config = self._describer.request_config()

    def _check_config(self, answer: "Future[dict[str, ConfigEntry]]") -> None:
        try:
            kind = answer.result()[TIMESTAMP_TYPE].value
        except KafkaException as error:
            # A broker that does not answer now is asked again. One that may not be asked was
            # reported at the start, and records each attempt.
            self._asks_config = not is_denied(error.args[0])
            return
        if kind != _LOG_APPEND:
            raise _untrusted_timestamps(self._settings, self._known.name, kind)

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


def check_timestamps(settings: Settings, describer: TopicDescriber, topic: str) -> None:
    """Refuse a topic in which producers vouch for their own clocks, unless that is meant.

    Raises RefusalError or BrokerError.
    """
    if settings.timestamp == "create":
        return
    with refused_by_kafka():
        kind = describer.timestamp_type()
    if kind is None:
        _log.warning("whether %s has log-append times can't be checked: no DescribeConfigs", topic)
    elif kind != _LOG_APPEND:
        raise _untrusted_timestamps(settings, topic, kind)


def _untrusted_timestamps(settings: Settings, topic: str, kind: str | None) -> RefusalError:
    return RefusalError(
        f"The topic {topic} has {TIMESTAMP_TYPE}={kind}: its timestamps are those of the "
        "producers, so one wrong clock can make the trips of all others late.\n"
        f"Set it to {_LOG_APPEND} (kafka-configs.sh --bootstrap-server {settings.kafka} --alter "
        f"--entity-type topics --entity-name {topic} --add-config {TIMESTAMP_TYPE}={_LOG_APPEND}), "
        "or start with "
        "MOBILITY_TIMESTAMP=create if the producers' clocks are to be trusted."
    )


def describe_or_refuse(describer: TopicDescriber) -> TopicInfo:
    """Return the topic; raise RefusalError where it is missing or may not be seen.

    Raises BrokerError without a broker.
    """
    with refused_by_kafka():
        return describer.describe()
