"""A set of source positions that stays small in memory, however many it holds."""

from collections.abc import Sequence
from typing import Final

import polars as pl

from mobility.rejected_messages import SourcePosition

_OFFSET_BITS: Final = 47
_MERGE_FROM: Final = 100_000


class PositionSet:
    """A set of positions: the newest in a Python set, the others sorted, at eight bytes each."""

    def __init__(self) -> None:
        self._recent: set[int] = set()
        self._merged = pl.Series(dtype=pl.Int64)

    def add(self, positions: Sequence[SourcePosition]) -> list[bool]:
        """Add positions; return of each whether it is new."""
        numbers = [each.partition << _OFFSET_BITS | each.offset for each in positions]
        new = []
        for number, is_merged in zip(numbers, self._in_merged(numbers), strict=True):
            new.append(not is_merged and number not in self._recent)
            if new[-1]:
                self._recent.add(number)
        if len(self._recent) > max(_MERGE_FROM, self._merged.len() // 10):
            recent = pl.Series(list(self._recent), dtype=pl.Int64)
            self._merged = pl.concat([self._merged, recent]).sort()
            self._recent.clear()
        return new

    def _in_merged(self, numbers: list[int]) -> list[bool]:
        if self._merged.is_empty():
            return [False] * len(numbers)
        wanted = pl.Series(numbers, dtype=pl.Int64)
        indices = self._merged.search_sorted(wanted).clip(upper_bound=self._merged.len() - 1)
        return (self._merged.gather(indices) == wanted).to_list()
