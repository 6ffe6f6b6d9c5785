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
from dataflows.fetcher import Fetched, Fetcher
from dataflows.ingest import PartitionIngest
from dataflows.items import IngestedBatch
from dataflows.partition_reader import PartitionReader
from dataflows.resume_validator import ResumePosition, ResumeValidator
from dataflows.rules import RulesReader
from dataflows.topic_watch import TopicWatch, describe_or_refuse
from mobility.settings import Settings
from mobility.status import ReadStatus
from mobility.topics import trips_topic
from runtime.flow_metrics import FlowMetrics, PartitionMetrics
from runtime.flows import TRIPS_STEP_ID
from runtime.recovery import RecoveryInfo

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
        metrics: FlowMetrics,
        stopping: Callable[[], bool],
        recovery: RecoveryInfo,
    ) -> None:
        self._settings = settings
        self._metrics = metrics
        self._stopping = stopping
        self._validator = ResumeValidator(settings, recovery, metrics)
        self._rules = RulesReader(settings, recovery.folder)
        self._describer = TopicDescriber(settings, trips_topic(settings))
        self._executor = ThreadPoolExecutor(1, "fetching")

    @cached_property
    def _log(self) -> TripLog:
        topic = describe_or_refuse(self._describer)
        return TripLog(topic, TopicWatch(topic, self._describer, self._metrics))

    def list_parts(self) -> list[str]:
        """Return the partitions of the topic, as `000`, `001` and so on."""
        topic = self._log.topic
        self._validator.check_partitions(TRIPS_STEP_ID, topic)
        return [f"{partition:03}" for partition in topic.partitions]

    def build_part(
        self, step_id: str, for_part: str, resume_state: dict[str, Any] | None
    ) -> "TripPartition":
        """Connect to the broker and continue from the snapshot."""
        del step_id
        partition, topic = int(for_part), self._log.topic
        ingest = PartitionIngest(partition, self._settings)
        position = ResumePosition()
        if resume_state is not None:
            ingest.resume(resume_state)
            position = ResumePosition(ingest.next_offset, resume_state.get("topic_id"))
        begin = partial(self._validator.first_offset, topic, partition, position)
        reader = PartitionReader(
            self._settings, topic.name, partition, begin, len(topic.partitions)
        )
        ingest.next_offset = reader.position
        rules = self._rules.from_offset(partition, reader.position, topic.id)
        fetcher = Fetcher(reader, rules, self._executor)
        return TripPartition(
            self._settings, self._log, ingest, fetcher, self._metrics, self._stopping
        )


class TripPartition(StatefulSourcePartition[IngestedBatch, dict[str, Any]]):
    """One partition of the log: fetches its messages and ingests them in order."""

    def __init__(
        self,
        settings: Settings,
        log: TripLog,
        ingest: PartitionIngest,
        fetcher: Fetcher,
        metrics: FlowMetrics,
        stopping: Callable[[], bool],
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._log = log
        self._ingest = ingest
        self._fetcher = fetcher
        self._metrics = metrics
        self._stopping = stopping
        self._clock = clock
        self._idle_after = settings.idle_after
        self._own_metrics = PartitionMetrics(max_event_time=ingest.max_event_time)
        metrics.partitions[ingest.partition] = self._own_metrics
        self._status: ReadStatus | None = None
        self._has_ended = False
        self._last_message = clock()
        self._next_poll: datetime | None = None

    def next_batch(self) -> list[IngestedBatch]:
        """Return what the log has, as one item; nothing while other partitions must catch up."""
        self._metrics.write_status_file()
        self._log.watch.check()
        if self._stopping() or self._status == "finished":
            self._has_ended = True
            raise StopIteration
        # The first update is sent even if the partition may not read on: every shard waits for it.
        if self._status is not None and self._metrics.is_ahead(self._ingest.partition):
            self._next_poll = datetime.now(UTC) + _ALIGNMENT_PAUSE
            return []
        fetched = self._fetcher.fetch()
        self._next_poll = fetched.next_poll
        if fetched.messages:
            self._last_message = self._clock()
        status = self._status_after(fetched)
        batch = self._ingest.ingest(
            fetched.messages,
            fetched.decoded,
            status,
            self._log.topic.partitions,
            fetched.tables,
        )
        has_news = bool(fetched.messages) or status != self._status
        self._status = status
        self._record_metrics(batch.update.watermark, status, fetched.lag)
        return [batch] if has_news else []

    def next_awake(self) -> datetime | None:
        """Return when to poll again."""
        return self._next_poll

    def snapshot(self) -> dict[str, Any]:
        """Return offset and ingest state as one, with the id of the topic that the offset is of.

        `ended` says that nothing was read behind the offset: not by this run, which has ended.
        """
        return {
            **self._ingest.snapshot(),
            "topic_id": self._log.topic.id,
            "ended": self._has_ended,
        }

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
        return "idle" if fetched.lag == 0 and quiet_for >= self._idle_after else "caught_up"

    def _record_metrics(self, watermark: int | None, status: ReadStatus, lag: int) -> None:
        own = self._own_metrics
        own.max_event_time = self._ingest.max_event_time
        own.watermark = watermark
        own.status = status
        own.lag = lag
        own.position = self._ingest.next_offset
        own.counts = self._ingest.counts
