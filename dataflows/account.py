"""What one process of a flow says of itself, as a status record for the stores."""

import os
import socket
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict
from typing import Final, Literal

from dataflows.board import Board
from dataflows.intake import Counts
from mobility.status import FlowStatus, Outcomes, PartitionStatus, Rates, encode_status

_SPAN: Final = 10.0
"""Seconds that a rate is the mean of."""


class Account:
    """Sums up the boards of a process, one a topic, whenever it is asked to.

    Only what no board knows is noted here; the flow spends nothing else on it. `clock` gives epoch
    seconds, and rates are worked out between the moments when records were asked for.
    """

    def __init__(
        self,
        flow: Literal["main", "serving"],
        process: int,
        boards: Mapping[str, Board],
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.name = f"{'flow' if flow == 'main' else flow}-{process}"
        self._flow: Literal["main", "serving"] = flow
        self._boards = boards
        self._clock = clock
        self._snapshot_at: int | None = None
        self._windows = 0
        self._samples: deque[tuple[float, int, int]] = deque()
        self._lock = threading.Lock()

    def note_snapshot(self) -> None:
        """Take down that an epoch ends: all before it is in the stores, and a snapshot is made."""
        self._snapshot_at = round(self._clock() * 1_000)

    def note_written(self, windows: int) -> None:
        """Take down that windows were written to the stores."""
        with self._lock:
            self._windows += windows

    def record(self) -> bytes:
        """Return the status record as it is now."""
        boards = self._boards.values()
        watermarks = [board.watermark for board in boards]
        known = [watermark for watermark in watermarks if watermark is not None]
        counts = sum((board.counts for board in boards), Counts())
        return encode_status(
            FlowStatus(
                flow=self._flow,
                at=round(self._clock() * 1_000),
                host=socket.gethostname(),
                pid=os.getpid(),
                watermark=min(known) if known and len(known) == len(watermarks) else None,
                lag=sum(board.lag for board in boards),
                partitions=tuple(self._partitions()),
                rates=self._rates(counts.counted),
                counts=Outcomes(**asdict(counts), windows_out=self._windows),
                snapshot_at=self._snapshot_at,
                punctuations_refused=sum(board.punctuations_refused for board in boards),
                partitions_unread=sum(board.partitions_unread for board in boards),
                gaps=sum(board.gaps for board in boards),
            )
        )

    def _partitions(self) -> Iterator[PartitionStatus]:
        for topic, board in self._boards.items():
            for number, standing in sorted(board.standings.items()):
                position = standing.position
                yield PartitionStatus(
                    topic=topic,
                    partition=number,
                    position=position,
                    end=None if position is None else position + standing.lag,
                    lag=standing.lag,
                    watermark=standing.watermark,
                    status=standing.status,
                )

    def _rates(self, trips: int) -> Rates:
        now = self._clock()
        with self._lock:
            samples, windows = self._samples, self._windows
            samples.append((now, trips, windows))
            while len(samples) > 1 and now - samples[0][0] > _SPAN:
                samples.popleft()
            since, trips_then, windows_then = samples[0]
        seconds = now - since
        if seconds <= 0:
            return Rates()
        return Rates(
            trips_per_s=round((trips - trips_then) / seconds, 1),
            windows_per_s=round((windows - windows_then) / seconds, 1),
        )
