"""Numbers of distinct texts: exact below 1,000, then HyperLogLog.

Up to 999 texts are the hashes of all. From 1,000 on they are 4,096 registers: of the hashes whose
lower 12 bits are the number of the register, the most leading zeros of the other bits, plus one
(Flajolet et al., HyperLogLog, 2007, https://doi.org/10.46298/dmtcs.3545). The standard error is
1.04 / sqrt(4096), which is 1.6 %. Two texts of fewer than 1,000 have the same hash once in
10^13 sets.

Which form it is depends on the set alone: registers are never merged to fewer than 1,000 texts. So
any order of merging gives the same records, and adding a text again changes nothing.

A record is the hash of a text (63 bits of wyhash), or, with its highest bit set, a register and its
value. As bytes, registers are a zero and one byte each, in their order; hashes are 8 bytes each.
"""

import math
from collections.abc import Iterable
from typing import Final

import polars as pl
import polars_hash as plh

from mobility.sketches import records
from mobility.sketches.records import RECORD_BYTES, RECORDS, reduced

EXACT: Final = 1_000
"""From so many texts on the number is an estimate."""

_IS_REGISTER: Final = 2**63
_REGISTERS: Final = 2**12
_VALUES: Final = 2**8
_BITS: Final = 63 - 12
"""The bits of a hash that decide on the value of a register."""

_REGISTERS_BYTES: Final = 1 + _REGISTERS


def record_of(column: str) -> pl.Expr:
    """Return the record of each text of a column, null where it is null."""
    hashed: pl.Expr = plh.col(column).nchash.wyhash()
    # The hash of null is that of a text.
    return pl.when(pl.col(column).is_not_null()).then(hashed % _IS_REGISTER).alias(column)


def canonical(lists: pl.Series) -> pl.Series:
    """Return lists of records in any order as sets: sorted hashes, or registers."""
    may_be_large = (lists.list.len() >= EXACT).any() or (lists.list.max() >= _IS_REGISTER).any()
    return reduced(lists, _unite if may_be_large else _unite_hashes)


def to_bytes(lists: pl.Series) -> pl.Series:
    """Return canonical lists as bytes (Binary)."""
    rows = lists.alias("record").to_frame().with_row_index("row")
    # Registers come after all hashes.
    has_registers = (pl.col("record").list.last() >= _IS_REGISTER).fill_null(value=False)
    exact = rows.filter(~has_registers)
    written = exact.with_columns(data=records.to_bytes(exact["record"])).drop("record")
    dense = _dense(rows.filter(has_registers).lazy()).collect()
    return pl.concat([written, dense]).sort("row")["data"].alias(lists.name)


def from_bytes(data: pl.Series) -> pl.Series:
    """Return what `to_bytes` has written, as lists (RECORDS)."""
    rows = data.alias("data").to_frame().with_row_index("row")
    has_registers = (pl.col("data").bin.size() % RECORD_BYTES == 1).fill_null(value=False)
    exact = rows.filter(~has_registers)
    read = exact.with_columns(record=records.from_bytes(exact["data"])).drop("data")
    sparse = _sparse(rows.filter(has_registers).lazy()).collect()
    return pl.concat([read, sparse]).sort("row")["record"].alias(data.name)


def united(parts: Iterable[bytes]) -> pl.Series:
    """Return the records of the union of sets, each as `to_bytes` has written it.

    Sets of hashes may also come as one: their bytes, one after the other.
    """
    parts = list(parts)
    exact = records.records_in(b"".join(each for each in parts if not _has_registers(each)))
    dense = pl.Series([each for each in parts if _has_registers(each)], dtype=pl.Binary)
    found = pl.concat([exact, from_bytes(dense).explode().drop_nulls()])
    return canonical(pl.Series([found], dtype=RECORDS)).explode().drop_nulls()


def united_lists(parts: pl.Series) -> pl.Series:
    """Return what `united` returns for each list of parts (List(Binary)); null without any."""
    return canonical(records.joined(parts, from_bytes))


def _has_registers(data: bytes) -> bool:
    return len(data) % RECORD_BYTES > 0


def count(found: pl.Series) -> int:
    """Return how many distinct texts canonical records (UInt64) are of: exact, or estimated."""
    return _estimate(found % _VALUES) if is_estimate(found) else found.len()


