"""Watermark alignment: partitions that are far ahead in event time wait for the others.

As in Flink, so that a catch-up keeps few windows open. Partitions of other processes count too: the
window steps of this process get their watermarks, as every shard gets those of all partitions.
"""

import time
from collections.abc import Callable, Sequence
from typing import Final

from dataflows.items import WatermarkUpdate

_NOTHING_READ: Final = float("-inf")
# The minimum over many partitions is not computed again for each of them.
_VALID_SECONDS: Final = 0.02


class WatermarkAlignment:
    """The watermarks of the partitions that are behind the end of their logs.

    Only they count: a partition at the end of its log has nothing to catch up, and one whose
    messages were all dead has no watermark to wait for. `max_drift` is in milliseconds.
    """

    def __init__(self, max_drift: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._max_drift = max_drift
        self._clock = clock
        self._behind: dict[int, float] = {}
        self._minimum = _NOTHING_READ
        self._computed_at = _NOTHING_READ
        self._recorded: Sequence[WatermarkUpdate] = ()

    def register(self, partition: int) -> None:
        """Let the others wait for a partition of which nothing was read yet."""
        self._behind[partition] = _NOTHING_READ
        self._computed_at = _NOTHING_READ

    def update(self, update: WatermarkUpdate) -> None:
        """Record the newest update of a partition, of this process or of another one."""
        if update.status == "behind" and update.watermark is not None:
            self._behind[update.partition] = update.watermark
        else:
            self._behind.pop(update.partition, None)

    def update_all(self, updates: Sequence[WatermarkUpdate]) -> None:
        """Record the newest updates of partitions; those that all shards get are recorded once."""
        if updates is not self._recorded:
            self._recorded = updates
            for update in updates:
                self.update(update)

    def is_ahead(self, partition: int) -> bool:
        """Tell whether a partition must wait for slower ones."""
        own = self._behind.get(partition)
        if own is None:
            return False
        now = self._clock()
        if now - self._computed_at > _VALID_SECONDS:
            self._computed_at = now
            # A copy, as other workers' threads update it.
            self._minimum = min(list(self._behind.values()), default=own)
        return own - self._minimum > self._max_drift
