"""The minimum watermark: what holds for several partitions, or shards, at once."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field


def min_watermark(watermarks: Iterable[int | None]) -> int | None:
    """Return the lowest watermark in epoch ms; None where there is none, or one is not known yet.

    >>> min_watermark([20, 10]), min_watermark([20, None]), min_watermark([])
    (10, None, None)
    """
    lowest: int | None = None
    for watermark in watermarks:
        if watermark is None:
            return None
        lowest = watermark if lowest is None else min(lowest, watermark)
    return lowest


@dataclass(slots=True)
class MinWatermark:
    """The `min_watermark` of partitions whose watermarks come one at a time.

    The minimum is computed again only after the lowest watermark has moved.
    """

    _known: dict[int, int] = field(default_factory=dict)
    _unknown: set[int] = field(default_factory=set)
    _lowest: int | None = None

    def set(self, partition: int, watermark: int | None) -> None:
        """Record the watermark of a partition, in epoch ms."""
        if watermark is None:
            self.remove(partition)
            self._unknown.add(partition)
            return
        before = self._known.get(partition)
        if before is None:
            self._unknown.discard(partition)
        self._known[partition] = watermark
        lowest = self._lowest
        if lowest is not None and watermark < lowest:
            self._lowest = watermark
        elif before == lowest != watermark:
            self._lowest = None

    def move(self, watermarks: Mapping[int, int]) -> None:
        """Record new watermarks of partitions that have one, in epoch ms."""
        self._known.update(watermarks)
        self._lowest = None

    def remove(self, partition: int) -> None:
        """Leave a partition out."""
        self._unknown.discard(partition)
        if self._known.pop(partition, None) == self._lowest:
            self._lowest = None

    @property
    def value(self) -> int | None:
        """The lowest watermark; None where there is none, or one is not known yet."""
        if self._unknown:
            return None
        if self._lowest is None:
            self._lowest = min(self._known.values(), default=None)
        return self._lowest
