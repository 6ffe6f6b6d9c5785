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


def percentiles(records: pl.Series, percents: Sequence[int]) -> list[int]:
    """Return the smallest values that so many per cent of the counted ones do not exceed.

    `records` (UInt64) may have a bucket several times; there is at least one. Each value is the
    middle of the bucket of the true one (that of the nearest rank): within 1.6 % of it.
    """
    rows = (
        _add_counts(pl.LazyFrame({"row": 0, "record": records}))
        .select(bucket=pl.col("record") // _COUNTS, reached=pl.col("record") % _COUNTS)
        .sort("bucket")
        .with_columns(pl.col("reached").cum_sum())
        .collect()
    )
    ranks = [max(1, -(-rows["reached"][-1] * percent // 100)) for percent in percents]
    found = rows["reached"].search_sorted(pl.Series(ranks, dtype=pl.UInt64))
    return [_middle(bucket - _FIRST) for bucket in rows["bucket"].gather(found)]


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


def _middle(bucket: int) -> int:
    """Return the middle of a bucket.

    >>> [_middle(bucket) for bucket in (-64, 0, 63, 64, 65, 96)]
    [-65, 0, 63, 65, 67, 130]
    """
    size = abs(bucket)
    bits = max(0, size // _STEPS - 1)
    middle = ((size - bits * _STEPS) << bits) + ((1 << bits) >> 1)
    return middle if bucket >= 0 else -middle
