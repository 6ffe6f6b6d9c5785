"""The batch oracle: what the answer is, computed over the whole log at once.

The rules of the streaming flow written down a second time, without streams: a prefix maximum, a
comparison, a first occurrence, three joins and one `group_by`.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

import polars as pl
import polars_h3

from audit.times import event_time
from audit.verdicts import AMOUNTS, BY_REFERENCE, MESSAGE_SCHEMA, Message, inspected
from mobility.entities import ENTITIES
from mobility.records import MICRO, TOTALS
from mobility.settings import Settings

SUMMED: Final = dict(zip(TOTALS, AMOUNTS, strict=True))
"""The field of a trip behind each total."""


@dataclass(frozen=True, slots=True)
class Log:
    """A log as it was read.

    `rows`: one row a message in (partition, offset) order, with `timestamp` (the broker's, epoch
    ms), `reason` (of a dead letter), `watermark` (of a punctuation) and the fields of TRIP_SCHEMA.
    `dead`: by `partition` and `offset` the `value` that a dead letter must have, which is the
    original one, or none where the message is oversized.
    """

    rows: pl.DataFrame
    dead: pl.DataFrame


@dataclass(frozen=True, slots=True)
class Answer:
    """What the system must say about a log.

    `messages`: the log's rows with `event_time` (epoch ms), `window_start` and `verdict`, which is
    counted, late, duplicate, dead or punctuation. `windows`: one row an (entity, id,
    window_start) with `window_end`, the starts of the earliest and the latest trip (`start_time`,
    `last_start_time`; epoch ms), `trip_count`, micro-unit totals and `avg_duration` (minutes).
    `totals`: the same an (entity, id).
    """

    messages: pl.DataFrame
    windows: pl.DataFrame
    totals: pl.DataFrame

    def count(self, *verdicts: str) -> int:
        """Return the number of messages with one of these verdicts."""
        return self.messages.filter(pl.col("verdict").is_in(verdicts)).height


def read_log(batches: Iterable[list[Message]], settings: Settings) -> Log:
    """Inspect every message by itself."""
    frames = [pl.DataFrame(schema=[*MESSAGE_SCHEMA.items(), ("reason", pl.String)])]
    dead: list[tuple[int, int, bytes | None]] = []
    for batch in batches:
        frame = inspected(batch, settings)
        frames.append(frame)
        dead += [
            (message.partition, message.offset, _kept(message, reason))
            for message, reason in zip(batch, frame["reason"], strict=True)
            if reason is not None
        ]
    schema = {"partition": pl.Int32, "offset": pl.Int64, "value": pl.Binary}
    rows = pl.concat(frames).drop("shape", "text", "time").sort("partition", "offset")
    return Log(rows, pl.DataFrame(dead, schema=schema, orient="row"))


def _kept(message: Message, reason: str) -> bytes | None:
    return None if reason == BY_REFERENCE else message.value


def answer(log: Log, settings: Settings) -> Answer:
    """Return the whole answer for a log."""
    messages = judged(log.rows, settings)
    windows = summed(messages.filter(pl.col("verdict") == "counted"), settings)
    totals = windows.group_by("entity", "id").agg(
        pl.col("trip_count", *TOTALS).sum(),
        pl.col("start_time").min(),
        pl.col("last_start_time").max(),
    )
    return Answer(messages, with_mean(windows), with_mean(totals))


def summed(trips: pl.DataFrame, settings: Settings) -> pl.DataFrame:
    """Return the windows of trips that count, of all entities, without `avg_duration`."""
    trips = enriched(trips, settings)
    windows = pl.concat(
        _summed(
            trips.select(
                pl.lit(entity.name).alias("entity"),
                pl.col(entity.id_column).alias("id"),
                *("window_start", "start_time", *AMOUNTS),
            ).drop_nulls("id"),
            ["entity", "id", "window_start"],
        )
        for entity in ENTITIES
    )
    return windows.with_columns(window_end=pl.col("window_start") + settings.window_ms)


def placed(rows: pl.DataFrame, settings: Settings) -> pl.DataFrame:
    """Add `event_time` and `window_start` to a log's rows; null for dead letters."""
    alive = pl.col("reason").is_null()
    window_start = pl.col("event_time").floordiv(settings.window_ms) * settings.window_ms
    return rows.with_columns(
        event_time=pl.when(alive).then(pl.coalesce("watermark", event_time(settings)))
    ).with_columns(window_start=window_start)


