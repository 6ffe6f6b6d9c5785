"""Punctuates idle partitions: writes the watermark of the others into them.

Window state may be dropped only because of messages in the log. So the decision that an idle
partition gets no older trips is written into it as a punctuation, which ingest reads as event time.
"""

import logging
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import bytewax.operators as op
from bytewax.operators import KeyedStream, StatefulBatchLogic
from confluent_kafka import KafkaError

from dataflows.items import Punctuation, WatermarkUpdate
from dataflows.watermarks import WatermarkTracker
from mobility.settings import Settings
from mobility.topics import trips_topic
from runtime.flow_metrics import FlowMetrics

Emitted = tuple[list[Punctuation], bool]

_log: Final = logging.getLogger(__name__)


def punctuate_idle(
    watermarks: KeyedStream[WatermarkUpdate], settings: Settings
) -> KeyedStream[Punctuation]:
    """Return punctuations for partitions that have been idle for `punctuate_after` seconds.

    The name of the step, `quiet`, is stored in recovery state.
    """
    return op.stateful_batch("quiet", watermarks, idle_punctuator(settings))


class IdlePunctuator(StatefulBatchLogic[WatermarkUpdate, Punctuation, None]):
    """Watches all partitions; has no state that a restart would need."""

    def __init__(
        self, settings: Settings, clock: Callable[[], datetime] = lambda: datetime.now(UTC)
    ) -> None:
        self._after = timedelta(seconds=settings.punctuate_after)
        self._clock = clock
        self._watermarks = WatermarkTracker()
        self._idle_since: dict[int, datetime] = {}

    def on_batch(self, values: list[WatermarkUpdate]) -> Emitted:
        """Record which partitions are idle, and since when."""
        for update in values:
            self._watermarks.update(update)
            if update.status == "idle":
                self._idle_since.setdefault(update.partition, self._clock())
            else:
                self._idle_since.pop(update.partition, None)
        return [], self.RETAIN

    def on_notify(self) -> Emitted:
        """Punctuate the partitions that have been idle for long enough."""
        now = self._clock()
        due = [p for p, since in self._idle_since.items() if now - since >= self._after]
        for partition in due:
            self._idle_since[partition] = now
        return [
            Punctuation(partition, watermark)
            for partition in due
            if (watermark := self._newer_watermark(partition)) is not None
        ], self.RETAIN

    def notify_at(self) -> datetime | None:
        """Return when the next partition has been idle for long enough."""
        return min(self._idle_since.values()) + self._after if self._idle_since else None

    def snapshot(self) -> None:
        """Return nothing: which partitions are idle is found out again after a restart."""
        return

    def _newer_watermark(self, partition: int) -> int | None:
        """Return the minimum of the active partitions where it is above the partition's own."""
        tracker = self._watermarks
        watermark = tracker.closing_watermark if tracker.is_complete else None
        own = tracker.updates[partition].watermark
        return watermark if watermark is not None and (own is None or watermark > own) else None


class DeniedPunctuations:
    """Tolerates that the broker allows no writes into the log of trips.

    Punctuations are the only messages that the flow sends there. Without them window state stays
    while a partition is idle, which is no failure: it is counted, and logged once.
    """

    def __init__(self, settings: Settings, metrics: FlowMetrics) -> None:
        self._topic = trips_topic(settings)
        self._metrics = metrics

    def __call__(self, topic: str | None, error: KafkaError) -> bool:
        """Return whether a message with this error may be lost."""
        if topic != self._topic or error.code() != KafkaError.TOPIC_AUTHORIZATION_FAILED:
            return False
        if not self._metrics.punctuations_refused:
            _log.warning(
                "punctuations for %s are refused (%s): while a partition is idle, window state "
                "is not cleaned up; allow the flow to write there",
                self._topic,
                error.str(),
            )
        self._metrics.punctuations_refused += 1
        return True


def idle_punctuator(settings: Settings) -> Callable[[Any], IdlePunctuator]:
    """Return the builder that the stateful step wants."""
    return lambda _state: IdlePunctuator(settings)
