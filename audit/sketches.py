"""How the oracle computes sketches: the flow's declarations, with arithmetic of its own.

One Python integer at a time, by what mobility/sketches documents of the bytes.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Final

import polars as pl
import polars_hash as plh

from audit.measures import TRIP_FIELDS
from mobility.records import MICRO
from mobility.sketched_measures import Sketch, SketchKind

_EXACT: Final = 1_000
_REGISTERS: Final = 4_096

TEXTS: Final = ("driver_id", "passenger_id")
"""The fields of trips that numbers of distinct texts are of."""


def sketches_of_trips(
    trips: pl.DataFrame, keys: Sequence[str], sketches: Sequence[Sketch]
) -> pl.DataFrame:
    """Return the bytes of these sketches by keys; amounts of trips are doubles in units."""
    inputs = {"histogram": _amounts, "distinct": _hashes}
    grouped = trips.group_by(keys).agg(
        inputs[each.kind](each).alias(each.name) for each in sketches
    )
    columns = [
        pl.Series(each.name, map(_BYTES_OF[each.kind], grouped[each.name]), dtype=pl.Binary)
        for each in sketches
    ]
    return grouped.select(*keys, *columns)


def _amounts(sketch: Sketch) -> pl.Expr:
    return (pl.col(TRIP_FIELDS[sketch.input]) * MICRO).round(mode="half_to_even").cast(pl.Int64)


def _hashes(sketch: Sketch) -> pl.Expr:
    hashed: pl.Expr = plh.col(sketch.input).nchash.wyhash()
    return hashed.filter(pl.col(sketch.input).is_not_null())


def _histogram(amounts: pl.Series) -> bytes:
    counts = Counter(_bucket(amount) for amount in amounts if amount is not None)
    return b"".join(
        (bucket + 2**15).to_bytes(2, "big") + count.to_bytes(6, "big")
        for bucket, count in sorted(counts.items())
    )


def _bucket(amount: int) -> int:
    """Return the bucket: the first 6 bits of the number, and how many bits follow them."""
    size = abs(amount)
    following = max(size.bit_length() - 6, 0)
    number = following * 32 + (size >> following)
    return number if amount >= 0 else -number


def _distinct(hashes: pl.Series) -> bytes:
    found = {hashed & 2**63 - 1 for hashed in hashes}
    if len(found) < _EXACT:
        return b"".join(hashed.to_bytes(8, "big") for hashed in sorted(found))
    registers = bytearray(_REGISTERS)
    for hashed in found:
        rest, number = divmod(hashed, _REGISTERS)
        # One more than the leading zeros of 51 bits.
        registers[number] = max(registers[number], 52 - rest.bit_length())
    return b"\0" + bytes(registers)


_BYTES_OF: Final[Mapping[SketchKind, Callable[[pl.Series], bytes]]] = {
    "histogram": _histogram,
    "distinct": _distinct,
}