def judged(rows: pl.DataFrame, settings: Settings) -> pl.DataFrame:
    """Add `event_time`, `window_start` and `verdict` to a log's rows."""
    alive = pl.col("reason").is_null()
    rows = placed(rows, settings).with_columns(
        heard=pl.col("event_time").cum_max().forward_fill().over("partition"),
    )
    closes = pl.col("window_start") + settings.window_ms + settings.allowed_lateness * 1_000
    late = closes < pl.col("heard") - settings.out_of_orderness * 1_000
    rows = rows.with_columns(
        verdict=pl.when(~alive)
        .then(pl.lit("dead"))
        .when(pl.col("watermark").is_not_null())
        .then(pl.lit("punctuation"))
        .when(late)
        .then(pl.lit("late"))
        .otherwise(pl.lit("counted"))
    )
    again = (
        rows.filter(pl.col("verdict") == "counted", pl.col("trip_id").is_not_null())
        .filter(~pl.struct("partition", "trip_id", "window_start").is_first_distinct())
        .select("partition", "offset", again=pl.lit("duplicate"))
    )
    return (
        rows.join(again, on=["partition", "offset"], how="left", maintain_order="left")
        .with_columns(verdict=pl.coalesce("again", "verdict"))
        .drop("again", "heard")
    )


def enriched(trips: pl.DataFrame, settings: Settings) -> pl.DataFrame:
    """Add what the tables know: `vehicle_type` for every trip, `h3_region` where there is one."""
    drivers = _table(settings.drivers, "driver_id", pl.Schema({"vehicle_type": pl.String}))
    trips = trips.join(
        drivers, on="driver_id", how="left", suffix="_of_driver", maintain_order="left"
    ).with_columns(
        vehicle_type=pl.coalesce("vehicle_type", "vehicle_type_of_driver", pl.lit("unknown"))
    )
    if settings.region == "location":
        return trips.with_columns(h3_region=pl.col("start_location_id"))
    locations = _table(
        settings.locations, "location_id", pl.Schema({"lat": pl.Float64, "lng": pl.Float64})
    )
    trips = trips.join(
        locations,
        left_on="start_location_id",
        right_on="location_id",
        how="left",
        maintain_order="left",
    )
    own = pl.col("start_lat").is_not_null() & pl.col("start_lng").is_not_null()
    trips = trips.with_columns(
        lat=pl.when(own).then("start_lat").otherwise("lat"),
        lng=pl.when(own).then("start_lng").otherwise("lng"),
    )
    cell = polars_h3.latlng_to_cell("lat", "lng", settings.h3_resolution, return_dtype=pl.Utf8)
    return trips.with_columns(h3_region=pl.coalesce(cell, "start_location_id"))


def with_mean(frame: pl.DataFrame) -> pl.DataFrame:
    """Add `avg_duration` in minutes: a mean is derived, never summed."""
    pairs = zip(frame["total_duration"], frame["trip_count"], strict=True)
    means = [total / (count * MICRO) for total, count in pairs]
    return frame.with_columns(pl.Series("avg_duration", means, dtype=pl.Float64))


def _summed(trips: pl.DataFrame, keys: list[str]) -> pl.DataFrame:
    def total(column: str) -> pl.Expr:
        return (pl.col(column) * MICRO).round(mode="half_to_even").cast(pl.Int64).sum()

    return trips.group_by(keys).agg(
        pl.len().cast(pl.Int64).alias("trip_count"),
        *(total(column).alias(name) for name, column in SUMMED.items()),
        pl.col("start_time").min(),
        pl.col("start_time").max().alias("last_start_time"),
    )


def _table(path: str | None, key: str, columns: pl.Schema) -> pl.DataFrame:
    """Read a table for enrichment: text keys, the first row of each; empty without a file."""
    if path is None:
        return pl.DataFrame(schema={key: pl.String, **columns})
    wanted = [pl.col(name).cast(dtype) for name, dtype in columns.items()]
    table = pl.read_parquet(path, columns=[key, *columns])
    return table.select(pl.col(key).cast(pl.String), *wanted).unique(key, keep="first")
