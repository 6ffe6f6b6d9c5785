"""Measured commands."""

import os
import sys
from pathlib import Path

import pytest

from benchmarks.timed_command import BenchmarkError, run_timed

BUSY = """
import subprocess, sys
held = bytearray(120_000_000)
subprocess.run([sys.executable, "-c", "x = bytearray(60_000_000)\\nfor _ in range(10**7): pass"])
"""


def test_children_are_included(tmp_path: Path) -> None:
    """CPU and memory include those of child processes."""
    log = tmp_path / "log"
    run = run_timed([sys.executable, "-c", BUSY], log, environ=dict(os.environ))
    assert run.peak_mb > 100
    assert run.cpu_seconds > 0.05
    assert run.seconds > 0.05


def test_an_error_has_the_output_of_the_command(tmp_path: Path) -> None:
    """And its exit code."""
    command = [sys.executable, "-c", "print('no such topic'); raise SystemExit(3)"]
    with pytest.raises(BenchmarkError, match=r"exit code 3(.|\n)*no such topic"):
        run_timed(command, tmp_path / "log", environ=dict(os.environ))


def test_a_command_that_takes_too_long_is_killed(tmp_path: Path) -> None:
    """No process is left."""
    command = [sys.executable, "-c", "import time; time.sleep(60)"]
    with pytest.raises(BenchmarkError, match="took more than"):
        run_timed(command, tmp_path / "log", environ=dict(os.environ), limit=0.3)
