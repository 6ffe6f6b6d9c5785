"""A fake component of the system: `python -m fake_component NAME [EXIT_AFTER CODE]`.

It appends events to the file FAKE_EVENTS, and exits with 0 on SIGTERM.
"""

import os
import signal
import sys
import time
from pathlib import Path
from types import FrameType


def note(what: str) -> None:
    """Append an event."""
    with Path(os.environ["FAKE_EVENTS"]).open("a", encoding="utf-8") as file:
        file.write(f"{what} {sys.argv[1]}\n")


def leave(_number: int, _frame: FrameType | None) -> None:
    """Exit after a delay, in which no other component may be stopped."""
    time.sleep(0.2)
    note("stopped")
    sys.exit(0)


signal.signal(signal.SIGTERM, leave)
note("started")
if len(sys.argv) > 2:
    time.sleep(float(sys.argv[2]))
    print("what went wrong")  # noqa: T201 - its log
    sys.exit(int(sys.argv[3]))
while True:
    time.sleep(0.05)
