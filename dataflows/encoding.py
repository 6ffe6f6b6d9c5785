"""Items to Kafka records: windows, enriched trips, late and dead ones, punctuations."""

from collections.abc import Callable, Iterator
from typing import Final

from dataflows.board import Board
from dataflows.items import Columns, Enriched, Headers, Positioned, Punctuation, Records
from mobility.entities import Entity
from mobility.messages import encode_windows
from mobility.records import WindowUpdate
from mobility.settings import Settings
from mobility.topics import (
    WATERMARK_HEADER,
    aggregated_topic,
    dead_topic,
    enriched_topic,
    late_topic,
    trips_topic,
)

_LONGEST_DETAIL: Final = 500


def windows_encoder(
    settings: Settings, entity: Entity, board: Board
) -> Callable[[WindowUpdate], Iterator[Columns]]:
    """Return the encoder for `aggregated.<entity>`: key is the id."""
    topic = aggregated_topic(settings, entity)

    def encode(update: WindowUpdate) -> Iterator[Columns]:
        if update.rows.height:
            values = encode_windows(update.rows, entity, settings.window_ms)
            board.windows_out += update.rows.height
            yield Columns(topic, update.rows["id"], values)
        # Here the records are the producer's: each is asked for when the one before is sent.
        if update.watermark is not None:
            board.sent[entity.name, update.shard] = update.watermark

    return encode


def enriched_encoder(settings: Settings, entity: Entity) -> Callable[[Enriched], Iterator[Columns]]:
    """Return the encoder for `enriched.<entity>`: key is the id, trips without one stay away."""
    topic = enriched_topic(settings, entity)

    def encode(enriched: Enriched) -> Iterator[Columns]:
        trips = enriched.trips.drop_nulls(entity.id_column)
        if trips.height:
            yield Columns(topic, trips[entity.id_column], trips["json"])

    return encode


def late_encoder(settings: Settings) -> Callable[[Positioned], Iterator[Records]]:
    """Return the encoder for `trips_late`: the original message and its position."""
    topic = late_topic(settings)
    return lambda late: _moved(topic, late)


def dead_encoder(settings: Settings) -> Callable[[Positioned], Iterator[Records]]:
    """Return the encoder for `trips_dlq`: the original message, its position and what is wrong."""
    topic = dead_topic(settings)
    return lambda dead: _moved(topic, dead)


def punctuation_encoder(settings: Settings) -> Callable[[Punctuation], Iterator[Records]]:
    """Return the encoder for punctuations, which go into the log itself."""
    topic = trips_topic(settings)

    def encode(punctuation: Punctuation) -> Iterator[Records]:
        headers: Headers = [(WATERMARK_HEADER, str(punctuation.watermark))]
        yield Records(topic, [None], [None], [headers], punctuation.partition)

    return encode


def _moved(topic: str, positioned: Positioned) -> Iterator[Records]:
    headers = [_position(positioned.topic, positioned.partition, o) for o in positioned.offsets]
    for row, error in enumerate(positioned.errors):
        detail = positioned.details[row][:_LONGEST_DETAIL].encode(errors="backslashreplace")
        headers[row] += [("error", error), ("detail", detail)]
    yield Records(topic, list(positioned.keys), list(positioned.values), headers)


def _position(topic: str, partition: int, offset: int) -> Headers:
    return [("topic", topic), ("partition", str(partition)), ("offset", str(offset))]
