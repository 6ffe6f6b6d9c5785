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


def test_a_command_on_a_workspace_has_its_settings_and_its_folder(tmp_path: Path) -> None:
    """Paths in the state folder become those of the workspace; it has to run."""
    inside = tmp_path / "workspaces" / "city"
    inside.mkdir(parents=True)
    save_settings(inside, {"MOBILITY_KAFKA": "k:2"})
    show = "import os, sys; print(os.environ.get('MOBILITY_KAFKA'), *sys.argv[1:])"
    words = (sys.executable, "-c", show, f"{tmp_path}/backfills", "--name", "city", "--all")
    command = [sys.executable, "-m", "stack.with_settings", str(tmp_path), *words]
    environ = module_environ(clean_environ())
    found = subprocess.run(
        command, cwd=ROOT, env=environ, capture_output=True, text=True, check=False
    )
    assert found.returncode == 2
    assert found.stderr == "workspace city is not running: `just up --name city` starts it\n"
    save_record(inside, "up", identify(os.getpid()))
    printed = subprocess.check_output(command, cwd=ROOT, env=environ, text=True)
    assert printed == f"k:2 {inside}/backfills --all\n"


def test_a_starting_system_has_no_settings_yet(tmp_path: Path) -> None:
    """Without the file a command is run without changes."""
    save_record(tmp_path, "up", identify(os.getpid()))
    assert running_settings(tmp_path) == {}
