"""What the flow wrote to Kafka, as frames."""

from collections.abc import Callable
from typing import Final

import polars as pl

from audit.decimals import epoch_ms, micro
from audit.log import read_topic
from audit.verdicts import Message
from mobility.entities import ENTITIES, Entity
from mobility.records import STARTS, TOTALS
from mobility.settings import Settings
from mobility.topics import REPLAYED_HEADER, aggregated_topic

_VERSION: Final = ("generation", "trip_count")
_KEY: Final = ("entity", "id", "window_start")

Progress = Callable[[str], None]


def read_windows(settings: Settings, progress: Progress) -> pl.DataFrame:
    """Return the windows of all entities, each in the highest version that its topic holds.

    Columns are those of the oracle's windows; null where a message holds no such value.
    """
    frames = [decode_windows([], ENTITIES[0])]
    for entity in ENTITIES:
        topic = aggregated_topic(settings, entity)
        progress(topic)
        frames += [
            decode_windows([message.value for message in batch], entity)
            for batch in read_topic(settings.kafka, topic)
        ]
    return latest(pl.concat(frames))


def decode_windows(values: list[bytes | None], entity: Entity) -> pl.DataFrame:
    """Read messages of `aggregated.<entity>`; totals become exact micro-units.

    Raises ComputeError where a value is not UTF-8 or not JSON.
    """
    text = pl.Series("text", values, dtype=pl.Binary).cast(pl.String)
    fields = {
        entity.id_field: pl.String,
        **dict.fromkeys(("window_start", "window_end", *STARTS), pl.String),
        **dict.fromkeys(_VERSION, pl.Int64),
        "avg_duration": pl.Float64,
    }
    frame = text.str.json_decode(pl.Struct(fields)).struct.unnest()
    return frame.with_columns(text).select(
        pl.lit(entity.name).alias("entity"),
        pl.col(entity.id_field).alias("id"),
        *(epoch_ms(pl.col(name)).alias(name) for name in ("window_start", "window_end")),
        *_VERSION,
        # From the text itself: a JSON number that has gone through a double may be another.
        *(micro(_number(name)).alias(name) for name in TOTALS),
        epoch_ms(pl.col("start_time")),
        epoch_ms(pl.coalesce("last_start_time", "start_time")).alias("last_start_time"),
        "avg_duration",
    )


def latest(windows: pl.DataFrame) -> pl.DataFrame:
    """Return each window once, in its highest (generation, trip_count); of equals the last."""
    ordered = windows.sort(_VERSION, maintain_order=True)
    return ordered.unique(_KEY, keep="last")


def read_positions(settings: Settings, topic: str) -> pl.DataFrame:
    """Return where the messages of `trips_late` or `trips_dlq` came from.

    Columns: topic, partition, offset (of the source), error, value (the original bytes). Delivery
    is at least once, so rows that are the same in everything are one. Marks of replayed letters
    are left out.
    """
    rows = [
        position(message)
        for batch in read_topic(settings.kafka, topic)
        for message in batch
        if not is_mark(message)
    ]
    schema = {
        "topic": pl.String,
        "partition": pl.Int32,
        "offset": pl.Int64,
        "error": pl.String,
        "value": pl.Binary,
    }
    return pl.DataFrame(rows, schema=schema, orient="row").unique(maintain_order=True)


def is_mark(message: Message) -> bool:
    """Return whether a message only says that a letter was replayed."""
    return any(name == REPLAYED_HEADER for name, _ in message.headers)


def position(
    message: Message,
) -> tuple[str | None, int | None, int | None, str | None, bytes | None]:
    """Read the headers of a late or dead trip; None where one is missing or no number."""
    headers = {name: (value or b"").decode("utf-8", "replace") for name, value in message.headers}
    partition, offset = headers.get("partition", ""), headers.get("offset", "")
    return (
        headers.get("topic"),
        int(partition) if partition.isdecimal() else None,
        int(offset) if offset.isdecimal() else None,
        headers.get("error"),
        message.value,
    )


def _number(name: str) -> pl.Expr:
    # Inside a JSON string the quotes would be escaped, so an id can't pretend to be a field.
    return pl.col("text").str.extract(rf'"{name}"\s*:\s*([^\s,}}]+)')
