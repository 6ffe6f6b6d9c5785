"""The items that travel between the steps of the dataflow. An item is a batch, never a trip."""

from dataclasses import dataclass

import polars as pl

from mobility.status import ReadStatus


@dataclass(frozen=True, slots=True)
class WatermarkUpdate:
    """A partition's watermark and read status after one of its batches.

    `watermark` is in epoch ms, None before the first trip. `partitions` lists all partitions of the
    log, so that a receiver knows which of them have not reported yet.
    """

    partition: int
    watermark: int | None
    status: ReadStatus
    partitions: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class SourceRecords:
    """Messages as they were read, with their positions in the log: late trips and dead letters.

    All lists have one entry a message. `reasons` and `details` say why a message is dead; they are
    empty for late trips.
    """

    topic: str
    partition: int
    offsets: list[int]
    values: list[bytes | None]
    keys: list[bytes | None]
    reasons: list[str]
    details: list[str]


@dataclass(frozen=True, slots=True)
class IngestedBatch:
    """A batch of one partition after ingest.

    `trips` are the trips that count, enriched: mobility.trips.TRIP_SCHEMA, `window_start`,
    `h3_region`, and `json` where enriched trips are written to Kafka.
    """

    update: WatermarkUpdate
    trips: pl.DataFrame
    late: SourceRecords
    dead: SourceRecords


@dataclass(frozen=True, slots=True)
class EnrichedTrips:
    """Counted trips of a batch for `enriched.*`: the column `json` and the ids of all entities."""

    trips: pl.DataFrame


@dataclass(frozen=True, slots=True)
class ShardPartial:
    """Partial aggregates (PARTIAL_SCHEMA) for one shard, and the watermarks that came with them.

    `rows` is None where the shard has none. `updates` has one entry a batch, in the order in which
    each partition was read.
    """

    shard: int
    updates: tuple[WatermarkUpdate, ...]
    rows: pl.DataFrame | None


@dataclass(frozen=True, slots=True)
class Punctuation:
    """An event time (epoch ms) to be written into an idle partition of the log."""

    partition: int
    watermark: int
