"""What one process of the flow knows of itself: where its partitions stand, and what went out."""

import json
import os
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

from dataflows.intake import Counts
from dataflows.items import Status
from mobility.entities import ENTITIES


@dataclass(slots=True)
class Standing:
    """Where a partition stands: event time in epoch ms, `lag` in messages behind the log's end.

    `position` is the offset that is read next.
    """

    latest: int | None = None
    watermark: int | None = None
    status: Status = "behind"
    lag: int = 0
    counts: Counts = field(default_factory=Counts)
    position: int | None = None


@dataclass(slots=True)
class Board:
    """The standings of the partitions that this process reads, shared by its workers.

    `sent` and `delivered` are watermarks (epoch ms) by entity and shard: all windows up to there
    were handed to Kafka's producer, or are known to be in `aggregated.*`.
    """

    alignment_ms: int
    process: int = 0
    folder: Path | None = None
    clock: Callable[[], float] = time.time
    standings: dict[int, Standing] = field(default_factory=dict)
    windows_out: int = 0
    partitions_unread: int = 0
    gaps: int = 0
    punctuations_refused: int = 0
    sent: dict[tuple[str, int], int] = field(default_factory=dict)
    delivered: dict[tuple[str, int], int] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _published: float = 0.0

    def is_ahead(self, partition: int) -> bool:
        """Tell whether a partition is to wait for slower ones (Flink's watermark alignment).

        Only partitions that are behind count: one at the end of its log has nothing to catch up.
        """
        mine = self.standings[partition]
        if mine.status != "behind" or mine.latest is None:
            return False
        others = [
            standing.latest
            for other, standing in self.standings.items()
            if other != partition and standing.status == "behind"
        ]
        return any(o is None or mine.latest - o > self.alignment_ms for o in others)

    def publish(self, *, now: bool = False) -> None:
        """Write the status file `flow-<process>.json` in the folder, at most once a second."""
        if self.folder is None or (not now and self.clock() - self._published < 1):
            return
        with self._lock:
            self._published = self.clock()
            self.folder.mkdir(parents=True, exist_ok=True)
            path = self.folder / f"flow-{self.process}.json"
            draft = path.with_suffix(".tmp")
            draft.write_text(json.dumps(self.status()))
            draft.replace(path)

    def note_delivered(self, sent: Mapping[tuple[str, int], int]) -> None:
        """Take down that what had been sent is delivered."""
        if sent.items() <= self.delivered.items():
            return
        self.delivered |= sent
        # Nothing may come after a last snapshot.
        self.publish(now=True)

    @property
    def counts(self) -> Counts:
        """What became of the messages of all partitions."""
        return sum((standing.counts for standing in list(self.standings.values())), Counts())

    @property
    def watermark(self) -> int | None:
        """The lowest watermark of the partitions that speak, or of all where none does."""
        standings = list(self.standings.values())
        watermarks = [s.watermark for s in standings if s.status not in ("idle", "finished")]
        watermarks = watermarks or [s.watermark for s in standings]
        known = [watermark for watermark in watermarks if watermark is not None]
        return min(known) if known and len(known) == len(watermarks) else None

    @property
    def lag(self) -> int:
        """Messages that this process has not read yet."""
        return sum(standing.lag for standing in list(self.standings.values()))

    def status(self) -> dict[str, object]:
        """Return what the status file holds; times in epoch ms."""
        return {
            "process": self.process,
            "pid": os.getpid(),
            "at": round(self.clock() * 1_000),
            **asdict(self.counts),
            "windows_out": self.windows_out,
            "partitions_unread": self.partitions_unread,
            "gaps": self.gaps,
            "punctuations_refused": self.punctuations_refused,
            "delivered": self._delivered_by_entity(),
            "watermark": self.watermark,
            "lag": self.lag,
            "partitions": {
                str(number): {"watermark": s.watermark, "status": s.status, "lag": s.lag}
                for number, s in sorted(self.standings.items())
            },
        }

    def _delivered_by_entity(self) -> dict[str, dict[str, int]]:
        marks: dict[str, dict[str, int]] = {entity.name: {} for entity in ENTITIES}
        for (entity, shard), watermark in sorted(self.delivered.items()):
            marks[entity][str(shard)] = watermark
        return marks
