"""Ingest: reads one partition and classifies its messages, in the order of the log.

Offset, greatest event time and dedupe state are one state, kept by the source partition that reads
the messages: what a message becomes depends on all messages before it.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import polars as pl
from bytewax.inputs import StatefulSourcePartition
from confluent_kafka import Message

from broker.errors import StopRequestedError
from broker.topics import TopicInfo
from dataflows.alignment import WatermarkAlignment
from dataflows.durable_offset import DurableOffset
from dataflows.items import IngestedBatch, SourceRecords, WatermarkUpdate
from dataflows.partition_reader import PartitionReader, offset_of
from dataflows.refusals import refused_by_kafka
from dataflows.topic_watch import TopicWatch
from dataflows.trip_decoder import DecodedBatch
from mobility.dedupe import DedupeState
from mobility.enriched_json import enriched_json
from mobility.enrichment import Tables, enrich
from mobility.event_time import (
    Classified,
    EventTimeState,
    LatenessRules,
    TimedBatch,
    apply_time_rules,
    classify,
)
from mobility.records import MIN_EVENT_TIME
from mobility.settings import Settings
from mobility.status import MessageCounts, ReadStatus
from mobility.topics import trips_topic
from mobility.trips import NO_MESSAGES, Decoded
from mobility.validation import OVERSIZED
from runtime.failures import RefusalError
from runtime.flow_metrics import FlowMetrics, PartitionMetrics
from runtime.folder_record import READABLE_STATE_VERSIONS, STATE_VERSION

_ALIGNMENT_PAUSE: Final = timedelta(milliseconds=10)


class ResumeError(RefusalError):
    """Recovery state that this run can't resume from."""


