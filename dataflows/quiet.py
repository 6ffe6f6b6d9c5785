"""Quiet partitions: who says nothing for long is given the others' event time, in the log.

Only what stands in the log may let window state be dropped, so the decision that a partition has
nothing more to say is written into it as a punctuation, which intake reads like any event time.
"""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from bytewax.operators import StatefulBatchLogic

from dataflows.items import Heard, Punctuation
from dataflows.watermarks import Watermarks
from mobility.settings import Settings

Emitted = tuple[list[Punctuation], bool]


class QuietLogic(StatefulBatchLogic[Heard, Punctuation, None]):
    """Listens to all partitions; knows nothing that a restart should remember."""

    def __init__(
        self, settings: Settings, clock: Callable[[], datetime] = lambda: datetime.now(UTC)
    ) -> None:
        self._after = timedelta(seconds=settings.punctuate_after)
        self._clock = clock
        self._watermarks = Watermarks()
        self._quiet_since: dict[int, datetime] = {}

    def on_batch(self, values: list[Heard]) -> Emitted:
        """Note who is quiet and since when."""
        for heard in values:
            self._watermarks.hear(heard)
            if heard.status == "idle":
                self._quiet_since.setdefault(heard.partition, self._clock())
            else:
                self._quiet_since.pop(heard.partition, None)
        return [], self.RETAIN

    def on_notify(self) -> Emitted:
        """Punctuate the partitions that have been quiet for long enough."""
        now = self._clock()
        overdue = [p for p, since in self._quiet_since.items() if now - since >= self._after]
        for partition in overdue:
            self._quiet_since[partition] = now
        return [
            Punctuation(partition, watermark)
            for partition in overdue
            if (watermark := self._news_for(partition)) is not None
        ], self.RETAIN

    def notify_at(self) -> datetime | None:
        """Return when the next partition has been quiet for long enough."""
        return min(self._quiet_since.values()) + self._after if self._quiet_since else None

    def snapshot(self) -> None:
        """Return nothing: who is quiet is seen again after a restart."""
        return

    def _news_for(self, partition: int) -> int | None:
        """Return the speaking partitions' minimum where it is more than the partition knows."""
        watermark = self._watermarks.closing if self._watermarks.complete else None
        known = self._watermarks.heard[partition].watermark
        return watermark if watermark is not None and (known is None or watermark > known) else None


def quiet_logic(settings: Settings) -> Callable[[Any], QuietLogic]:
    """Return the builder that the stateful step wants."""
    return lambda _state: QuietLogic(settings)
