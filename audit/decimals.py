"""Between int64 micro-units and the ways the outside world writes amounts, without rounding."""

import polars as pl

from mobility.records import MICRO


def micro(text: pl.Expr) -> pl.Expr:
    """Read decimal text in units as int64 micro-units; null where it is not exactly that.

    More than six fraction digits (other than zeros), exponents and what exceeds int64 become null,
    so that a comparison shows them instead of rounding them away.
    """
    parts = text.str.extract_groups(r"\A(-?)([0-9]+)(?:\.([0-9]{0,6})0*)?\z").struct
    fraction = parts.field("3").fill_null("").str.pad_end(6, "0")
    digits = pl.concat_str(parts.field("1"), parts.field("2"), fraction)
    return digits.cast(pl.Int64, strict=False)


def units(amounts: pl.Series) -> pl.Series:
    """Return the doubles nearest to these micro-units, in units.

    Python divides integers with one rounding; casting to a double first would round twice.
    """
    doubles = [None if amount is None else amount / MICRO for amount in amounts.to_list()]
    return pl.Series(amounts.name, doubles, dtype=pl.Float64)


def epoch_ms(text: pl.Expr) -> pl.Expr:
    """Read ISO 8601 text that ends in Z as epoch milliseconds; null where it is something else."""
    moment = text.str.to_datetime("%Y-%m-%dT%H:%M:%S%.fZ", time_unit="us", strict=False)
    return moment.dt.epoch("us").floordiv(1_000)
