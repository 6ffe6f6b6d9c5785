"""A wall clock for whole processes that a test can set: libfaketime, which is preloaded."""

import os
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Final

import pytest

_LIBRARY: Final = "vendor/libfaketime/src/libfaketime.so.1"


class Clock:
    """What processes started with `environ` take for the time: the machine's, plus an offset.

    Only the wall clock moves. A monotonic clock never steps, on a machine whose time is set as
    little as here.
    """

    def __init__(self, folder: Path) -> None:
        self._offset = folder / "clock"
        self.offset = 0
        self.step(0)

    @property
    def environ(self) -> dict[str, str]:
        """What a process needs in its environment to live by this clock."""
        return {
            "LD_PRELOAD": str(_library()),
            "FAKETIME_TIMESTAMP_FILE": str(self._offset),
            "FAKETIME_NO_CACHE": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
            "FAKETIME_DISABLE_SHM": "1",
        }

    def step(self, seconds: int) -> None:
        """Set the clock forward, or back: at once, also for processes that run already."""
        self.offset += seconds
        draft = self._offset.with_suffix(".new")
        draft.write_text(f"{self.offset:+d}\n")
        draft.replace(self._offset)  # whole: it is read at every look at the clock


def _library() -> Path:
    spec = find_spec("libfaketime") if sys.platform == "linux" else None
    if spec is None or spec.origin is None:
        reason = "no clock can be injected: the package libfaketime is not installed"
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)
    return Path(spec.origin).parent / _LIBRARY
