"""`python -m stack.workspaces`: list and delete workspaces (`just workspaces`, `just reset`)."""

import argparse
import asyncio
import os
import sys
from collections.abc import Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import Final
from zoneinfo import ZoneInfo

from rich.console import Console
from rich.table import Table

from stack.live_system import is_running, stop_everything
from stack.services import STATE_FOLDER, discard_folder
from stack.workspace import Workspace, WorkspaceError, find_workspace, workspace_name, workspaces

_BLOCK: Final = 512
_NAMED_FILES: Final = 2
_WIDTH_WITHOUT_TERMINAL: Final = 160


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; return its exit code."""
    found = _parser().parse_args(arguments)
    state = (found.folder or STATE_FOLDER).absolute()
    try:
        if found.command == "list":
            return _list(state)
        return _reset(find_workspace(state, found.name), is_sure=found.yes)
    except WorkspaceError as error:
        sys.stderr.write(f"{error}\n")
        return 2


def _list(state: Path) -> int:
    found = list(workspaces(state))
    if not found:
        sys.stdout.write("no workspaces: `just up FILE...` makes one\n")
        return 0
    table = Table(box=None)
    for heading in ("workspace", "files", "trips", "from", "to", "time zone", "state", "on disk"):
        table.add_column(heading, no_wrap=heading != "files", overflow="fold")
    for workspace in found:
        table.add_row(*_cells(workspace))
    console = Console(highlight=False)
    if not console.is_terminal:
        console.width = _WIDTH_WITHOUT_TERMINAL
    console.print(table)
    return 0


def _cells(workspace: Workspace) -> Iterator[str]:
    state = workspace.loads()
    yield workspace.name
    yield _files(workspace)
    if state is None:
        yield from ("none yet", "", "", "")
    else:
        sent, rows = state.position.row, state.source.rows
        yield f"{rows:,}" if state.is_complete else f"{sent:,} of {rows:,}"
        record = workspace.record()
        zone = "UTC" if record is None else record.files.timezone
        yield from (_time(ms, ZoneInfo(zone)) for ms in (state.source.first, state.source.last))
        yield zone
    yield "running" if is_running(workspace.folder) else "stopped"
    yield f"{disk_usage(workspace.folder) / 1e6:,.0f} MB"


def _files(workspace: Workspace) -> str:
    record = workspace.record()
    own = () if record is None else record.files.given
    imported = (file.path for each in workspace.imports() for file in each.record.files.files)
    given = [Path(path).name for path in (*own, *imported)]
    more = len(given) - _NAMED_FILES
    return ", ".join(given[:_NAMED_FILES]) + (f" and {more} more" if more > 0 else "")


def disk_usage(folder: Path) -> int:
    """Return the bytes that a state folder takes on disk; the data of Postgres may be elsewhere."""
    homes = [folder, *(each.resolve() for each in folder.iterdir() if each.is_symlink())]
    total = 0
    for home in homes:
        for where, _, names in os.walk(home):
            for name in names:
                try:
                    total += os.lstat(Path(where) / name).st_blocks * _BLOCK
                except FileNotFoundError:  # a running service has removed it
                    continue
    return total


def _reset(workspace: Workspace, *, is_sure: bool) -> int:
    name = workspace.name
    if is_running(workspace.folder):
        msg = f"workspace {name} is running: stop it with `just down --name {name}`"
        raise WorkspaceError(msg)
    size = disk_usage(workspace.folder) / 1e6
    what = f"workspace {name} ({_files(workspace)}; {size:,.0f} MB); the files themselves stay"
    if not is_sure and not _is_confirmed(f"Delete {what}? [y/N] "):
        sys.stderr.write("nothing was deleted\n")
        return 1
    asyncio.run(_discard(workspace.folder))
    sys.stdout.write(f"deleted: workspace {name}\n")
    return 0


async def _discard(folder: Path) -> None:
    await stop_everything(folder)  # what a crash has left running
    await discard_folder(folder)


def _is_confirmed(question: str) -> bool:
    try:
        return input(question).strip().lower() in {"y", "yes"}
    except EOFError:
        sys.stderr.write("\nno terminal to answer on: `--yes` deletes without the question\n")
        return False


def _time(ms: int, zone: ZoneInfo) -> str:
    return f"{datetime.fromtimestamp(ms / 1_000, zone):%Y-%m-%d %H:%M}"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="just workspaces", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("list", help="list the workspaces")
    reset = commands.add_parser("reset", prog="just reset", help="delete a workspace with its data")
    reset.add_argument("name", type=workspace_name, metavar="NAME")
    reset.add_argument("--yes", action="store_true", help="without the question")
    parser.add_argument("--folder", type=Path, help="state folder (default: .mobility)")
    return parser


if __name__ == "__main__":
    sys.exit(main())
