"""Counters and gauges of one process of a flow."""

import json
import logging
import os
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import msgspec

from mobility.entities import ENTITIES
from mobility.files import write_atomically
from mobility.status import MessageCounts, ReadStatus
from mobility.watermarks import min_watermark

_log: Final = logging.getLogger(__name__)


@dataclass(slots=True)
class PartitionMetrics:
    """The state of a partition: the watermark in epoch ms, `lag` in offsets to the log's end.

    `position` is the offset that is read next.
    """

    watermark: int | None = None
    status: ReadStatus = "behind"
    lag: int = 0
    counts: MessageCounts = field(default_factory=MessageCounts)
    position: int | None = None


@dataclass(slots=True)
class FlowMetrics:
    """The metrics of the partitions that this process reads, shared by its workers.

    `sent` and `delivered` are watermarks (epoch ms) by entity and shard: all windows up to there
    were handed to Kafka's producer, or are known to be in `aggregated.*`. `windows_sent` counts the
    windows that were handed to the producer.
    """

    process: int = 0
    status_folder: Path | None = None
    clock: Callable[[], float] = time.time
    partitions: dict[int, PartitionMetrics] = field(default_factory=dict)
    windows_sent: int = 0
    partitions_unread: int = 0
    gaps: int = 0
    punctuations_refused: int = 0
    sent: dict[tuple[str, int], int] = field(default_factory=dict)
    delivered: dict[tuple[str, int], int] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _written_at: float = 0.0
    _is_status_unwritable: bool = False

    def write_status_file(self, *, now: bool = False) -> None:
        """Write `flow-<process>.json` in the status folder, at most once a second."""
        if self.status_folder is None or (not now and self.clock() - self._written_at < 1):
            return
        with self._lock:
            self._written_at = self.clock()
            try:
                self.status_folder.mkdir(parents=True, exist_ok=True)
                path = self.status_folder / f"flow-{self.process}.json"
                write_atomically(path, json.dumps(self.status()))
            except OSError as error:
                self._warn_of_status_file(error)
            else:
                self._is_status_unwritable = False

    def record_delivered(self, sent: Mapping[tuple[str, int], int]) -> None:
        """Record that what had been sent up to these watermarks is delivered."""
        if sent.items() <= self.delivered.items():
            return
        self.delivered |= sent
        # After the last snapshot there is no further write.
        self.write_status_file(now=True)

    def _warn_of_status_file(self, error: OSError) -> None:
        """Log once that the status file can't be written; the flow does not need it."""
        if not self._is_status_unwritable:
            _log.warning("MOBILITY_STATUS_DIR=%s can't be written: %s", self.status_folder, error)
        self._is_status_unwritable = True

    @property
    def counts(self) -> MessageCounts:
        """What became of the messages of all partitions."""
        return sum((p.counts for p in list(self.partitions.values())), MessageCounts())

    @property
    def watermark(self) -> int | None:
        """The minimum watermark of the active partitions, or of all if none is active."""
        partitions = list(self.partitions.values())
        active = [p for p in partitions if p.status not in {"idle", "finished"}]
        return min_watermark(p.watermark for p in active or partitions)

    @property
    def lag(self) -> int:
        """The number of messages that this process has not read yet."""
        return sum(p.lag for p in list(self.partitions.values()))

    def status(self) -> dict[str, object]:
        """Return the content of the status file; times in epoch ms."""
        return {
            "process": self.process,
            "pid": os.getpid(),
            "at": round(self.clock() * 1_000),
            **msgspec.structs.asdict(self.counts),
            "windows_out": self.windows_sent,
            "partitions_unread": self.partitions_unread,
            "gaps": self.gaps,
            "punctuations_refused": self.punctuations_refused,
            "delivered": self._delivered_by_entity(),
            "watermark": self.watermark,
            "lag": self.lag,
            "partitions": {
                str(number): {"watermark": p.watermark, "status": p.status, "lag": p.lag}
                for number, p in sorted(self.partitions.items())
            },
        }

    def _delivered_by_entity(self) -> dict[str, dict[str, int]]:
        watermarks: dict[str, dict[str, int]] = {entity.name: {} for entity in ENTITIES}
        for (entity, shard), watermark in sorted(self.delivered.items()):
            watermarks[entity][str(shard)] = watermark
        return watermarks
