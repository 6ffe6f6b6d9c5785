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

    `timestamps` returns those of the broker, in epoch ms, `headers` those of the message of a row:
    few messages need them.
    """

    positions: pl.DataFrame
    values: Sequence[bytes | None]
    timestamps: Callable[[], Sequence[int]]
    headers: Callable[[int], Headers | None]

    def at(self, rows: pl.Series) -> "LogBatch":
        """Return the messages of some rows."""
        if rows.len() == self.positions.height:
            return self
        numbers = rows.to_list()

        def timestamps() -> list[int]:
            found = self.timestamps()
            return [found[row] for row in numbers]

        return LogBatch(
            self.positions[rows],
            [self.values[row] for row in numbers],
            timestamps,
            lambda row: self.headers(numbers[row]),
        )


def logged_batch(messages: Sequence[Message]) -> LogBatch:
    """Return messages of `trips_stream`."""
    return LogBatch(
        _positions(
            [message.partition() for message in messages],
            [message.offset() for message in messages],
        ),
        [message.value() for message in messages],
        lambda: [message.timestamp()[1] for message in messages],
        lambda row: messages[row].headers(),
    )


def late_batch(messages: Sequence[Message], topic: str) -> LogBatch:
    """Return messages of `trips_late` at their source positions.

    Those whose headers name none in `topic`, which is `trips_stream`, are left out.
    """
    sources = [_source_position(message.headers(), topic.encode()) for message in messages]
    pairs = [(each, at) for each, at in zip(messages, sources, strict=True) if at is not None]
    return LogBatch(
        _positions([partition for _, (partition, _) in pairs], [at for _, (_, at) in pairs]),
        [message.value() for message, _ in pairs],
        # The flow has compared their times with the timestamps: with this one they pass again.
        lambda: [MAX_EVENT_TIME] * len(pairs),
        lambda _row: None,
    )


def _positions(partitions: Sequence[int | None], offsets: Sequence[int | None]) -> pl.DataFrame:
    return pl.DataFrame({"partition": partitions, "offset": offsets}, schema=POSITION_SCHEMA)


def _source_position(headers: Headers | None, topic: bytes) -> tuple[int, int] | None:
    named = dict(headers or ())
    if named.get("topic") != topic:
        return None
    partition, offset = _number(named.get("partition")), _number(named.get("offset"))
    return None if partition is None or offset is None else (partition, offset)


def _number(text: str | bytes | None) -> int | None:
    is_number = isinstance(text, bytes) and text.isdigit() and len(text) <= _MAX_DIGITS
    return int(text) if is_number else None  # type: ignore[arg-type] # it is bytes