class PartitionIngest:
    """The ingest of one partition of the log, and its state."""

    def __init__(self, partition: int, settings: Settings) -> None:
        self.partition = partition
        self.next_offset: int | None = None
        self.counts = MessageCounts()
        self._settings = settings
        self._topic = trips_topic(settings)
        self._state = EventTimeState()
        self._rules = LatenessRules.of(settings)
        self._future_tolerance = settings.future_tolerance * 1_000
        self._without_messages: IngestedBatch | None = None

    def ingest(
        self,
        messages: list[Message],
        decoded: Decoded,
        status: ReadStatus,
        partitions: tuple[int, ...],
        tables: Tables,
    ) -> IngestedBatch:
        """Classify the next messages of the log, which are `decoded` already, and enrich trips.

        `tables` are those that are in force for these messages.
        """
        if not messages and self._without_messages is not None:
            # A partition without new messages is polled ten times a second.
            return replace(self._without_messages, update=self._update(status, partitions))
        batch = apply_time_rules(
            decoded,
            headers=lambda row: messages[row].headers(),
            timestamps=lambda: [message.timestamp()[1] for message in messages],
            tolerance=self._future_tolerance,
        )
        classified = classify(batch.trips, batch.punctuations, self._state, self._rules)
        self._state = classified.state
        if messages:
            self.next_offset = offset_of(messages[-1]) + 1
        self.counts += _counts(len(messages), batch, classified)
        trips = enrich(classified.counted, tables, self._settings)
        ingested = IngestedBatch(
            self._update(status, partitions),
            self._with_json(trips, messages, decoded, tables) if self._settings.enriched else trips,
            late=self._source_records(messages, classified.late),
            dead=self._source_records(messages, batch.rejected),
        )
        if not messages:
            self._without_messages = ingested
        return ingested

    def snapshot(self) -> dict[str, Any]:
        """Return the state as plain values, which do not depend on the names of classes."""
        return {
            "version": STATE_VERSION,
            "fingerprint": self._settings.fingerprint,
            "answers": self._settings.answers,
            "next_offset": self.next_offset,
            "latest": self._state.latest,
            "seen": self._state.dedupe_state.snapshot(),
        }

    def resume(self, state: dict[str, Any]) -> None:
        """Continue from a snapshot.

        Raises ResumeError where it is of another version or of settings that give other answers.
        """
        if state["version"] not in READABLE_STATE_VERSIONS:
            msg = f"recovery state has version {state['version']}, this program {STATE_VERSION}"
            raise ResumeError(msg)
        if state["fingerprint"] != self._settings.fingerprint:
            msg = (
                "the recovery folder belongs to other settings, which give other answers:\n"
                f"  there: {state['answers']}\n  here:  {self._settings.answers}\n"
                "Start with those settings, or with a new recovery folder and empty stores."
            )
            raise ResumeError(msg)
        self.next_offset = state["next_offset"]
        dedupe_state = (
            _dedupe_state_of_version_1(state["seen"], self._rules)
            if state["version"] == 1
            else DedupeState.resume(state["seen"])
        )
        self._state = EventTimeState(state["latest"], dedupe_state)

    def _update(self, status: ReadStatus, partitions: tuple[int, ...]) -> WatermarkUpdate:
        watermark = self._state.watermark(self._rules)
        return WatermarkUpdate(self.partition, watermark, status, partitions)

    def _with_json(
        self, trips: pl.DataFrame, messages: list[Message], decoded: Decoded, tables: Tables
    ) -> pl.DataFrame:
        rows = trips["row"].to_list()
        originals = [decoded.objects[row] or b"" for row in rows]
        offsets = pl.Series("offset", [offset_of(messages[row]) for row in rows], dtype=pl.Int64)
        texts = enriched_json(
            trips.with_columns(offsets), originals, tables, self._topic, self.partition
        )
        return trips.with_columns(texts.alias("json"))

    def _source_records(self, messages: list[Message], rows: pl.DataFrame) -> SourceRecords:
        """Return the messages of some rows; rejections have a reason and a detail."""
        numbers = rows["row"].to_list()
        reasons = rows["error"].to_list() if "error" in rows.columns else []
        values = [messages[row].value() for row in numbers]
        if OVERSIZED in reasons:
            # By reference: a value that is too large to be read is not copied to the dead letters.
            pairs = zip(values, reasons, strict=True)
            values = [None if reason == OVERSIZED else value for value, reason in pairs]
        return SourceRecords(
            topic=self._topic,
            partition=self.partition,
            offsets=[offset_of(messages[row]) for row in numbers],
            values=values,
            keys=[messages[row].key() for row in numbers],
            reasons=reasons,
            details=rows["detail"].to_list() if reasons else [],
        )


@dataclass(frozen=True, slots=True)
class WatchedTopic:
    """The topic of the partitions, and the watch that notices when it changes."""

    info: TopicInfo
    watch: TopicWatch


