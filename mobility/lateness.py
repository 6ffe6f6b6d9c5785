"""Event time of one partition: watermark, late trips and duplicates, in the order of its log.

Only here is it decided that a trip is late, from what stands before it in its own partition:
the answer is a function of the log and not of how fast or in which batches it is read.
"""

from dataclasses import dataclass
from typing import Final

import polars as pl
import polars_hash as plh

from mobility.settings import Settings

SEEN_SCHEMA: Final = pl.Schema({"window_start": pl.Int64, "key": pl.UInt64})


@dataclass(frozen=True, slots=True)
class LatenessRules:
    """What of the settings decides on lateness, in milliseconds."""

    window: int
    out_of_orderness: int
    allowed_lateness: int

    @classmethod
    def of(cls, settings: Settings) -> "LatenessRules":
        """Return the rules that these settings make."""
        return cls(
            window=settings.window_ms,
            out_of_orderness=settings.out_of_orderness * 1_000,
            allowed_lateness=settings.allowed_lateness * 1_000,
        )


@dataclass(frozen=True, slots=True)
class PartitionProgress:
    """How far a partition's event time has got.

    `latest` is the prefix maximum of event time (epoch ms, None before the first); `seen` holds
    the trips that a repeat is recognised by (SEEN_SCHEMA), until their window is late.
    """

    latest: int | None
    seen: pl.DataFrame

    @classmethod
    def start(cls) -> "PartitionProgress":
        """Return the progress of a partition of which nothing was read."""
        return cls(None, pl.DataFrame(schema=SEEN_SCHEMA))

    def watermark(self, rules: LatenessRules) -> int | None:
        """Return the event time up to which the partition is thought complete, in epoch ms."""
        return None if self.latest is None else self.latest - rules.out_of_orderness


@dataclass(frozen=True, slots=True)
class Judged:
    """The trips of a batch, told apart, and the progress after it.

    `counted` has `window_start` in addition; `late` and `duplicates` are rows of the batch.
    """

    counted: pl.DataFrame
    late: pl.DataFrame
    duplicates: int
    progress: PartitionProgress


def judge(
    trips: pl.DataFrame,
    punctuations: pl.DataFrame,
    progress: PartitionProgress,
    rules: LatenessRules,
) -> Judged:
    """Tell late and repeated trips from those that count.

    `trips` has `row`, `trip_id` and `event_time` besides what else there is, in the order of the
    log; `punctuations` has `row` and `event_time`.
    """
    latest = _latest_before_and_at(trips, punctuations, progress.latest)
    start = (pl.col("event_time") // rules.window * rules.window).alias("window_start")
    placed = trips.with_columns(start, latest)
    horizon = rules.window + rules.allowed_lateness + rules.out_of_orderness
    is_late = placed.select(pl.col("window_start") + horizon < pl.col("latest")).to_series()
    on_time = placed.drop("latest")
    late = on_time.clear()
    if is_late.any():
        late, on_time = on_time.filter(is_late), on_time.filter(~is_late)
    counted, seen = _without_duplicates(on_time, progress.seen)
    now = _maximum(progress.latest, trips["event_time"].max(), punctuations["event_time"].max())
    if now is not None:
        seen = seen.filter(pl.col("window_start") + horizon >= now)
    return Judged(counted, late, on_time.height - counted.height, PartitionProgress(now, seen))


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
    trips: pl.DataFrame, seen: pl.DataFrame
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Return the trips that were not seen before, and what has been seen after them."""
    keys = trips.select("window_start", key=_dedupe_key())
    known = keys["key"].is_first_distinct()
    if seen.height:
        known &= ~keys["key"].is_in(seen["key"].implode())
    fresh = known | keys["key"].is_null()
    if not fresh.all():
        trips, keys = trips.filter(fresh), keys.filter(fresh)
    return trips, pl.concat([seen, keys.drop_nulls("key")], rechunk=True)


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
