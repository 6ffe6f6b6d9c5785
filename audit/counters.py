"""The counters of a running audit since its start, as they are written to its status."""

import json
import os
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

from audit.rounds import CheckResult
from mobility.files import write_atomically
from mobility.status import AuditStatus, encode_status


@dataclass(slots=True)
class AuditCounters:
    """What a running audit has found since its start; times in epoch ms.

    Fields are named as in `audit.json` and in the status record. `drift` counts the windows that
    differed, and of totals the most that differed at once; `drifts` is the same per store or topic.
    `amended` counts windows of backfills that were left out; `behind` are the window starts that
    are read but not compared yet.
    """

    rounds: int = 0
    failures: int = 0
    checked: int = 0
    amended: int = 0
    drift: int = 0
    drifts: dict[str, int] = field(default_factory=dict)
    behind: int = 0
    last_success: int | None = None

    def add_round(self, results: Sequence[CheckResult], behind: int) -> None:
        """Add the results of a round."""
        for result in results:
            output, differences = result.comparison.output, result.comparison.differences
            before = self.drifts.get(output, 0)
            self.drifts[output] = (
                max(before, differences) if result.is_recurring else before + differences
            )
        checked = sum(result.comparison.expected for result in results)
        self.rounds += 1
        self.checked += checked
        self.amended += sum(result.backfilled for result in results)
        self.drift = sum(self.drifts.values())
        self.behind = behind
        if checked and not any(result.comparison.differences for result in results):
            self.last_success = round(time.time() * 1_000)

    def status_record(self) -> bytes:
        """Return the status record for the stores."""
        now = round(time.time() * 1_000)
        return encode_status(AuditStatus(at=now, **asdict(self)))

    def write(self, folder: Path) -> None:
        """Replace `audit.json` in the folder of status files."""
        folder.mkdir(parents=True, exist_ok=True)
        record = {"pid": os.getpid(), "at": round(time.time() * 1_000), **asdict(self)}
        write_atomically(folder / "audit.json", json.dumps(record))
