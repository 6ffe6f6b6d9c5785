"""The event times of a batch: of its trips and of its punctuations, and none from the future.

A punctuation is a message without a value that announces an event time in a header. It moves the
watermark of its partition as a trip does. An event time that lies too far ahead of the time at
which the broker appended the message is rejected: one wrong clock must not close every window.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Final

import polars as pl

from mobility.inspection import IN_FUTURE, TOMBSTONE
from mobility.topics import WATERMARK_HEADER
from mobility.trips import REJECTED_SCHEMA, Decoded

PUNCTUATION_SCHEMA: Final = pl.Schema({"row": pl.Int64, "event_time": pl.Int64})
"""Punctuations: their positions in the batch, and the event times (epoch ms) that they announce."""

Headers = Mapping[str, str | bytes | None] | Iterable[tuple[str, str | bytes | None]] | None
"""The headers of a message, as Kafka clients return them."""

_EPOCH_MS: Final = re.compile(rb"-?[0-9]{1,15}")


@dataclass(frozen=True, slots=True)
class TimedBatch:
    """A decoded batch of one partition after the rules on event time, each frame in row order.

    `trips` has TRIP_SCHEMA, `punctuations` PUNCTUATION_SCHEMA, `rejected` REJECTED_SCHEMA.
    """

    trips: pl.DataFrame
    punctuations: pl.DataFrame
    rejected: pl.DataFrame


def apply_time_rules(
    decoded: Decoded,
    headers: Callable[[int], Headers],
    append_time: Callable[[int], int],
    tolerance: int,
) -> TimedBatch:
    """Find the punctuations in a batch, and reject what lies more than `tolerance` ms ahead.

    `headers` and `append_time` (epoch ms) return what the message of a row has; they are called
    for the rows in doubt only. The messages must be of one partition and in its order.
    """
    punctuations, rejected = split_punctuations(decoded.rejected, headers)
    punctuations, ahead_punctuations = _split_future(punctuations, append_time, tolerance)
    trips, ahead_trips = _split_future(decoded.trips, append_time, tolerance)
    if ahead_punctuations.height or ahead_trips.height:
        rejected = pl.concat([rejected, ahead_punctuations, ahead_trips]).sort("row")
    return TimedBatch(trips, punctuations, rejected)


def split_punctuations(
    rejected: pl.DataFrame, headers: Callable[[int], Headers]
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Return the punctuations among the rejected messages of a batch, and the other rejected."""
    tombstones = rejected.filter(pl.col("error") == TOMBSTONE)["row"]
    times = {
        row: time for row in tombstones if (time := punctuation_time(headers(row))) is not None
    }
    if not times:
        return pl.DataFrame(schema=PUNCTUATION_SCHEMA), rejected
    punctuations = pl.DataFrame(list(times.items()), schema=PUNCTUATION_SCHEMA, orient="row")
    return punctuations, rejected.filter(~pl.col("row").is_in(list(times)))


def punctuation_time(headers: Headers) -> int | None:
    """Return the event time (epoch ms) that a punctuation's headers announce, else None.

    Of several headers of that name the last counts.
    """
    text = dict(headers or ()).get(WATERMARK_HEADER)
    if not isinstance(text, bytes) or not _EPOCH_MS.fullmatch(text):
        return None
    return int(text)


def _split_future(
    timed: pl.DataFrame, append_time: Callable[[int], int], tolerance: int
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Return the rows that are not too far ahead, and the others as REJECTED_SCHEMA."""
    greatest = timed["event_time"].max()
    # The broker stamps a partition in order, so the first stamp mostly clears the batch.
    if not isinstance(greatest, int) or greatest <= append_time(0):
        return timed, pl.DataFrame(schema=REJECTED_SCHEMA)
    appended = pl.Series([append_time(row) for row in timed["row"]], dtype=pl.Int64)
    stamped = timed.with_columns(ahead=pl.col("event_time") - appended)
    is_ahead = pl.col("ahead") > tolerance
    seconds = pl.col("ahead") // 1_000
    rejected = stamped.filter(is_ahead).select(
        "row",
        error=pl.lit(IN_FUTURE),
        detail=pl.format("event time is {} s after the log-append time", seconds),
    )
    return stamped.filter(~is_ahead).drop("ahead"), rejected