def counts(lists: pl.Series) -> pl.Series:
    """Return what `count` returns for each canonical list (RECORDS), as Int64; null where it is."""
    numbers = lists.list.len().cast(pl.Int64)
    estimates = (lists.list.max() >= _IS_REGISTER).arg_true()
    return numbers.scatter(estimates, [count(lists[row]) for row in estimates])


def is_estimate(found: pl.Series) -> bool:
    """Return whether the number of canonical records (UInt64) is an estimate."""
    return bool((found >= _IS_REGISTER).any())


def _unite_hashes(rows: pl.LazyFrame) -> pl.LazyFrame:
    return rows.unique(["row", "record"])


def _unite(rows: pl.LazyFrame) -> pl.LazyFrame:
    record = pl.col("record")
    texts = _unite_hashes(rows)
    is_large = (record.max() >= _IS_REGISTER) | (pl.len() >= EXACT)
    is_hash = record < _IS_REGISTER
    texts = texts.with_columns(
        record=pl.when(is_large.over("row") & is_hash).then(_register_of(record)).otherwise(record)
    )
    # Of a register the record with the highest value stays, and every hash.
    place = pl.when(is_hash).then(record).otherwise(record // _VALUES + _IS_REGISTER)
    return texts.group_by("row", place=place).agg(pl.col("record").max())


def _register_of(hashed: pl.Expr) -> pl.Expr:
    """Return the record of the register that a hash belongs to, with its value."""
    bits = 64 - (hashed // _REGISTERS).bitwise_leading_zeros().cast(pl.UInt64)
    return _IS_REGISTER + hashed % _REGISTERS * _VALUES + (_BITS + 1 - bits)


def _dense(rows: pl.LazyFrame) -> pl.LazyFrame:
    """Return lists of registers as bytes: `row` and `data`."""
    register = (pl.col("record") - _IS_REGISTER) // _VALUES
    values = rows.explode("record").select(
        "row", register=register, value=(pl.col("record") % _VALUES).cast(pl.UInt8)
    )
    all_registers = pl.int_range(_REGISTERS, dtype=pl.UInt64).implode()
    octets = (
        rows.select("row", register=all_registers)
        .explode("register")
        .join(values, on=["row", "register"], how="left", maintain_order="left")
        .group_by("row", maintain_order=True)
        .agg(pl.col("value").fill_null(0))
    )
    tag = pl.lit([0], dtype=pl.List(pl.UInt8()))
    return octets.select("row", data=pl.concat_list(tag, "value").cast(pl.Binary))


def _sparse(rows: pl.LazyFrame) -> pl.LazyFrame:
    """Return bytes of registers as lists: `row` and `record`."""
    octets = pl.col("data").bin.slice(1, _REGISTERS).cast(pl.List(pl.UInt8()))
    record = _IS_REGISTER + pl.col("register") * _VALUES + pl.col("value").cast(pl.UInt64)
    return (
        rows.select(
            "row", value=octets, register=pl.int_range(_REGISTERS, dtype=pl.UInt64).implode()
        )
        .explode("value", "register")
        .filter(pl.col("value") > 0)
        .group_by("row", maintain_order=True)
        .agg(record=record)
    )


def _estimate(values: pl.Series) -> int:
    """Return the estimate of registers, those that are 0 left out.

    The improved raw estimator, which needs no correction of its bias (Ertl, New cardinality
    estimation algorithms for HyperLogLog sketches, 2017, https://arxiv.org/abs/1702.01284).
    """
    numbers = dict(values.value_counts().iter_rows())
    numbers[0] = _REGISTERS - values.len()
    total = _REGISTERS * _tau(1 - numbers.get(_BITS + 1, 0) / _REGISTERS)
    for value in range(_BITS, 0, -1):
        total = (total + numbers.get(value, 0)) / 2
    total += _REGISTERS * _sigma(numbers[0] / _REGISTERS)
    return round(_REGISTERS**2 / (2 * math.log(2) * total))


def _sigma(share: float) -> float:
    power, total, factor = share, share, 1.0
    while True:
        power *= power
        before, total = total, total + power * factor
        if total == before:
            return total
        factor *= 2


def _tau(share: float) -> float:
    if share in (0.0, 1.0):
        return 0.0
    root, total, factor = share, 1 - share, 1.0
    while True:
        root = math.sqrt(root)
        factor /= 2
        before, total = total, total - (1 - root) ** 2 * factor
        if total == before:
            return total / 3
