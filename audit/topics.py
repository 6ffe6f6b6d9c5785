"""The topics that the flow writes, as frames."""

from collections.abc import Callable, Sequence

import polars as pl

from audit.conversions import amounts_to_micro, counts_or_substitutes, iso_to_ms
from audit.log_messages import read_log_messages
from audit.validation import LogMessage
from audit.window_sample import WINDOW_VERSION, keep_highest_versions
from mobility.entities import ENTITIES, Entity
from mobility.measures import COUNTS, MEASURES, STARTS
from mobility.settings import Settings
from mobility.topics import REPLAYED_HEADER, aggregated_topic

ShowTopic = Callable[[str], None]
"""Shows which topic is being read."""


def read_windows(settings: Settings, show_topic: ShowTopic) -> pl.DataFrame:
    """Return the windows of all entities, each in its highest version.

    The columns are those of the oracle's windows; a value that a message lacks is null.
    """
    sketches = settings.measures
    frames = [decode_windows([], ENTITIES[0], sketches)]
    for entity in ENTITIES:
        topic = aggregated_topic(settings, entity)
        show_topic(topic)
        frames += [
            decode_windows([message.value for message in batch], entity, sketches)
            for batch in read_log_messages(settings, topic)
        ]
    return keep_highest_versions(pl.concat(frames))


def decode_windows(
    values: list[bytes | None], entity: Entity, sketches: Sequence[str] = ()
) -> pl.DataFrame:
    """Decode messages of `aggregated.<entity>`, totals as exact micro-units, sketches as bytes.

    Raises ComputeError if a value is not UTF-8 or not JSON.
    """
    text = pl.Series("text", values, dtype=pl.Binary).cast(pl.String)
    fields = {
        entity.id_field: pl.String,
        **dict.fromkeys(("window_start", "window_end", *STARTS), pl.String),
        **dict.fromkeys(("generation", *COUNTS), pl.Int64),
        "avg_duration": pl.Float64,
        **dict.fromkeys(sketches, pl.String),
    }
    frame = text.str.json_decode(pl.Struct(fields)).struct.unnest()
    return frame.with_columns(text).select(
        pl.lit(entity.name).alias("entity"),
        pl.col(entity.id_field).alias("id"),
        *(iso_to_ms(pl.col(name)).alias(name) for name in ("window_start", "window_end")),
        *WINDOW_VERSION,
        *counts_or_substitutes(),
        # From the text itself: parsing a JSON number as a double may change it.
        *amounts_to_micro(_number_text),
        *(
            iso_to_ms(pl.coalesce(each.name, each.substitute or each.name)).alias(each.name)
            for each in MEASURES
            if each.unit == "time"
        ),
        "avg_duration",
        *(pl.col(name).str.decode("base64") for name in sketches),
    )


def read_source_positions(settings: Settings, topic: str) -> pl.DataFrame:
    """Return the source positions of the messages in `trips_late` or `trips_dlq`.

    Columns: topic, partition, offset (of the source), error, value (the original bytes). Delivery
    is at least once, so equal rows are returned once. Markers of replayed messages are left out.
    """
    rows = [
        source_position(message)
        for batch in read_log_messages(settings, topic)
        for message in batch
        if not is_replay_marker(message)
    ]
    schema = {
        "topic": pl.String,
        "partition": pl.Int32,
        "offset": pl.Int64,
        "error": pl.String,
        "value": pl.Binary,
    }
    return pl.DataFrame(rows, schema=schema, orient="row").unique(maintain_order=True)


def is_replay_marker(message: LogMessage) -> bool:
    """Return whether a message only records that a rejected message was replayed."""
    return any(name == REPLAYED_HEADER for name, _ in message.headers)


def source_position(
    message: LogMessage,
) -> tuple[str | None, int | None, int | None, str | None, bytes | None]:
    """Return topic, partition, offset, error and value; None for a missing or invalid header."""
    headers = {name: (value or b"").decode("utf-8", "replace") for name, value in message.headers}
    partition, offset = headers.get("partition", ""), headers.get("offset", "")
    return (
        headers.get("topic"),
        int(partition) if partition.isdecimal() else None,
        int(offset) if offset.isdecimal() else None,
        headers.get("error"),
        message.value,
    )


def _number_text(name: str) -> pl.Expr:
    # Inside a JSON string the quotes are escaped, so an id can't be taken for a field.
    return pl.col("text").str.extract(rf'"{name}"\s*:\s*([^\s,}}]+)')
