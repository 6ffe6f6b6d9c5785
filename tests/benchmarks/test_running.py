"""Commands and what they took."""

import os
import sys
from pathlib import Path

import pytest

from benchmarks.running import BenchmarkError, timed

BUSY = """
import subprocess, sys
held = bytearray(120_000_000)
subprocess.run([sys.executable, "-c", "x = bytearray(60_000_000)\\nfor _ in range(10**7): pass"])
"""


def test_children_are_counted_in(tmp_path: Path) -> None:
    """CPU and memory are those of the command and of what it starts."""
    log = tmp_path / "log"
    run = timed([sys.executable, "-c", BUSY], log, environ=dict(os.environ))
    assert run.peak_mb > 100
    assert run.cpu_seconds > 0.05
    assert run.seconds > 0.05


def test_a_failure_shows_what_was_said(tmp_path: Path) -> None:
    """With its exit code."""
    command = [sys.executable, "-c", "print('no such topic'); raise SystemExit(3)"]
    with pytest.raises(BenchmarkError, match=r"exit code 3(.|\n)*no such topic"):
        timed(command, tmp_path / "log", environ=dict(os.environ))


def test_what_takes_too_long_is_ended(tmp_path: Path) -> None:
    """Nothing of it stays."""
    command = [sys.executable, "-c", "import time; time.sleep(60)"]
    with pytest.raises(BenchmarkError, match="took more than"):
        timed(command, tmp_path / "log", environ=dict(os.environ), limit=0.3)
