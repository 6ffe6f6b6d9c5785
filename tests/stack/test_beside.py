"""Commands beside a running system have its settings."""

import os
import subprocess
import sys
from pathlib import Path

from stack.beside import leave_settings, settings_beside
from stack.checkout import ROOT, module_environ
from stack.processes import forget, identify, write_down

SHOW = "import os; print(os.environ.get('MOBILITY_KAFKA'), os.environ.get('MOBILITY_SHARDS'))"


def shown(folder: Path, **given: str) -> str:
    """Return what a command beside the folder's system finds in its environment."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("MOBILITY_")}
    return subprocess.check_output(
        [sys.executable, "-m", "stack.beside", folder, sys.executable, "-c", SHOW],
        cwd=ROOT,
        env=module_environ(clean | given),
        text=True,
    ).strip()


def test_a_command_has_the_settings_of_the_system_beside_it(tmp_path: Path) -> None:
    """As long as it runs, and below those of the caller; nobody else may read them."""
    leave_settings(tmp_path, {"MOBILITY_KAFKA": "k:1", "MOBILITY_SHARDS": "2", "HOME": "/x"})
    assert shown(tmp_path) == "None None"
    write_down(tmp_path, "up", identify(os.getpid()))
    assert settings_beside(tmp_path) == {"MOBILITY_KAFKA": "k:1", "MOBILITY_SHARDS": "2"}
    assert shown(tmp_path) == "k:1 2"
    assert shown(tmp_path, MOBILITY_SHARDS="8") == "k:1 8"
    assert (tmp_path / "up.environ").stat().st_mode & 0o077 == 0
    forget(tmp_path, "up")
    assert settings_beside(tmp_path) == {}


def test_a_system_that_is_starting_has_none_yet(tmp_path: Path) -> None:
    """Without the file there is nothing to take over."""
    write_down(tmp_path, "up", identify(os.getpid()))
    assert settings_beside(tmp_path) == {}
