"""Commits durable offsets to a consumer group, for those who look there how far the flow is.

Nothing reads them back: a run resumes from its recovery folder. What is committed is never beyond
that, so tools that watch the group may show too much lag, and never too little.
"""

import atexit
import logging
import threading
import time
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Final, Protocol

from broker.errors import BrokerError
from broker.group_offsets import GroupOffsets
from broker.offsets import Partition
from dataflows.durable_offset import DurableOffset
from dataflows.stores import StoreError, is_fenced
from mobility.settings import Settings
from runtime.failures import has_failed
from runtime.flows import FlowName, consumer_group
from runtime.recovery_lock import is_locked_by

# The offsets of a group expire (`offsets.retention.minutes`): each is committed twice an hour.
_REFRESH_SECONDS: Final = 1_800.0
_RETRY_SECONDS: Final = 60.0
# All partitions end their epoch within this time, and are committed together.
_COLLECT_SECONDS: Final = 0.5
# The commit before it may still be under way, and the machine busy.
_LAST_COMMIT_SECONDS: Final = 5.0

_log: Final = logging.getLogger(__name__)


class Group(Protocol):
    """Stores offsets, as `broker.group_offsets.GroupOffsets` does."""

    def commit(self, offsets: Mapping[Partition, int]) -> None:
        """Store the next offset of each partition. Raises BrokerError."""
        ...


class CommitSchedule:
    """Decides when offsets are committed, and says once that it fails, once that it works.

    `is_replaced` returns whether a later cluster has replaced this one, which then commits nothing
    any more. It raises StoreError where that is not known now.
    """

    def __init__(
        self,
        name: str,
        group: Group,
        is_replaced: Callable[[], bool],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._name = name
        self._group = group
        self._is_replaced = is_replaced
        self._clock = clock
        self._committed: dict[Partition, int] = {}
        self._committed_at = 0.0
        self._is_failing = False
        self.is_over = False

    def commit(self, offsets: Mapping[Partition, int]) -> None:
        """Commit the offsets of all partitions where one has changed, or it is time."""
        age = self._clock() - self._committed_at
        if self.is_over or (offsets == self._committed and age < _REFRESH_SECONDS):
            return
        try:
            self.is_over = self._is_replaced()
            if not self.is_over:
                self._group.commit(offsets)
        except (BrokerError, StoreError) as error:
            if not self._is_failing:
                _log.warning(
                    "offsets are not committed to the consumer group %s, which shows too much lag "
                    "meanwhile; the flow goes on: %s",
                    self._name,
                    error,
                )
            self._is_failing = True
            return
        if self.is_over:
            _log.warning(
                "offsets are not committed to the consumer group %s any more: a cluster that was "
                "started later has replaced this one",
                self._name,
            )
            return
        if self._is_failing:
            _log.warning("offsets are committed to the consumer group %s again", self._name)
        self._is_failing = False
        self._committed, self._committed_at = dict(offsets), self._clock()


class OffsetCommits:
    """Commits the durable offsets of a process in a thread of its own, which delays no worker.

    Without a recovery folder nothing is resumed, so nothing is committed.
    """

    def __init__(self, settings: Settings, flow: FlowName, folder: Path | None) -> None:
        self._settings = settings
        self._folder = folder
        self._group = consumer_group(flow, settings)
        self._offsets: dict[Partition, DurableOffset] = {}
        self._lock = threading.Lock()
        self._changed = threading.Event()
        self._closing = threading.Event()
        self._thread: threading.Thread | None = None

    def open(self, topic: str, partition: int, resumed: int) -> DurableOffset:
        """Return the durable offset of a partition, which is committed from now on."""
        offset = DurableOffset(resumed, self._changed.set)
        with self._lock:
            self._offsets[topic, partition] = offset
            if self._thread is None:
                self._start()
        self._changed.set()
        return offset

    def close(self) -> None:
        """Commit for the last time, for which there are five seconds.

        Called when the interpreter exits. After an error the last snapshots may not be durable.
        """
        if not has_failed():
            for offset in self._offsets.values():
                offset.record_end()
        self._closing.set()
        self._changed.set()
        if self._thread is not None:
            self._thread.join(_LAST_COMMIT_SECONDS)
        atexit.unregister(self.close)

    def _start(self) -> None:
        if self._group is None or self._folder is None:
            return
        group = GroupOffsets(self._settings, self._group)
        schedule = CommitSchedule(self._group, group, partial(self._is_replaced, self._folder))
        self._thread = threading.Thread(
            target=self._run, args=(schedule,), name="offset commits", daemon=True
        )
        self._thread.start()
        atexit.register(self.close)

    def _run(self, schedule: CommitSchedule) -> None:
        is_last = False
        while not is_last:
            self._changed.wait(_RETRY_SECONDS)
            self._closing.wait(_COLLECT_SECONDS)
            self._changed.clear()
            # Read before the offsets: `close` records the last ones before it sets `_closing`.
            is_last = self._closing.is_set()
            with self._lock:
                offsets = {partition: each.offset for partition, each in self._offsets.items()}
            schedule.commit(offsets)

    def _is_replaced(self, folder: Path) -> bool:
        cluster = self._settings.cluster
        return bool(cluster and not is_locked_by(folder, cluster)) or is_fenced(self._settings)
