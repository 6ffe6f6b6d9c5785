"""The watermarks of all partitions, as one step of the dataflow has received them in this run."""

from dataclasses import dataclass, field

from dataflows.items import WatermarkUpdate
from mobility.watermarks import MinWatermark


@dataclass(slots=True)
class WatermarkTracker:
    """Two minima over the partitions: one for closing windows, one for dropping their state.

    An idle or finished partition does not hold up closing, which at worst costs a late pane. It
    does hold up dropping, which would cost numbers. An update takes the same time however many
    partitions there are.
    """

    updates: dict[int, WatermarkUpdate] = field(default_factory=dict)
    _active: MinWatermark = field(default_factory=MinWatermark)
    _all: MinWatermark = field(default_factory=MinWatermark)
    _behind: set[int] = field(default_factory=set)
    _listed: tuple[int, ...] = ()
    _missing: set[int] = field(default_factory=set)

    def update(self, update: WatermarkUpdate) -> None:
        """Record the newest update of a partition."""
        partition, watermark, status = update.partition, update.watermark, update.status
        self.updates[partition] = update
        if update.partitions is not self._listed and update.partitions != self._listed:
            self._listed = update.partitions
            self._missing |= set(update.partitions) - self.updates.keys()
        self._missing.discard(partition)
        self._all.set(partition, watermark)
        if status in {"behind", "caught_up"}:
            self._active.set(partition, watermark)
        else:
            self._active.remove(partition)
        if status == "behind":
            self._behind.add(partition)
        else:
            self._behind.discard(partition)

    @property
    def is_complete(self) -> bool:
        """Whether every partition has reported in this run: before that nothing is decided."""
        return bool(self.updates) and not self._missing

    @property
    def is_caught_up(self) -> bool:
        """Whether no partition is behind the end of its log."""
        return not self._behind

    @property
    def closing_watermark(self) -> int | None:
        """The minimum over the active partitions, in epoch ms; None closes nothing."""
        return self._active.value

    @property
    def cleanup_watermark(self) -> int | None:
        """The minimum over all partitions, in epoch ms; None drops nothing."""
        return self._all.value
