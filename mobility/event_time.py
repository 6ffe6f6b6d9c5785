"""Event time of one partition: punctuations, the future, watermark, late trips and duplicates.

What a message becomes depends on what comes before it in its own partition alone: the answer is a
function of the log, and not of how fast or in which batches it is read.

A punctuation is a message without a value whose header `watermark` announces an event time: no
older trips follow in its partition (Tucker et al., "Exploiting Punctuation Semantics in Continuous
Data Streams", 2003). An event time too far ahead of the timestamp of its message is rejected: one
wrong clock must not close every window.
"""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import polars as pl
import polars_hash as plh

from mobility.dedupe import DedupeState
from mobility.settings import Settings
from mobility.topics import WATERMARK_HEADER
from mobility.trips import REJECTED_SCHEMA, Decoded
from mobility.validation import IN_FUTURE, TOMBSTONE

_BUCKETS: Final = 4
"""Trips are remembered, for deduplication, in about so many buckets by event time; none is shorter
than a window. They are few because a batch may touch all of them."""


@dataclass(frozen=True, slots=True)
class LatenessRules:
    """The settings that decide on lateness, in milliseconds."""

    window: int
    out_of_orderness: int
    allowed_lateness: int

    @classmethod
    def of(cls, settings: Settings) -> "LatenessRules":
        """Return the rules of these settings."""
        return cls(
            window=settings.window_ms,
            out_of_orderness=settings.out_of_orderness * 1_000,
            allowed_lateness=settings.allowed_lateness * 1_000,
        )

    @property
    def horizon(self) -> int:
        """How far a window's start lies behind the latest event time when its trips are late."""
        return self.window + self.allowed_lateness + self.out_of_orderness

    def completes(self, event_time: int) -> int:
        """Return the lowest event time (epoch ms) that completes the window of another one.

        A partition that has reached it has no more trips of that window which are not late.
        """
        return event_time // self.window * self.window + self.horizon + 1

    @property
    def bucket(self) -> int:
        """The length of a bucket of remembered trips: one window, or several short ones."""
        return self.window * max(1, self.horizon // (_BUCKETS * self.window))

    def bucket_of(self, window_start: str) -> pl.Expr:
        """Return the start of the bucket of each window."""
        return pl.col(window_start) // self.bucket * self.bucket

    def first_bucket(self, latest: int) -> int:
        """Return the start of the first bucket in which a window is not late yet."""
        first_start = latest - self.horizon
        return -(-(first_start - self.bucket + self.window) // self.bucket) * self.bucket


@dataclass(frozen=True, slots=True)
class EventTimeState:
    """The event time that a partition has reached, and its dedupe state.

    `latest` is the prefix maximum of event time (epoch ms, None before the first). `dedupe_state`
    holds the trips that a repeat is recognised by, until their bucket is late.
    """

    latest: int | None = None
    dedupe_state: DedupeState = field(default_factory=DedupeState)

    def watermark(self, rules: LatenessRules) -> int | None:
        """Return the event time up to which the partition counts as complete, in epoch ms."""
        return None if self.latest is None else self.latest - rules.out_of_orderness


@dataclass(frozen=True, slots=True)
class Classified:
    """The trips of a batch by what becomes of them, and the state of the partition after it.

    `counted` has `window_start` in addition; `late` and `duplicates` are rows of the batch.
    """

    counted: pl.DataFrame
    late: pl.DataFrame
    duplicates: int
    state: EventTimeState


def classify(
    trips: pl.DataFrame,
    punctuations: pl.DataFrame,
    state: EventTimeState,
    rules: LatenessRules,
) -> Classified:
    """Split a batch into late trips, duplicates and trips that count.

    `trips` has `row`, `trip_id`, `event_time` and any other columns, in the order of the log;
    `punctuations` has `row` and `event_time`. It costs what the batch holds, however many trips are
    remembered.
    """
    latest = _latest_before_and_at(trips, punctuations, state.latest)
    start = (pl.col("event_time") // rules.window * rules.window).alias("window_start")
    placed = trips.with_columns(start, latest)
    is_late = placed.select(pl.col("window_start") + rules.horizon < pl.col("latest")).to_series()
    on_time = placed.drop("latest")
    late = on_time.clear()
    if is_late.any():
        late, on_time = on_time.filter(is_late), on_time.filter(~is_late)
    now = _maximum(state.latest, trips["event_time"].max(), punctuations["event_time"].max())
    counted, dedupe_state = on_time, state.dedupe_state
    if now is not None:
        counted, dedupe_state = _without_duplicates(on_time, dedupe_state, rules, now)
    duplicates = on_time.height - counted.height
    return Classified(counted, late, duplicates, EventTimeState(now, dedupe_state))


def _latest_before_and_at(
    trips: pl.DataFrame, punctuations: pl.DataFrame, before: int | None
) -> pl.Series:
    """Return the prefix maximum of event time at each trip."""
    if punctuations.is_empty():
        latest = trips["event_time"].cum_max()
    else:
        times = pl.concat([trips.select("row", "event_time"), punctuations]).sort("row")
        maxima = times.select("row", latest=pl.col("event_time").cum_max())
        latest = trips.select("row").join(maxima, on="row", how="left", maintain_order="left")[
            "latest"
        ]
    if before is not None:
        latest = latest.clip(lower_bound=before)
    return latest.alias("latest")


def _without_duplicates(
    trips: pl.DataFrame, state: DedupeState, rules: LatenessRules, latest: int
) -> tuple[pl.DataFrame, DedupeState]:
    """Return the trips that are no repeats, and the dedupe state at the latest event time."""
    keys = trips.select(rules.bucket_of("window_start").alias("bucket"), key=_dedupe_key())
    named = keys.drop_nulls("key")
    added = state.add(named, rules.first_bucket(latest))
    if added.distinct < named.height or added.known.len():
        key = pl.col("key")
        is_new = key.is_first_distinct() & ~key.is_in(added.known.implode())
        trips = trips.filter(keys.select(key.is_null() | is_new).to_series())
    return trips, added.state


def _dedupe_key() -> pl.Expr:
    """Return 64 bits for (trip_id, window), null without a trip_id.

    Two trips of one partition share them by chance about once in 10^10 partitions of 30,000
    remembered trips. Without the window, answers would depend on where batches end.
    """
    # Polars has no wrapping cast of negative numbers; the bits are what counts.
    window = pl.col("window_start").reinterpret(signed=False)
    return plh.col("trip_id").nchash.wyhash() ^ window


def _maximum(*times: object) -> int | None:
    known = [time for time in times if isinstance(time, int)]
    return max(known) if known else None


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
    timestamps: Callable[[], Sequence[int]],
    tolerance: int,
) -> TimedBatch:
    """Find the punctuations of a batch, and reject what lies more than `tolerance` ms ahead.

    `headers` returns what the message of a row has, and is called only for the rows that need it.
    `timestamps` returns those of all messages of the batch, in epoch ms.
    """
    punctuations, rejected = _split_punctuations(decoded.rejected, headers)
    punctuations, future_punctuations = _split_future(punctuations, timestamps, tolerance)
    trips, future_trips = _split_future(decoded.trips, timestamps, tolerance)
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
    timed: pl.DataFrame, timestamps: Callable[[], Sequence[int]], tolerance: int
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Return the rows that are not in the future, and rejections of those that are."""
    greatest = timed["event_time"].max()
    if not isinstance(greatest, int):
        return timed, pl.DataFrame(schema=REJECTED_SCHEMA)
    # They need not ascend: producers may have set them, and a new leader's clock may be behind.
    of_messages = timestamps()
    if greatest <= min(of_messages) + tolerance:
        return timed, pl.DataFrame(schema=REJECTED_SCHEMA)
    future = _reject_future(timed, [of_messages[row] for row in timed["row"]], tolerance)
    if future.is_empty():
        return timed, future
    return timed.join(future, on="row", how="anti", maintain_order="left"), future


def _reject_future(timed: pl.DataFrame, stamped: Sequence[int], tolerance: int) -> pl.DataFrame:
    """Return rejections (REJECTED_SCHEMA) of rows too far ahead of their messages' timestamps.

    `timed` has `row` and `event_time`, `stamped` the timestamp of each row; all in epoch ms,
    as is the `tolerance`.
    """
    ahead = pl.col("event_time") - pl.Series("stamped", stamped, dtype=pl.Int64)
    future = timed.select("row", ahead=ahead).filter(pl.col("ahead") > tolerance)
    seconds = (pl.col("ahead") // 1_000).cast(pl.String)
    # `pl.format` panics where a filter has left an empty chunk (Polars, issue 25525).
    detail = pl.concat_str(
        pl.lit("event time is "), seconds, pl.lit(" s after the timestamp of the message")
    )
    return future.select("row", error=pl.lit(IN_FUTURE), detail=detail)