class TripPartition(StatefulSourcePartition[IngestedBatch, dict[str, Any]]):
    """One partition of the log: fetches its messages and ingests them in order."""

    def __init__(
        self,
        settings: Settings,
        topic: WatchedTopic,
        ingest: PartitionIngest,
        reader: PartitionReader[DecodedBatch],
        alignment: WatermarkAlignment,
        durable: DurableOffset,
        metrics: FlowMetrics,
        stop_requested: Callable[[], bool],
        read_before: int,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._topic = topic
        self._ingest = ingest
        self._reader = reader
        self._alignment = alignment
        alignment.register(ingest.partition)
        self._durable = durable
        self._position = durable.offset
        self._metrics = metrics
        self._stop_requested = stop_requested
        self._read_before = read_before
        self._clock = clock
        self._idle_after = settings.idle_after
        self._own_metrics = metrics.partitions[ingest.partition] = PartitionMetrics()
        self._status: ReadStatus | None = None
        self._has_ended = False
        self._last_message = clock()
        self._quiet: DecodedBatch | None = None
        self._next_poll: datetime | None = None

    def next_batch(self) -> list[IngestedBatch]:
        """Return what the log has, as one item; nothing while other partitions must catch up."""
        self._durable.record_poll()
        self._metrics.write_status_file()
        self._topic.watch.check()
        if self._stop_requested() or self._status == "finished":
            self._has_ended = True
            raise StopIteration
        # The first update is sent even if the partition may not read on: every shard waits for it.
        if self._status is not None and self._alignment.is_ahead(self._ingest.partition):
            self._next_poll = datetime.now(UTC) + _ALIGNMENT_PAUSE
            return []
        fetched = self._fetch()
        self._next_poll = self._reader.next_poll()
        if fetched is None:
            return self._after_silence()
        self._position = fetched.position
        self._own_metrics.lag, self._own_metrics.position = fetched.lag, fetched.position
        if fetched.messages:
            self._last_message = self._clock()
        self._quiet = replace(fetched, messages=[], decoded=NO_MESSAGES)
        return self._ingested(fetched)

    def next_awake(self) -> datetime | None:
        """Return when to poll again."""
        return self._next_poll

    def snapshot(self) -> dict[str, Any]:
        """Return offset and ingest state as one, with the id of the topic that the offset is of.

        `ended` says that this run has read nothing after the offset, and will not: it has ended.
        Earlier runs have read nothing from `read_before` on.
        """
        self._durable.record_snapshot(self._position, is_last=self._has_ended)
        return {
            **self._ingest.snapshot(),
            # Control records behind the last message are read too (KIP-98).
            "next_offset": self._position,
            "topic_id": self._topic.info.id,
            "ended": self._has_ended,
            "read_before": self._read_before,
        }

    def close(self) -> None:
        """Leave the broker and write the status file for the last time."""
        self._metrics.write_status_file(now=True)
        self._reader.close()

    def _fetch(self) -> DecodedBatch | None:
        try:
            with refused_by_kafka():
                return self._reader.fetch()
        except StopRequestedError:
            # What can't be decoded was not read: it is fetched again after the next start.
            self._has_ended = True
            raise StopIteration from None

    def _after_silence(self) -> list[IngestedBatch]:
        """Return an item where the partition is idle from now on."""
        if self._quiet is None or self._status != "caught_up":
            return []
        return self._ingested(self._quiet)

    def _ingested(self, fetched: DecodedBatch) -> list[IngestedBatch]:
        """Return an item where there are messages, or the status has changed."""
        status = self._status_after(fetched)
        if not fetched.messages and status == self._status:
            return []
        batch = self._ingest.ingest(
            fetched.messages,
            fetched.decoded,
            status,
            self._topic.info.partitions,
            fetched.tables,
        )
        self._status = status
        self._alignment.update(batch.update)
        self._record_metrics(batch.update.watermark, status, fetched.lag)
        return [batch]

    def _status_after(self, fetched: DecodedBatch) -> ReadStatus:
        if fetched.is_finished:
            return "finished"
        if fetched.is_behind:
            return "behind"
        quiet_for = self._clock() - self._last_message
        is_idle = fetched.is_end_confirmed and quiet_for >= self._idle_after
        return "idle" if is_idle else "caught_up"

    def _record_metrics(self, watermark: int | None, status: ReadStatus, lag: int) -> None:
        own = self._own_metrics
        own.watermark = watermark
        own.status = status
        own.lag = lag
        own.position = self._position
        own.counts = self._ingest.counts


def _counts(read: int, batch: TimedBatch, classified: Classified) -> MessageCounts:
    return MessageCounts(
        read=read,
        counted=classified.counted.height,
        late=classified.late.height,
        dead=batch.rejected.height,
        duplicates=classified.duplicates,
        punctuations=batch.punctuations.height,
    )


def _dedupe_state_of_version_1(seen: bytes, rules: LatenessRules) -> DedupeState:
    """Return the dedupe state of a frame of keys with the starts of their windows."""
    keys = pl.read_ipc(seen).select(rules.bucket_of("window_start").alias("bucket"), "key")
    return DedupeState().add(keys, MIN_EVENT_TIME - rules.bucket).state
