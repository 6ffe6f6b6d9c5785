"""Random columns that have the same bits on every machine, Python and Polars version.

The generator is counter-based: a value is a hash of the seed, the column's name and the row number,
so columns neither share a sequence nor depend on the order in which they are made. Floats are
computed by additions, multiplications and square roots only, which IEEE 754 defines to the last
bit; `exp` and `log` of a C library are not.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import polars as pl

_INCREMENT: Final = 0x9E3779B97F4A7C15
_MIXERS: Final = ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB), (31, 1))
_MASK: Final = 2**64 - 1

_PIECES: Final = 8
_PIECE_VALUES: Final = 2**16
_SQUARINGS: Final = 12


@dataclass(frozen=True, slots=True)
class RandomColumns:
    """Random columns of `rows` values; the same seed and name always give the same column."""

    seed: int
    rows: int

    def bits(self, name: str) -> pl.Series:
        """Return 64 random bits per row (UInt64): splitmix64 (Steele, Lea and Flood, 2014)."""
        digest = hashlib.sha256(f"{self.seed}/{name}".encode()).digest()
        start = int.from_bytes(digest[:8], "big")
        counter = pl.int_range(self.rows, dtype=pl.UInt64, eager=True)
        mixed = counter * _word(_INCREMENT) + _word(start)
        for shift, multiplier in _MIXERS:
            mixed = (mixed ^ (mixed // _word(2**shift))) * _word(multiplier)
        return mixed.alias(name)

    def uniform(self, name: str) -> pl.Series:
        """Return floats in [0, 1) with 53 random bits."""
        return (self.bits(name) // _word(2**11)).cast(pl.Float64) * 2.0**-53

    def normal(self, name: str) -> pl.Series:
        """Return approximately normal floats of mean 0 and deviation 1, within 4.9 of the mean.

        They are sums of eight uniform values (central limit theorem), without a logarithm.
        """
        total = pl.repeat(0, self.rows, dtype=pl.Float64, eager=True)
        for half in ("/low", "/high"):
            bits = self.bits(name + half)
            for piece in range(_PIECES // 2):
                shifted = bits // _word(_PIECE_VALUES**piece)
                total += (shifted % _word(_PIECE_VALUES)).cast(pl.Float64)
        mean = _PIECES * (_PIECE_VALUES - 1) / 2
        deviation: float = _PIECE_VALUES * (_PIECES / 12) ** 0.5
        return ((total - mean) / deviation).alias(name)

    def log_normal(self, name: str, spread: float) -> pl.Series:
        """Return positive floats of median 1 whose logarithm has this deviation: a long tail."""
        power: pl.Series = 1.0 + self.normal(name) * (spread / 2**_SQUARINGS)
        for _ in range(_SQUARINGS):
            power = power * power
        return power

    def index(self, name: str, size: int) -> pl.Series:
        """Return row numbers (Int64) of a table of `size` rows, with equal probability."""
        return (self.uniform(name) * size).floor().cast(pl.Int64)

    def weighted(self, name: str, weights: Sequence[int]) -> pl.Series:
        """Return row numbers (Int64), with probabilities in proportion to the weights."""
        numbered = [number for number, weight in enumerate(weights) for _ in range(weight)]
        return pl.Series(numbered, dtype=pl.Int64).gather(self.index(name, len(numbered)))


def _word(value: int) -> pl.Series:
    return pl.Series([value & _MASK], dtype=pl.UInt64)
