"""Lists of 64-bit records: how those of parts become that of the whole, and their bytes.

A list is canonical where it is what `reduced` returns: its records are reduced and sorted, so it
depends on what was counted alone. A list of one record is canonical. Null means not known, an empty
list nothing.
"""

from collections.abc import Callable
from typing import Final

import polars as pl

RECORDS: Final = pl.List(pl.UInt64())

RECORD_BYTES: Final = 8

Reduce = Callable[[pl.LazyFrame], pl.LazyFrame]
"""Merges what belongs together: `row` (a list) and `record` in, the same columns out."""


def reduced(lists: pl.Series, reduce: Reduce) -> pl.Series:
    """Return lists (RECORDS) of records in any order as canonical ones."""
    is_long = lists.list.len() > 1
    if not is_long.any():
        return lists
    rows = lists.alias("record").to_frame().with_row_index("row")
    long = rows.filter(is_long).lazy().explode("record")
    canonical = (
        reduce(long)
        .select("row", "record")
        .sort("row", "record")
        .group_by("row", maintain_order=True)
        .agg("record")
        .collect()
    )
    short = rows.filter(~is_long.fill_null(value=False))
    return pl.concat([short, canonical]).sort("row")["record"].alias(lists.name)


def to_bytes(lists: pl.Series) -> pl.Series:
    """Return the records of each list (RECORDS) as bytes (Binary): big-endian, in their order."""
    rows = lists.alias("record").to_frame().with_row_index("row")
    record = pl.col("record")
    octets = [(record // 2**shift % 2**8).cast(pl.UInt8) for shift in range(56, -1, -8)]
    written = (
        rows.lazy()
        .explode("record")
        .drop_nulls("record")
        # An array of eight is made ten times as fast as a list.
        .select("row", octet=pl.concat_arr(octets))
        .group_by("row", maintain_order=True)
        .agg(pl.col("octet").explode())
        .select("row", octets=pl.col("octet").cast(pl.List(pl.UInt8())).cast(pl.Binary))
    )
    joined = rows.lazy().join(written, on="row", how="left", maintain_order="left")
    # A list without records has no row in `written`.
    found = pl.when(record.is_not_null()).then(pl.col("octets").fill_null(b""))
    return joined.select(found.alias(lists.name)).collect().to_series()


def records_in(data: bytes) -> pl.Series:
    """Return the records (UInt64) that `to_bytes` has written, of one list or of several."""
    if not data:
        return pl.Series(dtype=pl.UInt64())
    records = pl.Array(pl.UInt64(), len(data) // RECORD_BYTES)
    return pl.Series([data]).bin.reinterpret(dtype=records, endianness="big").explode()


def joined(parts: pl.Series, read: Callable[[pl.Series], pl.Series]) -> pl.Series:
    """Return the records of all parts of each list (List(Binary)) as one list (RECORDS).

    `read` returns those of each part. Null where there is no part.
    """
    rows = parts.alias("data").to_frame().with_row_index("row")
    found = rows.explode("data").drop_nulls("data")
    lists = found.select("row", record=read(found["data"])).group_by("row")
    of_row = lists.agg(pl.col("record").explode())
    ordered = rows.select("row").join(of_row, on="row", how="left", maintain_order="left")
    return ordered["record"].alias(parts.name)


def from_bytes(data: pl.Series) -> pl.Series:
    """Return what `to_bytes` has written, as lists (RECORDS)."""
    rows = data.alias("data").to_frame().with_row_index("row")
    offsets = pl.int_ranges(0, pl.col("data").bin.size(), RECORD_BYTES)
    record = pl.col("data").bin.slice(pl.col("offset"), RECORD_BYTES)
    read = (
        rows.lazy()
        .with_columns(offset=offsets)
        .explode("offset")
        .drop_nulls("offset")
        .select("row", record=record.bin.reinterpret(dtype=pl.UInt64(), endianness="big"))
        .group_by("row", maintain_order=True)
        .agg("record")
    )
    joined = rows.lazy().join(read, on="row", how="left", maintain_order="left")
    found = pl.when(pl.col("data").is_not_null()).then(
        pl.col("record").fill_null(pl.lit([], dtype=RECORDS))
    )
    return joined.select(found.alias(data.name)).collect().to_series()
