"""Windows as JSON messages of `aggregated.<entity>`, by columns, and back."""

from collections.abc import Sequence
from typing import Final

import polars as pl

from mobility.entities import Entity
from mobility.measures import AMOUNTS, COUNTS, MEASURE_SCHEMA, MEASURES, NULLABLE, STARTS, Measure
from mobility.records import MICRO, window_schema
from mobility.sketched_measures import Sketch
from mobility.times import epoch_ms, iso_text

_UNITS: Final = pl.Decimal(38, 6)

_TEXTS: Final = frozenset({*STARTS, "pane"})
"""The fields that are JSON strings, beside the id and the bounds of the window."""


def encode_windows(rows: pl.DataFrame, entity: Entity, window_ms: int) -> pl.Series:
    """Return one JSON text a row of windows (`window_schema`), in their order.

    Totals are written in units (minutes, kilometres, currency) as exact decimal numbers, from which
    a reader gets back the micro-units. A reader that parses numbers as doubles gets the nearest
    double: it is exact to the micro-unit up to 2^53 of those, which are 9.0 * 10^9 units. Sketches
    are written in base64.
    """
    fields = {
        **{name: pl.col(name) for name in COUNTS},
        "avg_duration": mean_duration(),
        **{name: _json_value(name) for name in MEASURE_SCHEMA if name not in COUNTS},
        **{name: pl.col(name) for name in ("pane", "generation")},
        **{name: _base64(name) for name, kind in rows.schema.items() if kind == pl.Binary},
    }
    members = (f',"{name}":"{{}}"' if name in _TEXTS else f',"{name}":{{}}' for name in fields)
    # A filter leaves empty chunks, with which `format` panics (Polars, issue 25525).
    return (
        rows.rechunk()
        .select(
            pl.format(
                "{}{}" + "".join(members) + "}}",
                _id_object(entity).str.strip_suffix("}"),
                _bounds(rows["window_start"], window_ms),
                *fields.values(),
            )
        )
        .to_series()
    )


def decode_windows(
    values: list[bytes], entity: Entity, sketches: Sequence[Sketch] = ()
) -> pl.DataFrame:
    """Return the windows (`window_schema` of the sketches) that messages hold, in their order.

    Raises ValueError where one of them isn't what `encode_windows` writes. A sketch may be missing.
    """
    schema = pl.Schema(
        {
            entity.id_field: pl.String,
            **dict.fromkeys(("window_start", *STARTS, "pane"), pl.String),
            **dict.fromkeys((*COUNTS, "generation"), pl.Int64),
            **dict.fromkeys((each.name for each in sketches), pl.String),
        }
    )
    lines = b"\n".join(values)
    try:
        fields = pl.read_ndjson(lines, schema=schema) if values else pl.DataFrame(schema=schema)
        data = fields.select(pl.col(each.name).str.decode("base64") for each in sketches)
        amounts = _exact_amounts(values)
    except pl.exceptions.PolarsError as error:
        msg = f"not windows of {entity.name}: {error}"
        raise ValueError(msg) from error
    if fields.height != len(values):
        msg = f"not windows of {entity.name}: {len(values)} messages are {fields.height} records"
        raise ValueError(msg)
    fields = fields.with_columns(amounts)
    rows = fields.select(
        pl.col(entity.id_field).alias("id"),
        epoch_ms(fields["window_start"]),
        *(_decoded(measure, fields) for measure in MEASURES),
        "pane",
        "generation",
        *data,
    )
    optional = [*(each.name for each in NULLABLE), *(each.name for each in sketches)]
    required = pl.exclude(optional)
    if rows.select(required.null_count()).sum_horizontal().item():
        msg = f"not windows of {entity.name}: a field is missing"
        raise ValueError(msg)
    return rows.cast(window_schema(sketches))


def units(name: str) -> pl.Expr:
    """Return micro-units as exact decimals in units."""
    return pl.col(name).cast(_UNITS) / MICRO


def micro_units(texts: pl.Series) -> pl.Series:
    """Return decimal numbers in units, as text, as micro-units."""
    return (texts.cast(_UNITS) * MICRO).cast(pl.Int128)


def _json_value(name: str) -> pl.Expr:
    if name in STARTS:
        return iso_text(pl.col(name))
    return units(name).cast(pl.String).fill_null("null")


def _base64(name: str) -> pl.Expr:
    return pl.format('"{}"', pl.col(name).bin.encode("base64")).fill_null("null")


def mean_duration() -> pl.Expr:
    """Return the mean duration in minutes: derived on the way out, never stored as truth.

    It is 0 where a backfill has left no trip.
    """
    # One division of two columns: Polars divides by a literal through its reciprocal, inexactly.
    mean = pl.col("total_duration") / (pl.col("trip_count") * MICRO)
    return pl.when(pl.col("trip_count") > 0).then(mean).otherwise(0.0)


def _decoded(measure: Measure, fields: pl.DataFrame) -> pl.Series:
    column = fields[measure.name]
    if measure.substitute is not None:
        column = column.fill_null(fields[measure.substitute])
    return epoch_ms(column) if measure.unit == "time" else column


def _exact_amounts(values: list[bytes]) -> list[pl.Series]:
    texts = pl.Series(values, dtype=pl.Binary).cast(pl.String)
    pattern = r'"{}":(-?[0-9]+(?:\.[0-9]+)?)[,}}]'
    return [micro_units(texts.str.extract(pattern.format(name))).alias(name) for name in AMOUNTS]


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
