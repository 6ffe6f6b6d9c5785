"""What one process of the flow knows of itself: where its partitions stand, and what went out."""

import json
import os
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path

from dataflows.intake import Counts
from dataflows.items import Status


@dataclass(slots=True)
class Standing:
    """Where a partition stands: event time in epoch ms, `lag` in messages behind the log's end."""

    latest: int | None = None
    watermark: int | None = None
    status: Status = "behind"
    lag: int = 0
    counts: Counts = field(default_factory=Counts)


@dataclass(slots=True)
class Board:
    """The standings of the partitions that this process reads, shared by its workers."""

    alignment_ms: int
    process: int = 0
    folder: Path | None = None
    clock: Callable[[], float] = time.time
    standings: dict[int, Standing] = field(default_factory=dict)
    windows_out: int = 0
    partitions_unread: int = 0
    gaps: int = 0
    punctuations_refused: int = 0
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
        self._published = self.clock()
        self.folder.mkdir(parents=True, exist_ok=True)
        path = self.folder / f"flow-{self.process}.json"
        draft = path.with_suffix(".tmp")
        draft.write_text(json.dumps(self.status()))
        draft.replace(path)

    def status(self) -> dict[str, object]:
        """Return the status record of this process; times in epoch ms."""
        standings = self.standings.values()
        watermarks = [s.watermark for s in standings if s.status not in ("idle", "finished")]
        watermarks = watermarks or [s.watermark for s in standings]
        known = [watermark for watermark in watermarks if watermark is not None]
        total = sum((s.counts for s in standings), Counts())
        return {
            "process": self.process,
            "pid": os.getpid(),
            "at": round(self.clock() * 1_000),
            **asdict(total),
            "windows_out": self.windows_out,
            "partitions_unread": self.partitions_unread,
            "gaps": self.gaps,
            "punctuations_refused": self.punctuations_refused,
            "watermark": min(known) if known and len(known) == len(watermarks) else None,
            "lag": sum(s.lag for s in standings),
            "partitions": {
                str(number): {"watermark": s.watermark, "status": s.status, "lag": s.lag}
                for number, s in sorted(self.standings.items())
            },
        }
