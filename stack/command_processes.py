"""The processes of a command: it, those that it has started, and those that these have started.

They are found by a variable that each inherits (as Jenkins' ProcessTreeKiller does), so also if
their parent has ended, and if they have a session of their own.
"""

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from stack.processes import RecordedProcess, identify

_VARIABLE: Final = "STACK_COMMAND"
_GRACE_SECONDS: Final = 20.0

# Processes that are started while others are stopped are found the next time.
_ROUNDS: Final = 3


def marked_environ(folder: Path, environ: Mapping[str, str]) -> dict[str, str]:
    """Return the environment of a command, by which its processes are found."""
    return {**environ, _VARIABLE: str(folder)}


def command_processes(folder: Path) -> list[RecordedProcess]:
    """Return the running processes of the command with this state folder."""
    mark = f"{_VARIABLE}={folder}".encode()
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            environ = (process / "environ").read_bytes()
        except OSError:  # it has ended, or is of another user
            continue
        if mark in environ.split(b"\0"):
            found.append(identify(int(process.name)))
    return found


async def stop_command(folder: Path) -> None:
    """Stop all processes of a command."""
    for _ in range(_ROUNDS):
        found = command_processes(folder)
        await asyncio.gather(*(process.stop(_GRACE_SECONDS) for process in found))
