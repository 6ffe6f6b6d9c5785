"""Test doubles for Kafka's messages and the clock, and the batch computation."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import cast

import polars as pl
from confluent_kafka import Message

from dataflows.ingest import PartitionIngest
from dataflows.items import IngestedBatch, ShardPartial, WatermarkUpdate
from mobility.enrichment import Tables
from mobility.entities import Entity
from mobility.measures import COUNTS, NULLABLE, TOTALS
from mobility.records import PARTIAL_SCHEMA
from mobility.settings import Settings
from mobility.status import ReadStatus
from mobility.trips import decode_trips
from mobility.validation import TripRules
from mobility.values import FORMATS
from tests.strategies import Entry
from tests.windows import window, window_frame

FAR: int = 4_000_000_000_000
"""A log-append time (epoch ms) after which nothing in these tests is stamped."""


@dataclass(slots=True)
class FakeMessage:
    """A message as confluent_kafka.Message shows it."""

    stored: bytes | None
    at: int
    appended: int = FAR
    marks: list[tuple[str, bytes]] | None = None
    named: bytes | None = None

    def value(self) -> bytes | None:
        """Return the payload."""
        return self.stored

    def offset(self) -> int:
        """Return the position in the partition."""
        return self.at

    def key(self) -> bytes | None:
        """Return the key."""
        return self.named

    def headers(self) -> list[tuple[str, bytes]] | None:
        """Return the headers, None without any."""
        return self.marks

    def timestamp(self) -> tuple[int, int]:
        """Return the kind of the stamp (log-append time) and the stamp in epoch ms."""
        return 2, self.appended

    def error(self) -> None:
        """Return nothing: it is a message."""


def as_messages(fakes: Iterable[FakeMessage]) -> list[Message]:
    """Return fakes with the type that the flow expects."""
    return cast("list[Message]", list(fakes))


def log_of(entries: Iterable[Entry]) -> list[Message]:
    """Return a partition's entries as its messages, from offset 0."""
    return as_messages(
        FakeMessage(
            entry.value,
            offset,
            marks=[("watermark", b"%d" % entry.time)] if entry.punctuation else None,
        )
        for offset, entry in enumerate(entries)
    )


@dataclass(slots=True)
class Clock:
    """A clock that a test sets."""

    now: datetime = field(default_factory=lambda: datetime(2025, 1, 1, tzinfo=UTC))

    def __call__(self) -> datetime:
        """Return the time."""
        return self.now

    def advance(self, seconds: float) -> None:
        """Advance the clock."""
        self.now += timedelta(seconds=seconds)


def partial(*rows: tuple[str, int], micro: int = 1_000_000) -> pl.DataFrame:
    """Return partial sums of one trip for each (id, window start)."""
    amounts = dict.fromkeys(TOTALS, micro)
    return window_frame([window(*row, **amounts) for row in rows], PARTIAL_SCHEMA)


def ingest(
    reader: PartitionIngest,
    messages: list[Message],
    status: ReadStatus,
    partitions: tuple[int, ...],
    tables: Tables | None = None,
) -> IngestedBatch:
    """Decode and ingest messages, as the source partition does."""
    rules = TripRules.of(reader._settings)
    form = FORMATS[reader._settings.value]
    decoded = decode_trips([message.value() for message in messages], rules, form)
    return reader.ingest(messages, decoded, status, partitions, tables or Tables())


def shard_item(
    rows: pl.DataFrame | None,
    watermark: int | None,
    status: ReadStatus = "behind",
    *,
    partition: int = 0,
    partitions: tuple[int, ...] = (0,),
) -> ShardPartial:
    """Return the item that shard 0 gets with one batch of a partition."""
    return ShardPartial(0, (WatermarkUpdate(partition, watermark, status, partitions),), rows)


def batch_answer(log: list[list[Entry]], entity: Entity, settings: Settings) -> pl.DataFrame:
    """Return the totals of every id and window of a log, computed at once.

    The rules are implemented a second time, without the code of the flow.
    """
    counted = []
    for entries in log:
        latest, seen = -FAR, set()
        for entry in entries:
            latest = max(latest, entry.time)
            end = entry.time - entry.time % settings.window_ms + settings.window_ms
            slack = (settings.out_of_orderness + settings.allowed_lateness) * 1_000
            if entry.punctuation or end + slack < latest or (entry.trip_id, end) in seen:
                continue
            seen |= {(entry.trip_id, end)} if entry.trip_id is not None else set()
            name = {"driver": entry.driver, "vehicle_type": entry.vehicle or "unknown"}[entity.name]
            counted.append((name, end - settings.window_ms, *[entry.micro] * 3, entry.time))
    columns = ["id", "window_start", "total_duration", "total_distance", "total_revenue"]
    trips = pl.DataFrame(
        counted,
        schema=dict.fromkeys(columns, pl.Int64) | {"id": pl.String, "start_time": pl.Int64},
        orient="row",
    )
    sums = (
        trips.drop_nulls("id")
        .group_by("id", "window_start")
        .agg(
            pl.len().cast(pl.Int64).alias("trip_count"),
            pl.sum("total_duration", "total_distance", "total_revenue"),
            pl.min("start_time"),
            pl.max("start_time").alias("last_start_time"),
            *(getattr(pl, each.kind)("total_revenue").alias(each.name) for each in NULLABLE),
            *(pl.len().cast(pl.Int64).alias(name) for name in COUNTS[1:]),
        )
    )
    return sums.select(*PARTIAL_SCHEMA).cast(PARTIAL_SCHEMA).sort("id", "window_start")
