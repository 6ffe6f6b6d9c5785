"""Exact conversions between micro-units, decimal text and ISO 8601 text."""

from collections.abc import Callable

import polars as pl

from mobility.measures import AMOUNTS, MEASURE_SCHEMA, MEASURES
from mobility.records import MICRO


def decimal_to_micro(text: pl.Expr) -> pl.Expr:
    """Parse decimal text in units as micro-units (Int128); null if it is not exactly representable.

    More than six fraction digits (other than zeros), exponents and values beyond that become null,
    so that a comparison reports them and rounding does not hide them.
    """
    parts = text.str.extract_groups(r"\A(-?)([0-9]+)(?:\.([0-9]{0,6})0*)?\z").struct
    fraction = parts.field("3").fill_null("").str.pad_end(6, "0")
    digits = pl.concat_str(parts.field("1"), parts.field("2"), fraction)
    return digits.cast(pl.Int128, strict=False)


def amounts_to_micro(text_of: Callable[[str], pl.Expr]) -> list[pl.Expr]:
    """Return the measures that are amounts, from their decimal texts by name, in micro-units."""
    return [
        decimal_to_micro(text_of(name)).cast(MEASURE_SCHEMA[name]).alias(name) for name in AMOUNTS
    ]


def counts_or_substitutes() -> list[pl.Expr]:
    """Return the counts that were added, or what stands for them in windows of before."""
    return [
        pl.coalesce(each.name, each.substitute).alias(each.name)
        for each in MEASURES
        if each.kind == "count" and each.substitute is not None
    ]


def micro_to_units(amounts: pl.Series) -> pl.Series:
    """Return the doubles nearest to these micro-units, in units.

    Python divides integers with one rounding; casting to a double first would round twice.
    """
    doubles = [None if amount is None else amount / MICRO for amount in amounts.to_list()]
    return pl.Series(amounts.name, doubles, dtype=pl.Float64)


def iso_to_ms(text: pl.Expr) -> pl.Expr:
    """Parse ISO 8601 text that ends in Z as epoch milliseconds; null for any other form."""
    time = text.str.to_datetime("%Y-%m-%dT%H:%M:%S%.fZ", time_unit="us", strict=False)
    return time.dt.epoch("us").floordiv(1_000)
