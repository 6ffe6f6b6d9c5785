"""The source of the standalone flow: the partitions of `aggregated.<entity>`."""

from collections.abc import Callable, Iterator
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

from dataflows.board import Board, Standing
from dataflows.continuity import Continuity, Place
from dataflows.intake import Counts
from dataflows.items import Positioned
from dataflows.kafka_sink import shard_key
from dataflows.log_topic import Topic, asking, described
from dataflows.partition_reader import PartitionReader, offset_of
from dataflows.recovery import Past
from mobility.entities import ENTITIES, Entity
from mobility.messages import decode_windows
from mobility.records import WindowUpdate
from mobility.settings import Settings
from mobility.topics import aggregated_topic
from mobility.totals import by_shard


@dataclass(frozen=True, slots=True)
class Windows:
    """A batch of one partition: `rows` (WINDOW_SCHEMA), and messages that hold no window."""

    rows: pl.DataFrame
    dead: Positioned


@dataclass(frozen=True, slots=True)
class WindowBranches:
    """What a batch consists of, as streams keyed for the sinks."""

    windows: KeyedStream[WindowUpdate]
    dead: KeyedStream[Positioned]


class AggregatedSource(FixedPartitionedSource[Windows, Any]):
    """Reads an entity's windows from Kafka, at least once.

    A snapshot is the next offset and the id of the topic; the first release knew no id, and its
    snapshots are the offset alone.
    """

    def __init__(
        self,
        settings: Settings,
        entity: Entity,
        board: Board,
        stopping: Callable[[], bool],
        past: Past,
    ) -> None:
        self._settings = settings
        self._entity = entity
        self._board = board
        self._stopping = stopping
        self._continuity = Continuity(settings, past)

    @cached_property
    def _topic(self) -> Topic:
        name = aggregated_topic(self._settings, self._entity)
        return described(self._settings, name, asking(self._settings, name))

    def list_parts(self) -> list[str]:
        """Return the partitions of the topic, as `000`, `001` and so on."""
        step = f"mobility_serving.aggregated_{self._entity.name}"
        self._continuity.check_partitions(step, self._topic)
        return [f"{partition:03}" for partition in self._topic.partitions]

    def build_part(
        self,
        step_id: str,
        for_part: str,
        resume_state: Any,  # noqa: ANN401 - an offset or a dict, by release
    ) -> "AggregatedPartition":
        """Connect to the broker and go on at the offset of the snapshot."""
        del step_id
        place = Place(**resume_state) if isinstance(resume_state, dict) else Place(resume_state)
        begin = partial(self._continuity.first_offset, self._topic, int(for_part), place)
        peers = len(ENTITIES) * len(self._topic.partitions)
        reader = PartitionReader(self._settings, self._topic.name, int(for_part), begin, peers)
        standing = self._board.standings[int(for_part)] = Standing()
        return AggregatedPartition(
            self._entity, self._topic, int(for_part), reader, standing, self._stopping
        )


class AggregatedPartition(StatefulSourcePartition[Windows, Any]):
    """One partition of an entity's windows."""

    def __init__(
        self,
        entity: Entity,
        topic: Topic,
        partition: int,
        reader: PartitionReader,
        standing: Standing,
        stopping: Callable[[], bool],
    ) -> None:
        self._entity = entity
        self._topic = topic
        self._partition = partition
        self._reader = reader
        self._standing = standing
        self._stopping = stopping

    def next_batch(self) -> list[Windows]:
        """Return what the topic has, as one item."""
        if self._stopping() or self._reader.finished:
            raise StopIteration
        messages = self._reader.poll()
        batch = [self._windows(messages)] if messages else []
        self._note(batch)
        return batch

    def next_awake(self) -> datetime | None:
        """Return when to poll again."""
        return self._reader.next_poll()

    def snapshot(self) -> dict[str, Any]:
        """Return the next offset, and the id of the topic that it is of."""
        return asdict(Place(self._reader.position, self._topic.id))

    def close(self) -> None:
        """Leave the broker."""
        self._reader.close()

    def _note(self, batch: list[Windows]) -> None:
        """Say where the partition stands; what it counts are windows."""
        reader, standing = self._reader, self._standing
        standing.position, standing.lag = reader.position, reader.lag
        standing.status = "behind" if reader.behind else "caught_up"
        for windows in batch:
            counted, dead = windows.rows.height, len(windows.dead.offsets)
            standing.counts += Counts(read=counted + dead, counted=counted, dead=dead)

    def _windows(self, messages: list[Message]) -> Windows:
        try:
            rows = decode_windows([message.value() or b"" for message in messages], self._entity)
        except ValueError:
            return self._one_by_one(messages)
        return Windows(rows, self._dead([], []))

    def _one_by_one(self, messages: list[Message]) -> Windows:
        frames, dead, details = [decode_windows([], self._entity)], [], []
        for message in messages:
            try:
                frames.append(decode_windows([message.value() or b""], self._entity))
            except ValueError as error:
                dead.append(message)
                details.append(str(error))
        return Windows(pl.concat(frames), self._dead(dead, details))

    def _dead(self, messages: list[Message], details: list[str]) -> Positioned:
        return Positioned(
            topic=self._topic.name,
            partition=self._partition,
            offsets=[offset_of(message) for message in messages],
            values=[message.value() for message in messages],
            keys=[message.key() for message in messages],
            errors=["not_a_window"] * len(messages),
            details=details,
        )


def told_apart(entity: Entity, batches: Stream[Windows], settings: Settings) -> WindowBranches:
    """Return windows keyed by the shard of their id, and what could not be read."""

    def windows(batch: Windows) -> Iterator[tuple[str, WindowUpdate]]:
        for shard, rows in by_shard(batch.rows, settings.shards).items():
            # Messages carry no watermark, so this flow has none to record.
            yield shard_key(shard), WindowUpdate(entity, shard, settings.shards, None, rows)

    def dead(batch: Windows) -> Iterator[tuple[str, Positioned]]:
        if batch.dead.offsets:
            yield shard_key(batch.dead.partition % settings.shards), batch.dead

    return WindowBranches(
        windows=op.flat_map(f"{entity.name}_windows", batches, windows),
        dead=op.flat_map(f"{entity.name}_dead", batches, dead),
    )
