"""`python -m stack.up`: the whole system until Ctrl-C (`just up` and `just down`)."""

import argparse
import asyncio
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from mobility.settings import SettingsError, read_settings
from mobility.value_settings import unwritable
from stack.components import system_components
from stack.docker import compose_down, compose_up, is_docker_available
from stack.live_system import (
    MakeComponents,
    SystemPlan,
    describe_running,
    lock_folder,
    run_system,
    stop_everything,
)
from stack.services import STATE_FOLDER, open_folder
from stack.workspace import WorkspaceError, find_workspace, workspace_name
from stack.workspace_run import run_workspace

_USAGE: Final = "just up [native | docker | FILE...] [--name NAME] [options]"
_DESCRIPTION: Final = (
    "Run the whole system until Ctrl-C: on the trips of files, in a workspace of their own, or on "
    "those of a synthetic city: with docker if an engine answers, else native."
)
_EPILOG: Final = (
    "How files are read, options of the producer say: --format, --columns, --timezone, "
    "--distance-unit, --vehicle-type, --as-is; --rejects FILE gets the rows that are left out; "
    "--drivers, --passengers and --locations name tables to join."
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; return its exit code."""
    try:
        return _run(_parser(), arguments)
    except (SettingsError, WorkspaceError) as error:
        sys.stderr.write(f"{error}\n")
        return 2
    except KeyboardInterrupt:  # while files are looked at; a system that runs stops in order
        return 130


def _run(parser: argparse.ArgumentParser, arguments: Sequence[str] | None) -> int:
    found, words = parser.parse_known_args(arguments)
    folder = (found.folder or STATE_FOLDER).absolute()
    match words:
        case ["down"]:
            return _stop(folder, found.name)
        case [] if found.name is None:
            return _docker() if is_docker_available() else run_native(folder)
        case ["native" | "docker"] if found.name is not None:
            parser.error("--name is for workspaces of files, the sample city has none")
        case ["docker"]:
            return _docker()
        case ["native"]:
            return run_native(folder)
    _check_writable()
    return run_workspace(folder, found.name, words)


def _docker() -> int:
    try:
        compose_up()
    except OSError as error:
        sys.stderr.write(f"Docker can't be run: {error}. `just up native` needs no Docker.\n")
    return 1


def run_native(folder: Path, make_components: MakeComponents = system_components) -> int:
    """Run a system on native services until it is stopped; return the exit code.

    If one runs in the folder already, print that and return 0.
    """
    _check_writable()
    open_folder(folder)
    lock = lock_folder(folder)
    if lock is None:
        sys.stdout.write(f"{describe_running(folder, 'just down')}\n")
        return 0
    with lock:
        return run_system(folder, lock, SystemPlan(make_components))


def _check_writable() -> None:
    if faults := list(unwritable(read_settings(os.environ), "the producer of `just up`")):
        raise SettingsError(faults)


def _stop(folder: Path, name: str | None) -> int:
    state = folder if name is None else find_workspace(folder, name).folder
    if state.exists():
        stopped = asyncio.run(stop_everything(state))
        sys.stdout.write(f"stopped: {', '.join(stopped) or 'nothing was running'}\n")
    return compose_down() if name is None and is_docker_available() else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="just up",
        usage=_USAGE,
        description=_DESCRIPTION,
        epilog=_EPILOG,
        allow_abbrev=False,
    )
    parser.add_argument(
        "--name",
        type=workspace_name,
        help="the workspace (default: named like the first file); without files it starts again",
    )
    parser.add_argument("--folder", type=Path, help="state folder (default: .mobility)")
    return parser


if __name__ == "__main__":
    sys.exit(main())
