"""Messages of the log as columns, from `trips_stream` itself or from `trips_late`."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import polars as pl
from confluent_kafka import Message

from mobility.event_time import Headers
from mobility.records import MAX_EVENT_TIME

POSITION_SCHEMA: Final = pl.Schema({"partition": pl.Int32, "offset": pl.Int64})
"""A position in the log."""

_MAX_DIGITS: Final = 18


@dataclass(frozen=True, slots=True)
class LogBatch:
    """Messages with their positions in the log (POSITION_SCHEMA), in any order.

    `timestamps` are those of the broker, in epoch ms. `headers` returns those of the message of a
    row.
    """

    positions: pl.DataFrame
    values: Sequence[bytes | None]
    timestamps: Sequence[int]
    headers: Callable[[int], Headers | None]

    def at(self, rows: pl.Series) -> "LogBatch":
        """Return the messages of some rows."""
        if rows.len() == self.positions.height:
            return self
        numbers = rows.to_list()
        return LogBatch(
            self.positions[rows],
            [self.values[row] for row in numbers],
            [self.timestamps[row] for row in numbers],
            lambda row: self.headers(numbers[row]),
        )


def logged_batch(messages: Sequence[Message]) -> LogBatch:
    """Return messages of `trips_stream`."""
    return LogBatch(
        _positions([(message.partition(), message.offset()) for message in messages]),
        [message.value() for message in messages],
        [message.timestamp()[1] for message in messages],
        lambda row: messages[row].headers(),
    )


def late_batch(messages: Sequence[Message], topic: str) -> LogBatch:
    """Return messages of `trips_late` at their source positions.

    Those whose headers name none in `topic`, which is `trips_stream`, are left out.
    """
    sources = [_source_position(message.headers(), topic.encode()) for message in messages]
    pairs = [(each, at) for each, at in zip(messages, sources, strict=True) if at is not None]
    return LogBatch(
        _positions([at for _, at in pairs]),
        [message.value() for message, _ in pairs],
        # The flow has compared their times with the timestamps: with this one they pass again.
        [MAX_EVENT_TIME] * len(pairs),
        lambda _row: None,
    )


def _positions(found: Sequence[tuple[int | None, int | None]]) -> pl.DataFrame:
    return pl.DataFrame(found, schema=POSITION_SCHEMA, orient="row")


def _source_position(headers: Headers | None, topic: bytes) -> tuple[int, int] | None:
    named = dict(headers or ())
    if named.get("topic") != topic:
        return None
    partition, offset = _number(named.get("partition")), _number(named.get("offset"))
    return None if partition is None or offset is None else (partition, offset)


def _number(text: str | bytes | None) -> int | None:
    is_number = isinstance(text, bytes) and text.isdigit() and len(text) <= _MAX_DIGITS
    return int(text) if is_number else None  # type: ignore[arg-type] # it is bytes
