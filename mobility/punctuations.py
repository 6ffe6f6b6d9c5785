"""Punctuations, and the rule against event times from the future.

A punctuation is a message without a value whose header `watermark` announces an event time: no
older trips follow in its partition (Tucker et al., "Exploiting Punctuation Semantics in Continuous
Data Streams", 2003). An event time too far ahead of the time at which the broker appended the
message is rejected: one wrong clock must not close every window.
"""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import polars as pl

from mobility.topics import WATERMARK_HEADER
from mobility.trips import REJECTED_SCHEMA, Decoded
from mobility.validation import IN_FUTURE, TOMBSTONE

PUNCTUATION_SCHEMA: Final = pl.Schema({"row": pl.Int64, "event_time": pl.Int64})
"""Punctuations of a batch: the row of the message, and its event time in epoch ms."""

Headers = Mapping[str, str | bytes | None] | Iterable[tuple[str, str | bytes | None]]

_EPOCH_MS: Final = re.compile(rb"-?[0-9]{1,15}")


@dataclass(frozen=True, slots=True)
class TimedBatch:
    """A decoded batch after the rules on event time, each frame in the order of the rows.

    `trips` has TRIP_SCHEMA, `punctuations` PUNCTUATION_SCHEMA, `rejected` REJECTED_SCHEMA.
    """

    trips: pl.DataFrame
    punctuations: pl.DataFrame
    rejected: pl.DataFrame


def apply_time_rules(
    decoded: Decoded,
    headers: Callable[[int], Headers | None],
    append_time: Callable[[int], int],
    tolerance: int,
) -> TimedBatch:
    """Find the punctuations of a batch, and reject what lies more than `tolerance` ms ahead.

    `headers` and `append_time` (epoch ms) return what the message of a row has; they are called
    only for the rows that need it. The messages are of one partition and in its order.
    """
    punctuations, rejected = _split_punctuations(decoded.rejected, headers)
    punctuations, future_punctuations = _split_future(punctuations, append_time, tolerance)
    trips, future_trips = _split_future(decoded.trips, append_time, tolerance)
    if future_punctuations.height or future_trips.height:
        rejected = pl.concat([rejected, future_punctuations, future_trips]).sort("row")
    return TimedBatch(trips, punctuations, rejected)


def event_time_of(headers: Headers | None) -> int | None:
    """Return the event time (epoch ms) that a punctuation's headers announce, None without one."""
    text = dict(headers or ()).get(WATERMARK_HEADER)
    if not isinstance(text, bytes) or not _EPOCH_MS.fullmatch(text):
        return None
    return int(text)


def _split_punctuations(
    rejected: pl.DataFrame, headers: Callable[[int], Headers | None]
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Return the punctuations among the rejected messages of a batch, and the other rejected."""
    tombstones = rejected.filter(pl.col("error") == TOMBSTONE)["row"]
    times = {row: time for row in tombstones if (time := event_time_of(headers(row))) is not None}
    if not times:
        return pl.DataFrame(schema=PUNCTUATION_SCHEMA), rejected
    punctuations = pl.DataFrame(list(times.items()), schema=PUNCTUATION_SCHEMA, orient="row")
    return punctuations, rejected.filter(~pl.col("row").is_in(list(times)))


def _split_future(
    timed: pl.DataFrame, append_time: Callable[[int], int], tolerance: int
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Return the rows that are not in the future, and rejections of those that are."""
    greatest = timed["event_time"].max()
    # The broker stamps a partition in order, so the first timestamp mostly clears the batch.
    if not isinstance(greatest, int) or greatest <= append_time(0):
        return timed, pl.DataFrame(schema=REJECTED_SCHEMA)
    future = _reject_future(timed, [append_time(row) for row in timed["row"]], tolerance)
    if future.is_empty():
        return timed, future
    return timed.join(future, on="row", how="anti", maintain_order="left"), future


def _reject_future(timed: pl.DataFrame, appended: Sequence[int], tolerance: int) -> pl.DataFrame:
    """Return rejections (REJECTED_SCHEMA) of rows too far ahead of their log-append times.

    `timed` has `row` and `event_time`, `appended` the log-append time of each row; all in epoch ms,
    as is the `tolerance`.
    """
    ahead = pl.col("event_time") - pl.Series("appended", appended, dtype=pl.Int64)
    future = timed.select("row", ahead=ahead).filter(pl.col("ahead") > tolerance)
    seconds = (pl.col("ahead") // 1_000).cast(pl.String)
    detail = pl.format("event time is {} s after the timestamp of the message", seconds)
    return future.select("row", error=pl.lit(IN_FUTURE), detail=detail)
