"""What a watch has found since its start, for those who look at a file."""

import json
import os
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

from audit.checks import Check
from mobility.files import write_atomically
from mobility.status import AuditStatus, encode_status


@dataclass(slots=True)
class Tally:
    """What a watch has found since its start; times in epoch ms.

    `drift` counts the windows that differed, and totals as many as did at once, `drifts` the same a
    place; `behind` are the window starts that are followed but not compared yet.
    """

    rounds: int = 0
    failures: int = 0
    checked: int = 0
    amended: int = 0
    drift: int = 0
    drifts: dict[str, int] = field(default_factory=dict)
    behind: int = 0
    last_success: int | None = None

    def note(self, checks: Sequence[Check], behind: int) -> None:
        """Take in a round."""
        for check in checks:
            place, found = check.comparison.place, check.comparison.differences
            before = self.drifts.get(place, 0)
            self.drifts[place] = max(before, found) if check.standing else before + found
        checked = sum(check.comparison.expected for check in checks)
        self.rounds += 1
        self.checked += checked
        self.amended += sum(check.amended for check in checks)
        self.drift = sum(self.drifts.values())
        self.behind = behind
        if checked and not any(check.comparison.differences for check in checks):
            self.last_success = round(time.time() * 1_000)

    def record(self) -> bytes:
        """Return the status record for the stores."""
        now = round(time.time() * 1_000)
        return encode_status(AuditStatus(at=now, **asdict(self)))

    def write(self, folder: Path) -> None:
        """Replace `audit.json` in the folder of status files."""
        folder.mkdir(parents=True, exist_ok=True)
        record = {"pid": os.getpid(), "at": round(time.time() * 1_000), **asdict(self)}
        write_atomically(folder / "audit.json", json.dumps(record))
