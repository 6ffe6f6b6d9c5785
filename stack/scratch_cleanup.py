"""Removes a scratch folder when the process that owns it has ended, even by kill -9.

Standard input is a pipe that only the owner has open: it ends when the owner does.
"""

import asyncio
import signal
import sys
from pathlib import Path

from stack.command_processes import stop_command
from stack.services import discard_folder


def main() -> None:
    """Wait for the end of the owner; then stop its command and services, and remove the folder."""
    # It may be a process of a command that is stopped together with the owner.
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    sys.stdin.buffer.read()
    folder = Path(sys.argv[1])
    if folder.exists():
        asyncio.run(_discard(folder))


async def _discard(folder: Path) -> None:
    await stop_command(folder)
    await discard_folder(folder)


if __name__ == "__main__":
    main()
