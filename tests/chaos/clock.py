"""A wall clock for other processes that a test can set: clock.c, compiled and preloaded."""

import shutil
import struct
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest

_SOURCE: Final = Path(__file__).with_name("clock.c")


class Clock:
    """The time of processes that are started with `environ`: the machine's, plus an offset.

    Only the wall clock is changed, not the monotonic one.
    """

    def __init__(self, folder: Path) -> None:
        self.offset = 0
        self._file = folder / "clock"
        self._file.touch()
        self._library = _compiled(folder)
        self.step(0)

    @property
    def environ(self) -> dict[str, str]:
        """The variables for a process that uses this clock."""
        return {"LD_PRELOAD": str(self._library), "CHAOS_CLOCK": str(self._file)}

    def step(self, seconds: int) -> None:
        """Set the clock forward or back, at once, also for running processes."""
        self.offset += seconds
        # In place, because it is mapped, and in one write, because it is read at any time.
        with self._file.open("r+b", buffering=0) as file:
            file.write(struct.pack("=q", self.offset))


def _compiled(folder: Path) -> Path:
    compiler = shutil.which("cc") if sys.platform == "linux" else None
    if compiler is None:
        pytest.skip("the clock can't be set: that needs Linux and a C compiler")
    library = folder / "clock.so"
    subprocess.run(
        [compiler, "-shared", "-fPIC", "-O1", "-Wall", "-Werror", "-o", library, _SOURCE],
        check=True,
    )
    return library
