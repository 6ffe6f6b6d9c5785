"""A fake component of the system: `python -m fake_component NAME [EVENT CODE]`.

It appends events to the file FAKE_EVENTS, and exits with 0 on SIGTERM, or with CODE after EVENT.
"""

import os
import signal
import sys
import time
from pathlib import Path
from types import FrameType

EVENTS = Path(os.environ["FAKE_EVENTS"])
NAME, *EXIT = sys.argv[1:]


def note(what: str) -> None:
    """Append an event."""
    with EVENTS.open("a", encoding="utf-8") as file:
        file.write(f"{what} {NAME}\n")


def leave(_number: int, _frame: FrameType | None) -> None:
    """Exit after a delay, in which no other component may be stopped."""
    time.sleep(0.2)
    note("stopped")
    sys.exit(0)


signal.signal(signal.SIGTERM, leave)
note("started")
while not EXIT or EXIT[0] not in EVENTS.read_text().splitlines():
    time.sleep(0.05)
print("what went wrong")  # noqa: T201 - its log
sys.exit(int(EXIT[1]))
