"""The watermarks of all partitions, as one step of the dataflow has received them in this run."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from dataflows.items import WatermarkUpdate
from mobility.status import ReadStatus
from mobility.watermarks import MinWatermark

_ACTIVE: Final = frozenset[ReadStatus]({"behind", "caught_up"})


@dataclass(slots=True)
class WatermarkTracker:
    """Two minima over the partitions: one for closing windows, one for dropping their state.

    An idle or finished partition does not delay closing, which costs at most a late pane. It delays
    dropping, because totals would be wrong otherwise. The cost of an update does not depend on the
    number of partitions.
    """

    updates: dict[int, WatermarkUpdate] = field(default_factory=dict)
    _active: MinWatermark = field(default_factory=MinWatermark)
    _all: MinWatermark = field(default_factory=MinWatermark)
    _behind: set[int] = field(default_factory=set)
    _missing: set[int] = field(default_factory=set)
    _listed: tuple[int, ...] = ()

    def update(self, update: WatermarkUpdate) -> None:
        """Record the newest update of a partition."""
        partition, status = update.partition, update.status
        before = self.updates.get(partition)
        self.updates[partition] = update
        if before is None:
            self._missing.discard(partition)
        self._record_partitions(update.partitions)
        if before is None or status != before.status:
            self._record_status(partition, status)
        self._all.set(partition, update.watermark)
        if status in _ACTIVE:
            self._active.set(partition, update.watermark)

    def update_all(self, updates: Sequence[WatermarkUpdate]) -> None:
        """Record the newest updates, in the order in which each partition was read.

        Most move a watermark and nothing else. Those are recorded together, as each shard gets the
        updates of all partitions.
        """
        if len(updates) == 1:
            self.update(updates[0])
            return
        moved: dict[int, int] = {}
        moved_active: dict[int, int] = {}
        for update in updates:
            partition, watermark = update.partition, update.watermark
            before = self.updates.get(partition)
            if (
                before is None
                or watermark is None
                or before.watermark is None
                or before.status != update.status
                or update.partitions is not self._listed
            ):
                self._move(moved, moved_active)
                self.update(update)
                continue
            self.updates[partition] = update
            moved[partition] = watermark
            if update.status in _ACTIVE:
                moved_active[partition] = watermark
        self._move(moved, moved_active)

    def _move(self, moved: dict[int, int], moved_active: dict[int, int]) -> None:
        if moved:
            self._all.move(moved)
            self._active.move(moved_active)
            moved.clear()
            moved_active.clear()

    def _record_partitions(self, partitions: tuple[int, ...]) -> None:
        # The updates that come together share one tuple, so it is compared once.
        if partitions is not self._listed and partitions != self._listed:
            self._missing |= set(partitions) - self.updates.keys()
        self._listed = partitions

    def _record_status(self, partition: int, status: ReadStatus) -> None:
        if status == "behind":
            self._behind.add(partition)
        else:
            self._behind.discard(partition)
        if status not in _ACTIVE:
            self._active.remove(partition)

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
