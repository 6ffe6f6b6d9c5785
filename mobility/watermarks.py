"""The minimum watermark: what holds for several partitions, or shards, at once."""

from collections.abc import Iterable


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
