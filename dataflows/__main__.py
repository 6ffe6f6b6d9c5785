"""`python -m dataflows`: runs one of the flows as a group of processes with recovery."""

import argparse
import fcntl
import os
import sys
from pathlib import Path
from typing import IO

from dataflows.group import run_group
from dataflows.recovery import prepare
from dataflows.starting import settings_or_exit

_BUSY = 2


def main() -> int:
    """Run the flow until it ends or is asked to; return the exit code."""
    arguments = _arguments()
    settings = settings_or_exit()
    lock = _locked(arguments.recovery)
    if lock is None:
        sys.stderr.write(f"Another instance is running on {arguments.recovery}: stop it first.\n")
        return _BUSY
    with lock:
        prepare(arguments.recovery)
        options = ["-r", str(arguments.recovery), "-s", str(settings.snapshot_interval), "-b", "0"]
        return run_group(f"dataflows.{arguments.flow}", arguments.processes, options)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m dataflows", description=__doc__)
    parser.add_argument("-r", "--recovery", type=Path, required=True, metavar="DIR")
    parser.add_argument("--processes", type=int, default=1, metavar="N")
    parser.add_argument("--flow", choices=("main", "serving"), default="main")
    arguments = parser.parse_args()
    if arguments.processes < 1:
        parser.error("--processes: expected at least 1")
    return arguments


def _locked(folder: Path) -> IO[bytes] | None:
    """Return a lock that lives as long as this process, or None where another holds it."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    lock = (folder.parent / f"{folder.name}.lock").open("wb")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        lock.close()
        return None
    os.set_inheritable(lock.fileno(), False)
    return lock


if __name__ == "__main__":
    raise SystemExit(main())
