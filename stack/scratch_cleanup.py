"""Removes a scratch folder when the process that owns it has ended, even by kill -9.

Standard input is a pipe that only the owner has open: it ends when the owner does.
"""

import asyncio
import sys
from pathlib import Path

from stack.services import discard_folder


def main() -> None:
    """Wait for the end of the owner, then stop all recorded processes and remove the folder."""
    sys.stdin.buffer.read()
    folder = Path(sys.argv[1])
    if folder.exists():
        asyncio.run(discard_folder(folder))


if __name__ == "__main__":
    main()
