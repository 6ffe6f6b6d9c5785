"""What travels between the steps of the flow. An object is a batch, never a trip."""

from dataclasses import dataclass
from typing import Literal

import polars as pl

Status = Literal["behind", "caught_up", "idle", "finished"]
"""Where a partition stands: never persisted, as only the present run knows it."""


Headers = list[tuple[str, str | bytes]]


@dataclass(frozen=True, slots=True)
class Heard:
    """What a partition says of itself, after each of its batches.

    `watermark` is in epoch ms, None before the first trip; `partitions` lists all partitions of
    the log, so that whoever listens knows whom it hasn't heard yet.
    """

    partition: int
    watermark: int | None
    status: Status
    partitions: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Positioned:
    """Messages that leave the main road, with where they stand in the log.

    `errors` and `details` say why; they are empty for late trips.
    """

    topic: str
    partition: int
    offsets: list[int]
    values: list[bytes | None]
    keys: list[bytes | None]
    errors: list[str]
    details: list[str]


@dataclass(frozen=True, slots=True)
class Intake:
    """A batch of one partition, told apart.

    `counted` holds enriched trips: mobility.trips.TRIP_SCHEMA, `window_start`, `h3_region`, and,
    where enriched trips go out, `json`.
    """

    heard: Heard
    counted: pl.DataFrame
    late: Positioned
    dead: Positioned


@dataclass(frozen=True, slots=True)
class Enriched:
    """Counted trips of a batch on their way to `enriched.*`: `json` and the ids."""

    trips: pl.DataFrame


@dataclass(frozen=True, slots=True)
class ShardPartial:
    """Partial sums (PARTIAL_SCHEMA) for one shard, None without any, and the words that came.

    `heard` has a word for each batch that the sums are of, in the order of each partition.
    """

    shard: int
    heard: tuple[Heard, ...]
    rows: pl.DataFrame | None


@dataclass(frozen=True, slots=True)
class Punctuation:
    """An event time (epoch ms) to be written into a quiet partition of the log."""

    partition: int
    watermark: int


@dataclass(frozen=True, slots=True)
class Columns:
    """Messages for one topic: strings without nulls, equally many; the key decides where."""

    topic: str
    keys: pl.Series
    values: pl.Series


@dataclass(frozen=True, slots=True)
class Records:
    """Messages with headers: equally long lists. Without `partition` the key decides where."""

    topic: str
    keys: list[str | bytes | None]
    values: list[str | bytes | None]
    headers: list[Headers]
    partition: int | None = None
