"""A wall clock for whole processes that a test can set: libfaketime, which is preloaded."""

import os
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Final, NoReturn

import pytest

_LIBRARY: Final = "vendor/libfaketime/src/libfaketime.so.1"
_WAITS: Final = Path(__file__).with_name("clock_waits.c")


class Clock:
    """What processes started with `environ` take for the time: the machine's, plus an offset.

    Only the wall clock moves: a monotonic one is never set, on any machine.
    """

    def __init__(self, folder: Path) -> None:
        self.offset = 0
        self._file = folder / "clock"
        self._libraries = f"{_waits(folder)}:{_libfaketime()}"
        self.step(0)

    @property
    def environ(self) -> dict[str, str]:
        """What a process needs in its environment to live by this clock."""
        return {
            "LD_PRELOAD": self._libraries,
            "FAKETIME_TIMESTAMP_FILE": str(self._file),
            "FAKETIME_NO_CACHE": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
            "FAKETIME_DISABLE_SHM": "1",
        }

    def step(self, seconds: int) -> None:
        """Set the clock forward, or back: at once, also for processes that run already."""
        self.offset += seconds
        draft = self._file.with_suffix(".new")
        draft.write_text(f"{self.offset:+d}\n")
        draft.replace(self._file)  # whole: it is read at every look at the clock


def _libfaketime() -> Path:
    spec = find_spec("libfaketime") if sys.platform == "linux" else None
    if spec is None or spec.origin is None:
        _do_without("the package libfaketime is not installed")
    return Path(spec.origin).parent / _LIBRARY


def _waits(folder: Path) -> Path:
    compiler = shutil.which("cc")
    if compiler is None:
        _do_without("there is no C compiler")
    library = folder / "clock_waits.so"
    subprocess.run([compiler, "-shared", "-fPIC", "-O1", "-o", library, _WAITS], check=True)
    return library


def _do_without(reason: str) -> NoReturn:
    told = f"no clock can be injected: {reason}"
    if os.environ.get("CI") == "true":
        pytest.fail(told)
    pytest.skip(told)
