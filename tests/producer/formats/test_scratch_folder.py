"""Scratch folders are removed, also those of processes that were killed."""

import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from producer.formats.scratch_folder import scratch_folder
from tests.waiting import DEADLINE

ROOT = Path(__file__).parents[3]
PREFIX = "mobility-test-"
OWNER = f"""
import sys
from producer.formats.scratch_folder import scratch_folder
with scratch_folder("{PREFIX}") as folder:
    (folder / "run").write_text("trips")
    print(folder, flush=True)
    sys.stdin.read()
"""


@pytest.fixture(autouse=True)
def _own_temporary_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))


@contextmanager
def owner() -> Iterator[tuple[subprocess.Popen[str], Path]]:
    """Run a process that has a scratch folder with a file in it."""
    command = [sys.executable, "-c", OWNER]
    with subprocess.Popen(
        command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        yield process, Path(process.stdout.readline().strip())
        process.kill()


def test_a_folder_ends_with_its_context(tmp_path: Path) -> None:
    """Also after an error."""

    def fail() -> None:
        with scratch_folder(PREFIX) as folder:
            (folder / "run").write_text("trips")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert list(tmp_path.iterdir()) == []


def test_what_a_killed_process_left_is_removed() -> None:
    """By the next one that has a folder of this kind, and no sooner than its owner has ended."""
    with owner() as (process, folder):
        with scratch_folder(PREFIX) as other:
            assert (folder / "run").exists()
            assert other != folder
        process.kill()
        process.wait(DEADLINE)
        assert folder.exists()
        with scratch_folder(PREFIX), scratch_folder("mobility-other-"):
            assert not folder.exists()
