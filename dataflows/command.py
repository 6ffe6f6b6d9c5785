"""The command line of the launcher."""

import argparse
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Final

import msgspec

from dataflows.failures import RefusalError, StartError, refuse
from dataflows.folder_record import FolderRecord
from dataflows.group import Group
from dataflows.guard import Hold, hold
from dataflows.launcher import RESTARTS, Launcher
from dataflows.recovery import forget_unreachable_snapshots
from dataflows.room import require_room
from dataflows.starting import settings_or_exit
from dataflows.stores import with_fencing_token
from mobility.settings import PREFIX, Settings, to_environ

_DOES: Final = "Run one of the flows as a group of processes with recovery."


def main() -> int:
    """Run the flow until it ends or is asked to; return the exit code."""
    arguments = _arguments()
    settings = settings_or_exit()
    try:
        held = hold(arguments.recovery, FolderRecord(arguments.flow, settings.shards))
    except RefusalError as error:
        refuse(str(error))
    except StartError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    # Who waits for the end of a bounded read decides whether it is worth another run.
    restarts = 0 if settings.read == "once" else arguments.restarts
    launcher = Launcher(_start(arguments, settings, held), restarts)
    launcher.stop_on_signals()
    return launcher.run()


def _start(arguments: argparse.Namespace, settings: Settings, held: Hold) -> Callable[[], Group]:
    """Return what starts the cluster, each time as if it had never run."""
    options = ["-r", str(held.folder), "-s", str(settings.snapshot_interval), "-b", "0"]
    chosen = msgspec.structs.replace(
        settings,
        cluster=held.token,
        accept_gap=settings.accept_gap or arguments.accept_gap,
    )
    others = {name: value for name, value in os.environ.items() if not name.startswith(PREFIX)}

    def start() -> Group:
        require_room(held.folder)
        forget_unreachable_snapshots(held.folder)
        environ = others | to_environ(with_fencing_token(chosen, held.folder))
        module = f"dataflows.{arguments.flow}"
        return Group(module, arguments.processes, options, environ, held.fileno())

    return start


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m dataflows", description=_DOES)
    parser.add_argument(
        "-r",
        "--recovery",
        type=Path,
        required=True,
        metavar="DIR",
        help="recovery folder; made (0700) where only its parent is there",
    )
    parser.add_argument("--processes", type=_number(1), default=1, metavar="N")
    parser.add_argument("--flow", choices=("main", "serving"), default="main")
    parser.add_argument(
        "--restarts",
        type=_number(0),
        default=RESTARTS,
        metavar="N",
        help="restarts within five minutes before giving up (default: %(default)s)",
    )
    parser.add_argument(
        "--accept-gap",
        action="store_true",
        help="go on where messages were lost before they were read, and record what is missing",
    )
    return parser.parse_args()


def _number(least: int) -> Callable[[str], int]:
    def number(text: str) -> int:
        if not text.isdecimal() or int(text) < least:
            msg = f"expected a number, at least {least}"
            raise argparse.ArgumentTypeError(msg)
        return int(text)

    return number
