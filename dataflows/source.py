"""The source: the partitions of `trips_stream`, each with its ingest."""

from collections.abc import Callable
from functools import cached_property
from typing import Any

from bytewax.inputs import FixedPartitionedSource

from broker.topics import TopicDescriber
from dataflows.alignment import WatermarkAlignment
from dataflows.ingest import PartitionIngest, TripPartition, WatchedTopic
from dataflows.items import IngestedBatch
from dataflows.log_reader import LogReader
from dataflows.offset_commits import OffsetCommits
from dataflows.resume_validator import ResumePosition, ResumeValidator
from dataflows.topic_watch import TopicWatch, check_timestamps, describe_or_refuse
from dataflows.trip_decoder import TripDecoder
from mobility.settings import Settings
from mobility.topics import trips_topic
from runtime.flow_metrics import FlowMetrics
from runtime.flows import TRIPS_STEP_ID
from runtime.recovery import RecoveryInfo
from runtime.rules import RulesReader


class TripSource(FixedPartitionedSource[IngestedBatch, dict[str, Any]]):
    """Reads trips from Kafka: at least once by itself, exactly once with recovery.

    A partition's snapshot holds its offset and the whole state of its ingest, so that after a
    resume the messages behind it are classified as they were before. Once `stop_requested` returns
    True, the partitions end gracefully.
    """

    def __init__(
        self,
        settings: Settings,
        alignment: WatermarkAlignment,
        commits: OffsetCommits,
        metrics: FlowMetrics,
        stop_requested: Callable[[], bool],
        recovery: RecoveryInfo,
    ) -> None:
        self._settings = settings
        self._alignment = alignment
        self._commits = commits
        self._metrics = metrics
        self._stop_requested = stop_requested
        self._validator = ResumeValidator(settings, recovery, metrics)
        self._rules = RulesReader(settings, recovery.folder)
        self._describer = TopicDescriber(settings, trips_topic(settings))
        self._decoder = TripDecoder(settings)
        self._log = LogReader(settings, self._decoder.decode)

    @cached_property
    def _topic(self) -> WatchedTopic:
        info = describe_or_refuse(self._describer)
        check_timestamps(self._settings, self._describer, info.name)
        watch = TopicWatch(self._settings, info, self._describer, self._metrics)
        return WatchedTopic(info, watch)

    def list_parts(self) -> list[str]:
        """Return the partitions of the topic, as `000`, `001` and so on."""
        topic = self._topic.info
        self._validator.check_partitions(TRIPS_STEP_ID, topic)
        return [f"{partition:03}" for partition in topic.partitions]

    def build_part(
        self, step_id: str, for_part: str, resume_state: dict[str, Any] | None
    ) -> TripPartition:
        """Connect to the broker and continue from the snapshot."""
        del step_id
        partition, topic = int(for_part), self._topic.info
        ingest = PartitionIngest(partition, self._settings)
        position, read_before = ResumePosition(), 0
        if resume_state is not None:
            ingest.resume(resume_state)
            position = ResumePosition(ingest.next_offset, resume_state.get("topic_id"))
            if position.topic_id in {None, topic.id}:
                read_before = resume_state.get("read_before", 0)
        self._decoder.require_format()

        def begin(low: int, end: int) -> int:
            nonlocal read_before
            if self._rules.follows_crash:
                # How far the run that crashed has read is not known, but not beyond the end.
                read_before = max(read_before, end)
            offset = self._validator.first_offset(topic, partition, position, low, end)
            rules = self._rules.from_offset(partition, offset, topic.id)
            self._decoder.set_rules((topic.name, partition), rules)
            return offset

        reader = self._log.open(topic.name, partition, topic.partitions, begin)
        return TripPartition(
            self._settings,
            self._topic,
            ingest,
            reader,
            self._alignment,
            self._commits.open(topic.name, partition, reader.position),
            self._metrics,
            self._stop_requested,
            read_before,
        )
