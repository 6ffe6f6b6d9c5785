"""What a start refuses before anything is connected."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from dataflows.starting import process_number

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(
    "command",
    [
        ["-m", "bytewax.run", "dataflows.main"],
        ["-m", "bytewax.run", "dataflows.serving"],
        ["-m", "dataflows", "-r", "never-made"],
    ],
)
def test_bad_settings_end_the_start_with_every_fault(command: list[str], tmp_path: Path) -> None:
    """Exit code 2, one line a fault, no secret, and nothing was made."""
    environ = {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": str(ROOT),
        "MOBILITY_WINDOW": "0",
        "MOBILITY_WINDOWS": "300",
        "MOBILITY_REDIS": "http://hub:s3cret@h",
    }
    run = subprocess.run(
        [sys.executable, *command],
        cwd=tmp_path,
        env=environ,
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 2
    for name in ("MOBILITY_WINDOW=0:", "MOBILITY_WINDOWS:", "MOBILITY_REDIS="):
        assert sum(line.startswith(name) for line in run.stderr.splitlines()) == 1
    assert "s3cret" not in run.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "environ", "number"),
    [
        ([], None, 0),
        (["-i", "2", "-a", "x"], None, 2),
        (["--process-id", "1"], None, 1),
        ([], "3", 3),
        (["-i"], None, 0),
    ],
)
def test_the_process_number_is_the_one_bytewax_was_told(
    monkeypatch: pytest.MonkeyPatch, arguments: list[str], environ: str | None, number: int
) -> None:
    """Status files are told apart by it."""
    monkeypatch.setattr(sys, "argv", ["run", *arguments])
    monkeypatch.delenv("BYTEWAX_PROCESS_ID", raising=False)
    if environ is not None:
        monkeypatch.setenv("BYTEWAX_PROCESS_ID", environ)
    assert process_number() == number
