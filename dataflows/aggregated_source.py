"""The source of the serving flow: the partitions of `aggregated.<entity>`."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from functools import cached_property, partial
from typing import Any

import bytewax.operators as op
import polars as pl
from bytewax.dataflow import Stream
from bytewax.inputs import FixedPartitionedSource, StatefulSourcePartition
from bytewax.operators import KeyedStream
from confluent_kafka import Message

from broker.topics import TopicDescriber, TopicInfo
from dataflows.durable_offset import DurableOffset
from dataflows.items import SourceRecords
from dataflows.kafka_sink import shard_key
from dataflows.log_reader import LogReader
from dataflows.offset_commits import OffsetCommits
from dataflows.partition_reader import Batch, PartitionReader, offset_of
from dataflows.resume_validator import ResumePosition, ResumeValidator
from dataflows.topic_watch import describe_or_refuse
from mobility.entities import Entity
from mobility.messages import decode_windows
from mobility.records import WindowUpdate
from mobility.settings import Settings
from mobility.sketched_measures import Sketch, sketches_of
from mobility.status import MessageCounts
from mobility.topics import aggregated_topic
from mobility.totals import split_by_shard
from runtime.flow_metrics import FlowMetrics, PartitionMetrics
from runtime.recovery import RecoveryInfo


@dataclass(frozen=True, slots=True)
class WindowBatch:
    """A batch of one partition: `rows` (`window_schema`), and messages that hold no window."""

    rows: pl.DataFrame
    dead: SourceRecords


@dataclass(frozen=True, slots=True)
class WindowOutputs:
    """Windows and dead letters as streams keyed for the sinks."""

    windows: KeyedStream[WindowUpdate]
    dead: KeyedStream[SourceRecords]


class AggregatedSource(FixedPartitionedSource[WindowBatch, Any]):
    """Reads an entity's windows from Kafka, at least once.

    A snapshot is the next offset and the id of the topic; in the first release it was the offset
    alone.
    """

    def __init__(
        self,
        settings: Settings,
        entity: Entity,
        log: LogReader[Batch],
        commits: OffsetCommits,
        metrics: FlowMetrics,
        stop_requested: Callable[[], bool],
        recovery: RecoveryInfo,
    ) -> None:
        self._settings = settings
        self._entity = entity
        self._log = log
        self._commits = commits
        self._metrics = metrics
        self._stop_requested = stop_requested
        self._validator = ResumeValidator(settings, recovery)

    @cached_property
    def _topic(self) -> TopicInfo:
        name = aggregated_topic(self._settings, self._entity)
        return describe_or_refuse(TopicDescriber(self._settings, name))

    def list_parts(self) -> list[str]:
        """Return the partitions of the topic, as `000`, `001` and so on."""
        step = f"mobility_serving.aggregated_{self._entity.name}"
        self._validator.check_partitions(step, self._topic)
        return [f"{partition:03}" for partition in self._topic.partitions]

    def build_part(
        self,
        step_id: str,
        for_part: str,
        resume_state: Any,  # noqa: ANN401 - an offset or a dict, by release
    ) -> "AggregatedPartition":
        """Connect to the broker and continue at the offset of the snapshot."""
        del step_id
        position = (
            ResumePosition(**resume_state)
            if isinstance(resume_state, dict)
            else ResumePosition(resume_state)
        )
        begin = partial(self._validator.first_offset, self._topic, int(for_part), position)
        partitions = self._topic.partitions
        reader = self._log.open(self._topic.name, int(for_part), partitions, begin)
        metrics = self._metrics.partitions[int(for_part)] = PartitionMetrics()
        durable = self._commits.open(self._topic.name, int(for_part), reader.position)
        return AggregatedPartition(
            self._entity,
            sketches_of(self._entity, self._settings.measures),
            self._topic,
            int(for_part),
            reader,
            durable,
            metrics,
            self._stop_requested,
        )


class AggregatedPartition(StatefulSourcePartition[WindowBatch, Any]):
    """One partition of an entity's windows."""

    def __init__(
        self,
        entity: Entity,
        sketches: Sequence[Sketch],
        topic: TopicInfo,
        partition: int,
        reader: PartitionReader[Batch],
        durable: DurableOffset,
        metrics: PartitionMetrics,
        stop_requested: Callable[[], bool],
    ) -> None:
        self._entity = entity
        self._sketches = sketches
        self._topic = topic
        self._partition = partition
        self._reader = reader
        self._durable = durable
        self._has_ended = False
        self._metrics = metrics
        self._stop_requested = stop_requested

    def next_batch(self) -> list[WindowBatch]:
        """Return what the topic has, as one item."""
        self._durable.record_poll()
        if self._stop_requested() or self._reader.is_finished:
            self._has_ended = True
            raise StopIteration
        fetched = self._reader.fetch()
        if fetched is None:
            return []
        batch = [self._decode(fetched.messages)] if fetched.messages else []
        self._record_metrics(fetched, batch)
        return batch

    def next_awake(self) -> datetime | None:
        """Return when to poll again."""
        return self._reader.next_poll()

    def snapshot(self) -> dict[str, Any]:
        """Return the next offset, and the id of the topic that it is of."""
        position = self._reader.position
        self._durable.record_snapshot(position, is_last=self._has_ended)
        return asdict(ResumePosition(position, self._topic.id))

    def close(self) -> None:
        """Leave the broker."""
        self._reader.close()

    def _record_metrics(self, fetched: Batch, batch: list[WindowBatch]) -> None:
        """Record position, lag and counts; what is counted here are windows."""
        metrics = self._metrics
        metrics.position, metrics.lag = fetched.position, fetched.lag
        metrics.status = "behind" if fetched.is_behind else "caught_up"
        for windows in batch:
            counted, dead = windows.rows.height, len(windows.dead.offsets)
            metrics.counts += MessageCounts(read=counted + dead, counted=counted, dead=dead)

    def _decode(self, messages: list[Message]) -> WindowBatch:
        try:
            rows = self._decode_windows(messages)
        except ValueError:
            return self._decode_one_by_one(messages)
        return WindowBatch(rows, self._dead([], []))

    def _decode_one_by_one(self, messages: list[Message]) -> WindowBatch:
        frames, dead, details = [self._decode_windows([])], [], []
        for message in messages:
            try:
                frames.append(self._decode_windows([message]))
            except ValueError as error:
                dead.append(message)
                details.append(str(error))
        return WindowBatch(pl.concat(frames), self._dead(dead, details))

    def _decode_windows(self, messages: list[Message]) -> pl.DataFrame:
        values = [message.value() or b"" for message in messages]
        return decode_windows(values, self._entity, self._sketches)

    def _dead(self, messages: list[Message], details: list[str]) -> SourceRecords:
        return SourceRecords(
            topic=self._topic.name,
            partition=self._partition,
            offsets=[offset_of(message) for message in messages],
            values=[message.value() for message in messages],
            keys=[message.key() for message in messages],
            reasons=["not_a_window"] * len(messages),
            details=details,
        )


def split_windows(
    entity: Entity, batches: Stream[WindowBatch], settings: Settings
) -> WindowOutputs:
    """Return windows keyed by the shard of their id, and messages that are no windows."""

    def windows(batch: WindowBatch) -> Iterator[tuple[str, WindowUpdate]]:
        for shard, rows in split_by_shard(batch.rows, settings.shards).items():
            # Messages carry no watermark, so this flow records none.
            yield shard_key(shard), WindowUpdate(entity, shard, settings.shards, None, rows)

    def dead(batch: WindowBatch) -> Iterator[tuple[str, SourceRecords]]:
        if batch.dead.offsets:
            yield shard_key(batch.dead.partition % settings.shards), batch.dead

    return WindowOutputs(
        windows=op.flat_map(f"{entity.name}_windows", batches, windows),
        dead=op.flat_map(f"{entity.name}_dead", batches, dead),
    )
