"""The status record of one process of a flow, for the stores and the API."""

import os
import socket
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from typing import Final

from msgspec.structs import asdict

from mobility.entities import Entity
from mobility.status import (
    FlowStatus,
    MessageCounts,
    Outcomes,
    PartitionStatus,
    Rates,
    encode_status,
)
from mobility.watermarks import min_watermark
from runtime.flow_metrics import FlowMetrics
from runtime.flows import FlowName

_RATE_SECONDS: Final = 10.0
"""A rate is the mean over so many seconds."""


class StatusReporter:
    """Makes the status record of a process from its metrics, one set per topic, when it is asked.

    Only what no metric holds is recorded here; the flow spends nothing else on it. `clock` returns
    epoch seconds; rates are computed between the moments at which records were asked for.
    """

    def __init__(
        self,
        flow: FlowName,
        process: int,
        metrics: Mapping[str, FlowMetrics],
        clock: Callable[[], float] = time.time,
        *,
        counted_since: Mapping[str, int] | None = None,
    ) -> None:
        self.name = f"{'flow' if flow == 'main' else flow}-{process}"
        self._flow: FlowName = flow
        self._metrics = metrics
        self._clock = clock
        self._counted_since = dict(counted_since or {})
        self._snapshot_at: int | None = None
        self._windows = 0
        self._refusals: dict[str, str] = {}
        self._waits: Callable[[], Mapping[str, str]] = dict
        self._samples: deque[tuple[float, int, int]] = deque()
        self._lock = threading.Lock()

    def record_snapshot(self) -> None:
        """Record that an epoch ends: all before it is in the stores, and a snapshot is made."""
        self._snapshot_at = round(self._clock() * 1_000)

    def record_queued(self, windows: int) -> None:
        """Record that so many windows were queued for the stores."""
        with self._lock:
            self._windows += windows

    def record_amount_too_large(self, entity: Entity, reason: str | None) -> None:
        """Record what a store can't hold of an entity; None: it can now."""
        with self._lock:
            refusals = {n: text for n, text in self._refusals.items() if n != entity.name}
            self._refusals = refusals if reason is None else {**refusals, entity.name: reason}

    def watch_stores(self, waits: Callable[[], Mapping[str, str]]) -> None:
        """Ask `waits` at each record why stores are waited for, by their names."""
        self._waits = waits

    def status_record(self) -> bytes:
        """Return the status record as it is now."""
        metrics = self._metrics.values()
        counts = sum((each.counts for each in metrics), MessageCounts())
        return encode_status(
            FlowStatus(
                flow=self._flow,
                at=round(self._clock() * 1_000),
                host=socket.gethostname(),
                pid=os.getpid(),
                watermark=min_watermark(each.watermark for each in metrics),
                lag=sum(each.lag for each in metrics),
                partitions=tuple(self._partitions()),
                rates=self._rates(counts.counted),
                counts=Outcomes(**asdict(counts), windows_out=self._windows),
                snapshot_at=self._snapshot_at,
                punctuations_refused=sum(each.punctuations_refused for each in metrics),
                partitions_unread=sum(each.partitions_unread for each in metrics),
                gaps=sum(each.gaps for each in metrics),
                counted_since=self._counted_since,
                refusals=self._refusals,
                waits=dict(self._waits()),
            )
        )

    def _partitions(self) -> Iterator[PartitionStatus]:
        for topic, metrics in self._metrics.items():
            for number, partition in sorted(metrics.partitions.items()):
                position = partition.position
                yield PartitionStatus(
                    topic=topic,
                    partition=number,
                    position=position,
                    end=None if position is None else position + partition.lag,
                    lag=partition.lag,
                    watermark=partition.watermark,
                    status=partition.status,
                )

    def _rates(self, trips: int) -> Rates:
        now = self._clock()
        with self._lock:
            samples, windows = self._samples, self._windows
            samples.append((now, trips, windows))
            while len(samples) > 1 and now - samples[0][0] > _RATE_SECONDS:
                samples.popleft()
            since, trips_then, windows_then = samples[0]
        seconds = now - since
        if seconds <= 0:
            return Rates()
        return Rates(
            trips_per_s=round((trips - trips_then) / seconds, 1),
            windows_per_s=round((windows - windows_then) / seconds, 1),
        )
