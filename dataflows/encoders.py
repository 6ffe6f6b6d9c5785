"""Encoders: items of the dataflow become Kafka messages."""

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import polars as pl

from broker.producer import Headers
from dataflows.items import EnrichedTrips, Punctuation, SourceRecords
from mobility.entities import Entity
from mobility.messages import encode_windows
from mobility.records import WindowUpdate
from mobility.settings import Settings
from mobility.topics import (
    LARGEST_BATCH,
    WATERMARK_HEADER,
    aggregated_topic,
    dead_topic,
    enriched_topic,
    late_topic,
    trips_topic,
)

_LONGEST_DETAIL: Final = 500
# Leaves room for the headers with position, reason and detail, and for the batch's own header.
_LARGEST: Final = LARGEST_BATCH - 16 * 1024


@dataclass(frozen=True, slots=True)
class ColumnMessages:
    """Messages for one topic as columns: strings without nulls, equally many."""

    topic: str
    keys: pl.Series
    values: pl.Series


@dataclass(frozen=True, slots=True)
class Messages:
    """Messages with headers for one topic: equally long lists. Without `partition` keys decide."""

    topic: str
    keys: list[str | bytes | None]
    values: list[str | bytes | None]
    headers: list[Headers]
    partition: int | None = None


def windows_encoder(
    settings: Settings, entity: Entity
) -> Callable[[WindowUpdate], Iterator[ColumnMessages]]:
    """Return the encoder for `aggregated.<entity>`: the key is the id."""
    topic = aggregated_topic(settings, entity)

    def encode(update: WindowUpdate) -> Iterator[ColumnMessages]:
        if update.rows.height:
            values = encode_windows(update.rows, entity, settings.window_ms)
            yield ColumnMessages(topic, update.rows["id"], values)

    return encode


def enriched_encoder(
    settings: Settings, entity: Entity
) -> Callable[[EnrichedTrips], Iterator[ColumnMessages]]:
    """Return the encoder for `enriched.<entity>`: the key is the id; trips need one."""
    topic = enriched_topic(settings, entity)

    def encode(enriched: EnrichedTrips) -> Iterator[ColumnMessages]:
        trips = enriched.trips.drop_nulls(entity.id_column)
        if trips.height:
            yield ColumnMessages(topic, trips[entity.id_column], trips["json"])

    return encode


def late_encoder(settings: Settings) -> Callable[[SourceRecords], Iterator[Messages]]:
    """Return the encoder for `trips_late`: the original message and its position."""
    topic = late_topic(settings)
    return lambda late: _with_position(topic, late)


def dead_encoder(settings: Settings) -> Callable[[SourceRecords], Iterator[Messages]]:
    """Return the encoder for `trips_dlq`: the original message, its position and what is wrong."""
    topic = dead_topic(settings)
    return lambda dead: _with_position(topic, dead)


def punctuation_encoder(settings: Settings) -> Callable[[Punctuation], Iterator[Messages]]:
    """Return the encoder for punctuations, which are written into the log of trips itself."""
    topic = trips_topic(settings)

    def encode(punctuation: Punctuation) -> Iterator[Messages]:
        headers: Headers = [(WATERMARK_HEADER, str(punctuation.watermark))]
        yield Messages(topic, [None], [None], [headers], punctuation.partition)

    return encode


def _with_position(topic: str, records: SourceRecords) -> Iterator[Messages]:
    keys: list[str | bytes | None] = list(records.keys)
    values: list[str | bytes | None] = list(records.values)
    headers = [_position(records.topic, records.partition, offset) for offset in records.offsets]
    details: Sequence[str | None] = records.details or [None] * len(keys)
    for row, detail in enumerate(details):
        key, value = records.keys[row], records.values[row]
        reference = None
        if len(key or b"") + len(value or b"") > _LARGEST:
            keys[row] = values[row] = None
            reference = _reference(key, value)
        text = "; ".join(part for part in (reference, detail) if part)
        if records.reasons:
            headers[row].append(("error", records.reasons[row]))
        if text:
            encoded = text[:_LONGEST_DETAIL].encode(errors="backslashreplace")
            headers[row].append(("detail", encoded))
    yield Messages(topic, keys, values, headers)


def _reference(key: bytes | None, value: bytes | None) -> str:
    """Return what identifies a message that is too large to be copied with its position."""
    parts = (("key", key), ("value", value))
    return "too large to be copied: " + ", ".join(
        f"{name} of {len(part):,} bytes, sha256 {hashlib.sha256(part).hexdigest()}"
        for name, part in parts
        if part is not None
    )


def _position(topic: str, partition: int, offset: int) -> Headers:
    return [("topic", topic), ("partition", str(partition)), ("offset", str(offset))]
