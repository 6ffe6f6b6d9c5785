"""Windows as JSON messages of `aggregated.<entity>`, by columns, and back."""

from typing import Final

import polars as pl

from mobility.entities import Entity
from mobility.records import MICRO, STARTS, TOTALS, WINDOW_SCHEMA
from mobility.times import epoch_ms, iso_text

_UNITS: Final = pl.Decimal(38, 6)


def encode_windows(rows: pl.DataFrame, entity: Entity, window_ms: int) -> pl.Series:
    """Return one JSON text a row of windows (WINDOW_SCHEMA), in their order.

    Totals are written in units (minutes, kilometres, currency) as exact decimal numbers, from which
    a reader gets back the micro-units. A reader that parses numbers as doubles gets the nearest
    double: it is exact to the micro-unit up to 2^53 of those, which are 9.0 * 10^9 units.
    """
    # A filter leaves empty chunks, with which `format` panics (Polars, issue 25525).
    return (
        rows.rechunk()
        .select(
            pl.format(
                '{}{},"trip_count":{},"avg_duration":{},"total_duration":{},"total_distance":{},'
                '"total_revenue":{},"start_time":"{}","last_start_time":"{}","pane":"{}",'
                '"generation":{}}}',
                _id_object(entity).str.strip_suffix("}"),
                _bounds(rows["window_start"], window_ms),
                "trip_count",
                mean_duration(),
                *map(units, TOTALS),
                *(iso_text(pl.col(name)) for name in STARTS),
                "pane",
                "generation",
            )
        )
        .to_series()
    )


def decode_windows(values: list[bytes], entity: Entity) -> pl.DataFrame:
    """Return the windows (WINDOW_SCHEMA) that messages hold, in their order.

    Raises ValueError where one of them isn't what `encode_windows` writes.
    """
    schema = pl.Schema(
        {
            entity.id_field: pl.String,
            **dict.fromkeys(("window_start", *STARTS, "pane"), pl.String),
            **dict.fromkeys(("trip_count", "generation"), pl.Int64),
        }
    )
    lines = b"\n".join(values)
    try:
        fields = pl.read_ndjson(lines, schema=schema) if values else pl.DataFrame(schema=schema)
        totals = _exact_totals(values)
    except pl.exceptions.PolarsError as error:
        msg = f"not windows of {entity.name}: {error}"
        raise ValueError(msg) from error
    if fields.height != len(values):
        msg = f"not windows of {entity.name}: {len(values)} messages are {fields.height} records"
        raise ValueError(msg)
    rows = fields.select(
        pl.col(entity.id_field).alias("id"),
        epoch_ms(fields["window_start"]),
        "trip_count",
        *totals,
        epoch_ms(fields["start_time"]),
        epoch_ms(fields["last_start_time"].fill_null(fields["start_time"])),
        "pane",
        "generation",
    )
    if rows.null_count().sum_horizontal().item():
        msg = f"not windows of {entity.name}: a field is missing"
        raise ValueError(msg)
    return rows.cast(WINDOW_SCHEMA)


def units(name: str) -> pl.Expr:
    """Return micro-units as exact decimals in units."""
    return pl.col(name).cast(_UNITS) / MICRO


def mean_duration() -> pl.Expr:
    """Return the mean duration in minutes: derived on the way out, never stored as truth.

    It is 0 where a backfill has left no trip.
    """
    # One division of two columns: Polars divides by a literal through its reciprocal, inexactly.
    mean = pl.col("total_duration") / (pl.col("trip_count") * MICRO)
    return pl.when(pl.col("trip_count") > 0).then(mean).otherwise(0.0)


def _exact_totals(values: list[bytes]) -> list[pl.Series]:
    texts = pl.Series(values, dtype=pl.Binary).cast(pl.String)
    pattern = r'"{}":(-?[0-9]+(?:\.[0-9]+)?)[,}}]'
    return [
        (texts.str.extract(pattern.format(name)).cast(_UNITS) * MICRO).cast(pl.Int128).alias(name)
        for name in TOTALS
    ]


def _id_object(entity: Entity) -> pl.Expr:
    return pl.struct(pl.col("id").alias(entity.id_field)).struct.json_encode()


def _bounds(starts: pl.Series, window_ms: int) -> pl.Series:
    """Return the fields of both ends of windows: written once for all windows with one start."""
    distinct = starts.unique()
    start, end = iso_text(pl.col("window_start")), iso_text(pl.col("window_start") + window_ms)
    written = distinct.to_frame().select(
        pl.format(',"window_start":"{}","window_end":"{}"', start, end)
    )
    return starts.replace_strict(distinct, written.to_series(), return_dtype=pl.String)
