"""The watermarks of all partitions, as one step of the dataflow has received them in this run."""

from dataclasses import dataclass, field

from dataflows.items import WatermarkUpdate
from mobility.watermarks import min_watermark


@dataclass(slots=True)
class WatermarkTracker:
    """Two minima over the partitions: one for closing windows, one for dropping their state.

    An idle or finished partition does not hold up closing, which at worst costs a late pane. It
    does hold up dropping, which would cost numbers.
    """

    updates: dict[int, WatermarkUpdate] = field(default_factory=dict)

    def update(self, update: WatermarkUpdate) -> None:
        """Record the newest update of a partition."""
        self.updates[update.partition] = update

    @property
    def is_complete(self) -> bool:
        """Whether every partition has reported in this run: before that nothing is decided."""
        return bool(self.updates) and all(
            set(self.updates) >= set(update.partitions) for update in self.updates.values()
        )

    @property
    def is_caught_up(self) -> bool:
        """Whether no partition is behind the end of its log."""
        return all(update.status != "behind" for update in self.updates.values())

    @property
    def closing_watermark(self) -> int | None:
        """The minimum over the active partitions, in epoch ms; None closes nothing."""
        return min_watermark(
            update.watermark
            for update in self.updates.values()
            if update.status in {"behind", "caught_up"}
        )

    @property
    def cleanup_watermark(self) -> int | None:
        """The minimum over all partitions, in epoch ms; None drops nothing."""
        return min_watermark(update.watermark for update in self.updates.values())
