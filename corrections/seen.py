"""Remembering which positions were met, however many there are."""

from collections.abc import Sequence
from typing import Final

import polars as pl

from corrections.letters import Position

_OFFSET_BITS: Final = 47
_FEW: Final = 100_000


class Seen:
    """Positions met so far, at eight bytes each but for the newest."""

    def __init__(self) -> None:
        self._recent: set[int] = set()
        self._older = pl.Series(dtype=pl.Int64)

    def fresh(self, positions: Sequence[Position]) -> list[bool]:
        """Say of each position whether it is met for the first time, and remember it."""
        numbers = [place.partition << _OFFSET_BITS | place.offset for place in positions]
        fresh = []
        for number, known in zip(numbers, self._known(numbers), strict=True):
            fresh.append(not known and number not in self._recent)
            if fresh[-1]:
                self._recent.add(number)
        if len(self._recent) > max(_FEW, self._older.len() // 10):
            newer = pl.Series(list(self._recent), dtype=pl.Int64)
            self._older = pl.concat([self._older, newer]).sort()
            self._recent.clear()
        return fresh

    def _known(self, numbers: list[int]) -> list[bool]:
        if self._older.is_empty():
            return [False] * len(numbers)
        wanted = pl.Series(numbers, dtype=pl.Int64)
        places = self._older.search_sorted(wanted).clip(upper_bound=self._older.len() - 1)
        return (self._older.gather(places) == wanted).to_list()
