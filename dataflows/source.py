"""The source: the partitions of `trips_stream`, each with its ingest."""

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cached_property, partial
from typing import Any, Final

from bytewax.inputs import FixedPartitionedSource, StatefulSourcePartition

from broker.topics import TopicDescriber, TopicInfo
from dataflows.alignment import WatermarkAlignment
from dataflows.fetcher import Fetched, Fetcher
from dataflows.ingest import PartitionIngest
from dataflows.items import IngestedBatch
from dataflows.log_reader import LogReader
from dataflows.resume_validator import ResumePosition, ResumeValidator
from dataflows.tables import read_tables
from dataflows.topic_watch import TopicWatch, check_timestamps, describe_or_refuse
from mobility.enrichment import Tables
from mobility.settings import Settings
from mobility.status import ReadStatus
from mobility.topics import trips_topic
from mobility.validation import TripRules
from runtime.flow_metrics import FlowMetrics, PartitionMetrics
from runtime.recovery import RecoveryInfo

STEP_ID: Final = "mobility_hub.trips_stream"
"""The id of this step of the flow: its recovery states are found by it."""

_ALIGNMENT_PAUSE: Final = timedelta(milliseconds=10)


@dataclass(frozen=True, slots=True)
class TripLog:
    """The topic that the partitions belong to, and the watch that notices when it changes."""

    topic: TopicInfo
    watch: TopicWatch


class TripSource(FixedPartitionedSource[IngestedBatch, dict[str, Any]]):
    """Reads trips from Kafka: at least once by itself, exactly once with recovery.

    A partition's snapshot holds its offset and the whole state of its ingest, so that after a
    resume the messages behind it are classified as they were before. `stopping` returns whether to
    end gracefully.
    """

    def __init__(
        self,
        settings: Settings,
        log: LogReader,
        alignment: WatermarkAlignment,
        metrics: FlowMetrics,
        stopping: Callable[[], bool],
        recovery: RecoveryInfo,
    ) -> None:
        self._settings = settings
        self._reader = log
        self._alignment = alignment
        self._metrics = metrics
        self._stopping = stopping
        self._validator = ResumeValidator(settings, recovery, metrics)
        self._describer = TopicDescriber(settings, trips_topic(settings))
        self._executor = ThreadPoolExecutor(1, "fetching")

    @cached_property
    def _tables(self) -> Tables:
        return read_tables(self._settings)

    @cached_property
    def _log(self) -> TripLog:
        topic = describe_or_refuse(self._describer)
        check_timestamps(self._settings, topic.name)
        return TripLog(topic, TopicWatch(topic, self._describer, self._metrics))

    def list_parts(self) -> list[str]:
        """Return the partitions of the topic, as `000`, `001` and so on."""
        topic = self._log.topic
        self._validator.check_partitions(STEP_ID, topic)
        return [f"{partition:03}" for partition in topic.partitions]

    def build_part(
        self, step_id: str, for_part: str, resume_state: dict[str, Any] | None
    ) -> "TripPartition":
        """Connect to the broker and continue from the snapshot."""
        del step_id
        partition, topic = int(for_part), self._log.topic
        ingest = PartitionIngest(partition, self._settings, self._tables)
        position = ResumePosition()
        if resume_state is not None:
            ingest.resume(resume_state)
            position = ResumePosition(ingest.next_offset, resume_state.get("topic_id"))
        begin = partial(self._validator.first_offset, topic, partition, position)
        reader = self._reader.open(topic.name, partition, topic.partitions, begin)
        ingest.next_offset = reader.position
        fetcher = Fetcher(reader, TripRules.of(self._settings), self._executor)
        return TripPartition(
            self._settings,
            self._log,
            ingest,
            fetcher,
            self._alignment,
            self._metrics,
            self._stopping,
        )


class TripPartition(StatefulSourcePartition[IngestedBatch, dict[str, Any]]):
    """One partition of the log: fetches its messages and ingests them in order."""

    def __init__(
        self,
        settings: Settings,
        log: TripLog,
        ingest: PartitionIngest,
        fetcher: Fetcher,
        alignment: WatermarkAlignment,
        metrics: FlowMetrics,
        stopping: Callable[[], bool],
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._log = log
        self._ingest = ingest
        self._fetcher = fetcher
        self._alignment = alignment
        alignment.register(ingest.partition)
        self._metrics = metrics
        self._stopping = stopping
        self._clock = clock
        self._idle_after = settings.idle_after
        self._own_metrics = metrics.partitions[ingest.partition] = PartitionMetrics()
        self._status: ReadStatus | None = None
        self._last_message = clock()
        self._next_poll: datetime | None = None

    def next_batch(self) -> list[IngestedBatch]:
        """Return what the log has, as one item; nothing while other partitions must catch up."""
        self._metrics.write_status_file()
        self._log.watch.check()
        if self._stopping() or self._status == "finished":
            raise StopIteration
        # The first update is sent even if the partition may not read on: every shard waits for it.
        if self._status is not None and self._alignment.is_ahead(self._ingest.partition):
            self._next_poll = datetime.now(UTC) + _ALIGNMENT_PAUSE
            return []
        fetched = self._fetcher.fetch()
        self._next_poll = fetched.next_poll
        if fetched.messages:
            self._last_message = self._clock()
        status = self._status_after(fetched)
        if not fetched.messages and status == self._status:
            return []
        batch = self._ingest.ingest(
            fetched.messages, fetched.decoded, status, self._log.topic.partitions
        )
        self._status = status
        self._alignment.update(batch.update)
        self._record_metrics(batch.update.watermark, status, fetched.lag)
        return [batch]

    def next_awake(self) -> datetime | None:
        """Return when to poll again."""
        return self._next_poll

    def snapshot(self) -> dict[str, Any]:
        """Return offset and ingest state as one, with the id of the topic that the offset is of."""
        return {**self._ingest.snapshot(), "topic_id": self._log.topic.id}

    def close(self) -> None:
        """Leave the broker and write the status file for the last time."""
        self._metrics.write_status_file(now=True)
        self._fetcher.close()

    def _status_after(self, fetched: Fetched) -> ReadStatus:
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
        own.position = self._ingest.next_offset
        own.counts = self._ingest.counts
