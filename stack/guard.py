"""The guard of a scratch folder: clears it away when its owner is gone, even killed.

Its standard input is a pipe that only the owner holds open. The end of that is the end of the
owner, however it came.
"""

import asyncio
import sys
from pathlib import Path

from stack.services import discard


def main() -> None:
    """Wait for the owner's end, then stop what is recorded in the folder and remove it."""
    sys.stdin.buffer.read()
    folder = Path(sys.argv[1])
    if folder.exists():
        asyncio.run(discard(folder))


if __name__ == "__main__":
    main()
