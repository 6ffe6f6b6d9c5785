"""The batch oracle: the expected results, computed over the whole log at once.

The rules of the streaming flow, implemented a second time as a batch job: a prefix maximum, a
comparison, a first occurrence, three joins and one `group_by`.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import polars as pl
import polars_h3

from audit.measures import measures_of_parts, measures_of_trips
from audit.rules_in_force import RulesInForce, TableFiles
from audit.sketches import TEXTS, sketches_of_trips
from audit.times import event_time
from audit.validation import (
    AMOUNTS,
    MESSAGE_SCHEMA,
    OVERSIZED,
    VALIDATION_COLUMNS,
    LogMessage,
    validate_messages,
)
from mobility.entities import ENTITIES
from mobility.records import MICRO, RULES_VERSION, RulesVersion
from mobility.settings import Settings
from mobility.sketched_measures import Sketch, sketches_named

TABLES: Final = ("drivers", "locations")
"""The tables that decide on windows, by the settings that name them."""


@dataclass(frozen=True, slots=True)
class ValidatedLog:
    """The messages of a log, validated one by one.

    `rows`: one row per message in (partition, offset) order, with `timestamp` (the broker's, epoch
    ms), `reason` (of a dead letter), `watermark` (of a punctuation) and the fields of TRIP_SCHEMA.
    `dead_letters`: by `partition` and `offset` the `value` that a dead letter must have: the
    original one, or null if the message is oversized.
    """

    rows: pl.DataFrame
    dead_letters: pl.DataFrame


@dataclass(frozen=True, slots=True)
class OracleResult:
    """The results that the system must have for a log.

    `messages`: the log's rows with `event_time` (epoch ms), `window_start` and `outcome`, which is
    counted, late, duplicate, dead or punctuation. `windows`: one row per (entity, id,
    window_start) with `window_end`, the starts of the earliest and the latest trip (`start_time`,
    `last_start_time`; epoch ms), `trip_count`, micro-unit totals, `avg_duration` (minutes) and the
    bytes of the sketches that are on. `totals`: the same per (entity, id), without sketches.
    """

    messages: pl.DataFrame
    windows: pl.DataFrame
    totals: pl.DataFrame

    def count(self, *outcomes: str) -> int:
        """Return the number of messages with one of these outcomes."""
        return self.messages.filter(pl.col("outcome").is_in(outcomes)).height


def validate_log(
    batches: Iterable[list[LogMessage]], settings: Settings, rules: RulesInForce | None = None
) -> ValidatedLog:
    """Validate every message by itself, without its neighbours, by what is in force for it."""
    frames = [pl.DataFrame(schema=[*MESSAGE_SCHEMA.items(), ("reason", pl.String)])]
    dead_letters: list[tuple[int, int, bytes | None]] = []
    for version, messages in _split_by_version(batches, rules):
        frame = validate_messages(messages, settings, version)
        frames.append(frame)
        dead_letters += [
            (message.partition, message.offset, _dead_letter_value(message, reason))
            for message, reason in zip(messages, frame["reason"], strict=True)
            if reason is not None
        ]
    schema = {"partition": pl.Int32, "offset": pl.Int64, "value": pl.Binary}
    rows = pl.concat(frames).drop(*VALIDATION_COLUMNS).sort("partition", "offset")
    return ValidatedLog(rows, pl.DataFrame(dead_letters, schema=schema, orient="row"))


def _split_by_version(
    batches: Iterable[list[LogMessage]], rules: RulesInForce | None
) -> Iterator[tuple[RulesVersion, list[LogMessage]]]:
    for batch in batches:
        if rules is None:
            yield RULES_VERSION, batch
        else:
            yield from rules.split_messages(batch)


def _dead_letter_value(message: LogMessage, reason: str) -> bytes | None:
    return None if reason == OVERSIZED else message.value


def run_oracle(
    log: ValidatedLog, settings: Settings, rules: RulesInForce | None = None
) -> OracleResult:
    """Return the expected results for a whole log.

    Without `rules` all of it is judged by the tables that the settings name.
    """
    messages = classify(log.rows, settings)
    counted = messages.filter(pl.col("outcome") == "counted")
    windows = aggregate_windows(counted, settings, rules, sketches_named(settings.measures))
    totals = windows.group_by("entity", "id").agg(measures_of_parts())
    return OracleResult(messages, add_mean(windows), add_mean(totals))


def aggregate_windows(
    trips: pl.DataFrame,
    settings: Settings,
    rules: RulesInForce | None = None,
    sketches: Sequence[Sketch] = (),
) -> pl.DataFrame:
    """Return the windows of counted trips, of all entities, without `avg_duration`.

    They have a column for each of the sketches, which has its bytes.
    """
    return aggregate_enriched(enrich_by_rules(trips, settings, rules), settings, sketches)


def enrich_by_rules(
    trips: pl.DataFrame, settings: Settings, rules: RulesInForce | None
) -> pl.DataFrame:
    """Return trips as `enrich` does, each by the tables that are in force for it."""
    if rules is None or trips.is_empty():
        files = {name: Path(path) for name in TABLES if (path := getattr(settings, name))}
        return enrich(trips, settings, files)
    parts = rules.split_rows(trips)
    return pl.concat([enrich(rows, settings, line.tables) for line, rows in parts])


def aggregate_enriched(
    trips: pl.DataFrame, settings: Settings, sketches: Sequence[Sketch] = ()
) -> pl.DataFrame:
    """Return the windows of trips as `aggregate_windows` does; `enrich_by_rules` returns trips."""
    of_entities = [
        _aggregate(
            trips.select(
                pl.lit(entity.name).alias("entity"),
                pl.col(entity.id_column).alias("id"),
                *("window_start", "start_time", *AMOUNTS, *(TEXTS if sketches else ())),
            ).drop_nulls("id"),
            ["entity", "id", "window_start"],
            [each for each in sketches if entity.name in each.entities],
        )
        for entity in ENTITIES
    ]
    # A sketch that is not computed for an entity is null there.
    windows = pl.concat(of_entities, how="diagonal")
    return windows.with_columns(window_end=pl.col("window_start") + settings.window_ms)


def assign_windows(rows: pl.DataFrame, settings: Settings) -> pl.DataFrame:
    """Add `event_time` and `window_start` to a log's rows; both are null for dead letters."""
    is_valid = pl.col("reason").is_null()
    window_start = pl.col("event_time").floordiv(settings.window_ms) * settings.window_ms
    return rows.with_columns(
        event_time=pl.when(is_valid).then(pl.coalesce("watermark", event_time(settings)))
    ).with_columns(window_start=window_start)


