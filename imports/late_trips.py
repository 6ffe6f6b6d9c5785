"""The late trips of an import by their windows, and the ranges in which these are recounted."""

from collections.abc import Iterator, Mapping
from typing import Final

import polars as pl

from backfill.callbacks import OnMessagesRead
from backfill.decoding import open_decoder
from backfill.log_batch import POSITION_SCHEMA, LogBatch, late_batch
from backfill.trip_log import with_progress
from backfill.window_range import WindowRange
from broker.topic_reader import read_topic
from mobility.settings import Settings
from mobility.topics import dead_topic, late_topic, trips_topic

LATE_WINDOW_SCHEMA: Final = pl.Schema({"window_start": pl.Int64, "trips": pl.Int64})
"""Windows (epoch ms) with the numbers of their late trips."""

MAX_RANGES: Final = 8
"""Into how many ranges late windows are split by gaps: for each, the whole log is read."""

MAX_TRIPS: Final = 2_000_000
"""Late trips in a range, unless one window has more: the windows of a range are in memory."""

_GAP_MS: Final = 86_400_000
_LATE_TRIP_SCHEMA: Final = pl.Schema({**POSITION_SCHEMA, "window_start": pl.Int64()})


def read_late_windows(
    settings: Settings, since: Mapping[int, int], on_progress: OnMessagesRead
) -> pl.DataFrame:
    """Return the windows (LATE_WINDOW_SCHEMA) of the late trips at these offsets or higher ones.

    Raises BrokerError, or BackfillError where the recovery folder does not say its rules.
    """
    topic, decoder = trips_topic(settings), open_decoder(settings)
    frames = [pl.DataFrame(schema=_LATE_TRIP_SCHEMA)]
    for batch in with_progress(read_topic(settings, late_topic(settings)), on_progress):
        late = since_offsets(late_batch(batch, topic), since)
        frames += [each.trips.select(_LATE_TRIP_SCHEMA.names()) for each in decoder.decode(late)]
    # After a crash of the flow some are there twice.
    return count_by_window(pl.concat(frames).unique(POSITION_SCHEMA.names()))


def since_offsets(batch: LogBatch, since: Mapping[int, int]) -> LogBatch:
    """Return the messages of a batch at these offsets of the log, or at higher ones."""
    first = pl.col("partition").replace_strict(since, default=0, return_dtype=pl.Int64)
    is_kept = batch.positions.select(pl.col("offset") >= first).to_series()
    return batch.at(is_kept.arg_true())


def count_dead_letters(settings: Settings, since: Mapping[int, int]) -> int:
    """Return how many messages at these offsets or higher ones are dead letters, each once.

    Raises BrokerError.
    """
    topic = trips_topic(settings)
    frames = (
        since_offsets(late_batch(batch, topic), since).positions
        for batch in read_topic(settings, dead_topic(settings))
    )
    return pl.concat([pl.DataFrame(schema=POSITION_SCHEMA), *frames]).n_unique()


def count_by_window(trips: pl.DataFrame) -> pl.DataFrame:
    """Return the windows (LATE_WINDOW_SCHEMA) of trips with a `window_start`, in their order."""
    counts = trips.group_by("window_start").agg(pl.len().cast(pl.Int64).alias("trips"))
    return counts.sort("window_start")


def split_ranges(late: pl.DataFrame, window_ms: int) -> Iterator[WindowRange]:
    """Yield the ranges that have all late windows (LATE_WINDOW_SCHEMA, in their order).

    They are split at the longest gaps of more than a day, and where their trips are too many.
    """
    start = pl.col("window_start")
    gap = start.diff().fill_null(0)
    is_long = (gap > _GAP_MS) & (gap.rank("ordinal", descending=True) < MAX_RANGES)
    ranges = late.group_by(
        is_long.cum_sum().alias("piece"),
        ((pl.col("trips").cum_sum() - 1) // MAX_TRIPS).alias("part"),
        maintain_order=True,
    ).agg(start.first().alias("first"), start.last().alias("last"))
    for first, last in ranges.select("first", "last").iter_rows():
        yield WindowRange(first, last + window_ms)
