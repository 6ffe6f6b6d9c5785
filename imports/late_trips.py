"""The late trips of an import by their windows, and the ranges in which these are recounted."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final

import polars as pl

from audit.log_messages import read_log_messages
from audit.oracle import assign_windows, validate_log
from audit.rules_in_force import RulesInForce, read_rules_in_force
from audit.validation import LogMessage
from backfill.callbacks import OnMessagesRead
from backfill.trip_log import to_source
from backfill.window_range import WindowRange
from mobility.settings import Settings
from mobility.topics import dead_topic, late_topic, trips_topic
from mobility.trips import decode_trips
from mobility.validation import TripRules

LATE_WINDOW_SCHEMA: Final = pl.Schema({"window_start": pl.Int64, "trips": pl.Int64})
"""Windows (epoch ms) with the numbers of their late trips."""

MAX_RANGES: Final = 8
"""Into how many ranges late windows are split by gaps: for each, the whole log is read."""

MAX_TRIPS: Final = 2_000_000
"""Late trips in a range, unless one window has more: those of a range are in memory."""

_GAP_MS: Final = 86_400_000
_LATE_TRIP_SCHEMA: Final = pl.Schema(
    {"partition": pl.Int32, "offset": pl.Int64, "window_start": pl.Int64}
)


def read_late_windows(
    settings: Settings, since: Mapping[int, int], on_progress: OnMessagesRead
) -> pl.DataFrame:
    """Return the windows (LATE_WINDOW_SCHEMA) of the late trips at these offsets or higher ones.

    Raises BrokerError, or JournalError where the recovery folder does not say its rules.
    """
    topic, rules = trips_topic(settings), read_rules_in_force(settings)
    number = 0
    frames = [pl.DataFrame(schema=_LATE_TRIP_SCHEMA)]
    for batch in read_log_messages(settings, late_topic(settings)):
        frames.append(find_windows(_sources(batch, topic, since), settings, rules))
        number += len(batch)
        on_progress(number)
    # After a crash of the flow some are there twice.
    trips = pl.concat(frames).unique(["partition", "offset"])
    return count_by_window(trips)


def find_windows(
    late: Sequence[LogMessage], settings: Settings, rules: RulesInForce | None
) -> pl.DataFrame:
    """Return the positions of late trips and their windows.

    Only where they are is asked, so they are decoded by columns, as in the flow; what a recount
    counts in these windows, it validates one by one. So are those here that the decoder of now
    rejects: other rules were in force when the flow read them.
    """
    decoded = decode_trips([each.value for each in late], TripRules.of(settings))
    rows = decoded.trips["row"].to_list()
    window = settings.window_ms
    known = pl.DataFrame(
        {
            "partition": [late[row].partition for row in rows],
            "offset": [late[row].offset for row in rows],
            "window_start": decoded.trips["event_time"] // window * window,
        },
        schema=_LATE_TRIP_SCHEMA,
    )
    others = [late[row] for row in decoded.rejected["row"]]
    validated = assign_windows(validate_log([others], settings, rules).rows, settings)
    return pl.concat([known, validated.select(_LATE_TRIP_SCHEMA.names()).drop_nulls()])


def count_dead_letters(settings: Settings, since: Mapping[int, int]) -> int:
    """Return how many messages at these offsets or higher ones are dead letters, each once.

    Raises BrokerError.
    """
    topic = trips_topic(settings)
    found: set[tuple[int, int]] = set()
    for batch in read_log_messages(settings, dead_topic(settings)):
        found |= {(each.partition, each.offset) for each in _sources(batch, topic, since)}
    return len(found)


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


def _sources(batch: Iterable[LogMessage], topic: str, since: Mapping[int, int]) -> list[LogMessage]:
    """Return messages at their source positions, but for those below the offsets."""
    sources = (to_source(message, topic) for message in batch)
    return [each for each in sources if each and each.offset >= since.get(each.partition, 0)]