def classify(rows: pl.DataFrame, settings: Settings) -> pl.DataFrame:
    """Add `event_time`, `window_start` and `outcome` to a log's rows."""
    is_valid = pl.col("reason").is_null()
    rows = assign_windows(rows, settings).with_columns(
        max_event_time=pl.col("event_time").cum_max().forward_fill().over("partition"),
    )
    watermark = pl.col("max_event_time") - settings.out_of_orderness * 1_000
    is_late = (
        pl.col("window_start") + settings.window_ms + settings.allowed_lateness * 1_000 < watermark
    )
    rows = rows.with_columns(
        outcome=pl.when(~is_valid)
        .then(pl.lit("dead"))
        .when(pl.col("watermark").is_not_null())
        .then(pl.lit("punctuation"))
        .when(is_late)
        .then(pl.lit("late"))
        .otherwise(pl.lit("counted"))
    )
    duplicates = (
        rows.filter(pl.col("outcome") == "counted", pl.col("trip_id").is_not_null())
        .filter(~pl.struct("partition", "trip_id", "window_start").is_first_distinct())
        .select("partition", "offset", duplicate=pl.lit("duplicate"))
    )
    return (
        rows.join(duplicates, on=["partition", "offset"], how="left", maintain_order="left")
        .with_columns(outcome=pl.coalesce("duplicate", "outcome"))
        .drop("duplicate", "max_event_time")
    )


def enrich(trips: pl.DataFrame, settings: Settings, files: TableFiles) -> pl.DataFrame:
    """Join the tables: add `vehicle_type` to every trip, `h3_region` where it is known."""
    drivers = _read_table(files.get("drivers"), "driver_id", pl.Schema({"vehicle_type": pl.String}))
    trips = trips.join(
        drivers, on="driver_id", how="left", suffix="_of_driver", maintain_order="left"
    ).with_columns(
        vehicle_type=pl.coalesce("vehicle_type", "vehicle_type_of_driver", pl.lit("unknown"))
    )
    if settings.region == "location":
        return trips.with_columns(h3_region=pl.col("start_location_id"))
    locations = _read_table(
        files.get("locations"), "location_id", pl.Schema({"lat": pl.Float64, "lng": pl.Float64})
    )
    trips = trips.join(
        locations,
        left_on="start_location_id",
        right_on="location_id",
        how="left",
        maintain_order="left",
    )
    has_coordinates = pl.col("start_lat").is_not_null() & pl.col("start_lng").is_not_null()
    trips = trips.with_columns(
        lat=pl.when(has_coordinates).then("start_lat").otherwise("lat"),
        lng=pl.when(has_coordinates).then("start_lng").otherwise("lng"),
    )
    cell = polars_h3.latlng_to_cell("lat", "lng", settings.h3_resolution, return_dtype=pl.Utf8)
    return trips.with_columns(h3_region=pl.coalesce(cell, "start_location_id"))


def add_mean(frame: pl.DataFrame) -> pl.DataFrame:
    """Add `avg_duration` in minutes: means are derived from totals, never added up."""
    pairs = zip(frame["total_duration"], frame["trip_count"], strict=True)
    means = [total / (count * MICRO) for total, count in pairs]
    return frame.with_columns(pl.Series("avg_duration", means, dtype=pl.Float64))


def _aggregate(trips: pl.DataFrame, keys: list[str], sketches: Sequence[Sketch]) -> pl.DataFrame:
    measures = trips.group_by(keys).agg(measures_of_trips())
    return measures.join(sketches_of_trips(trips, keys, sketches), keys) if sketches else measures


def _read_table(path: Path | None, key: str, columns: pl.Schema) -> pl.DataFrame:
    """Read a table for enrichment: text keys, the first row per key; empty without a file."""
    if path is None:
        return pl.DataFrame(schema={key: pl.String, **columns})
    table = pl.read_parquet(path, columns=[key, *columns], glob=False)
    texts = pl.selectors.categorical() | pl.selectors.enum()  # they can't be cast to numbers
    wanted = [pl.col(key).cast(pl.String)]
    wanted += [pl.col(name).cast(dtype) for name, dtype in columns.items()]
    return table.with_columns(texts.cast(pl.String)).select(wanted).unique(key, keep="first")
