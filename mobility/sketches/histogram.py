"""Histograms of integers: counts in log-spaced buckets with fixed bounds, which merge by addition.

The buckets are those of HdrHistogram (https://hdrhistogram.github.io/HdrHistogram/): each power of
two is divided into 32 buckets of equal width, and integers below 64 have one each. Bounds are
integers, so that no logarithm decides where a value belongs. A bucket is at most 1/32 of its lower
bound wide; its middle is within 1/64, which is 1.6 %, of any value in it. Negative values have
the buckets of their absolute values, mirrored.

A record has a bucket in its upper 16 bits and a count in its lower 48: 2.8 * 10^14 values fit.
"""

from collections.abc import Sequence
from typing import Final

import polars as pl

from mobility.sketches.records import reduced

_STEPS: Final = 32
"""Buckets to a power of two."""

_FIRST: Final = 2**15
"""What is added to the number of a bucket: a negative one precedes the others."""

_COUNTS: Final = 2**48


def record_of(column: str) -> pl.Expr:
    """Return the record of each value (Int64, at most 2^62) of a column, null where it is null."""
    value = pl.col(column)
    size = value.abs()
    # The number of bits of the value beyond the 6 that tell the bucket.
    bits = (58 - size.bitwise_leading_zeros().cast(pl.Int64)).clip(lower_bound=0)
    bucket = bits * _STEPS + size // pl.lit(2, pl.Int64).pow(bits)
    return ((bucket * value.sign() + _FIRST).cast(pl.UInt64) * _COUNTS + 1).alias(column)


def canonical(lists: pl.Series) -> pl.Series:
    """Return lists of records in any order as histograms: sorted, each bucket once."""
    return reduced(lists, _add_counts)


def percentiles(lists: pl.Series, percents: Sequence[int]) -> pl.DataFrame:
    """Return the smallest values that so many per cent of the counted ones do not exceed.

    A row for each list of records (RECORDS), which may have a bucket several times, and a column
    for each of the percents, `p50` for 50 (Int64); null where a list is empty or null. Each value
    is the middle of the bucket of the true one (that of the nearest rank): within 1.6 % of it.
    """
    rows = lists.alias("record").to_frame().with_row_index("row")
    reached, total = pl.col("reached"), pl.col("reached").last()
    # Rounded up: the rank of the value.
    ranks = {f"p{each}": (total * each + 99) // 100 for each in percents}
    found = (
        _add_counts(rows.lazy().explode("record").drop_nulls("record"))
        .select("row", bucket=pl.col("record") // _COUNTS, count=pl.col("record") % _COUNTS)
        .sort("row", "bucket")
        .with_columns(middle=_middle(), reached=pl.col("count").cum_sum().over("row"))
        .group_by("row")
        .agg(
            pl.col("middle").filter(reached >= rank).first().alias(name)
            for name, rank in ranks.items()
        )
    )
    joined = rows.lazy().select("row").join(found, on="row", how="left", maintain_order="left")
    return joined.drop("row").collect()


def count(records: pl.Series) -> int:
    """Return how many values records have counted.

    >>> count(pl.Series([(32_768 << 48) + 2, (32_769 << 48) + 3], dtype=pl.UInt64))
    5
    """
    return int((records % _COUNTS).sum())


def _add_counts(rows: pl.LazyFrame) -> pl.LazyFrame:
    record = pl.col("record")
    sums = rows.group_by("row", bucket=record // _COUNTS).agg(count=(record % _COUNTS).sum())
    return sums.select("row", record=pl.col("bucket") * _COUNTS + pl.col("count"))


def _middle() -> pl.Expr:
    """Return the middle of the bucket (UInt64) in a column of that name."""
    bucket = pl.col("bucket").cast(pl.Int64) - _FIRST
    size = bucket.abs()
    bits = (size // _STEPS - 1).clip(lower_bound=0)
    width = pl.lit(2, pl.Int64).pow(bits)
    return ((size - bits * _STEPS) * width + width // 2) * bucket.sign()
