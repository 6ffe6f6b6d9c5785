"""A wall clock for whole processes that a test can set: clock.c, compiled here and preloaded."""

import shutil
import struct
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest

_SOURCE: Final = Path(__file__).with_name("clock.c")


class Clock:
    """What processes started with `environ` take for the time: the machine's, plus an offset.

    Only the wall clock moves: a monotonic one is never set, on any machine.
    """

    def __init__(self, folder: Path) -> None:
        self.offset = 0
        self._file = folder / "clock"
        self._file.touch()
        self._library = _compiled(folder)
        self.step(0)

    @property
    def environ(self) -> dict[str, str]:
        """What a process needs in its environment to live by this clock."""
        return {"LD_PRELOAD": str(self._library), "CHAOS_CLOCK": str(self._file)}

    def step(self, seconds: int) -> None:
        """Set the clock forward, or back: at once, also for processes that run already."""
        self.offset += seconds
        # In place, as it is mapped, and in one write, as it is read at any time.
        with self._file.open("r+b", buffering=0) as file:
            file.write(struct.pack("=q", self.offset))


def _compiled(folder: Path) -> Path:
    compiler = shutil.which("cc") if sys.platform == "linux" else None
    if compiler is None:
        pytest.skip("no clock can be injected: that takes Linux and a C compiler")
    library = folder / "clock.so"
    subprocess.run(
        [compiler, "-shared", "-fPIC", "-O1", "-Wall", "-Werror", "-o", library, _SOURCE],
        check=True,
    )
    return library
