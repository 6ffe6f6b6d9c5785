"""Commands run with the settings of a running system."""

import os
import subprocess
import sys
from pathlib import Path

from stack.checkout import ROOT, clean_environ, module_environ
from stack.processes import delete_record, identify, save_record
from stack.with_settings import running_settings, save_settings

SHOW = "import os; print(os.environ.get('MOBILITY_KAFKA'), os.environ.get('MOBILITY_SHARDS'))"


def shown(folder: Path, **given: str) -> str:
    """Return what a command finds in its environment."""
    clean = clean_environ()
    return subprocess.check_output(
        [sys.executable, "-m", "stack.with_settings", folder, sys.executable, "-c", SHOW],
        cwd=ROOT,
        env=module_environ(clean | given),
        text=True,
    ).strip()


def test_a_command_has_the_settings_of_the_running_system(tmp_path: Path) -> None:
    """While it runs, unless the caller sets another value; other users can't read them."""
    save_settings(tmp_path, {"MOBILITY_KAFKA": "k:1", "MOBILITY_SHARDS": "2", "HOME": "/x"})
    assert shown(tmp_path) == "None None"
    save_record(tmp_path, "up", identify(os.getpid()))
    assert running_settings(tmp_path) == {"MOBILITY_KAFKA": "k:1", "MOBILITY_SHARDS": "2"}
    assert shown(tmp_path) == "k:1 2"
    assert shown(tmp_path, MOBILITY_SHARDS="8") == "k:1 8"
    assert (tmp_path / "up.environ").stat().st_mode & 0o077 == 0
    delete_record(tmp_path, "up")
    assert running_settings(tmp_path) == {}


def test_a_starting_system_has_no_settings_yet(tmp_path: Path) -> None:
    """Without the file a command is run without changes."""
    save_record(tmp_path, "up", identify(os.getpid()))
    assert running_settings(tmp_path) == {}
