"""The command line of the launcher."""

import argparse
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Final, get_args

import msgspec

from mobility.arguments import integer_from, processes_of_a_flow
from mobility.entities import BY_NAME
from mobility.settings import Settings, Store
from runtime.disk_space import require_disk_space
from runtime.failures import RefusalError, StartError, exit_refused
from runtime.fencing import with_fencing_token
from runtime.folder_entities import update_entities
from runtime.folder_record import FolderRecord
from runtime.launcher import RESTARTS, Launcher
from runtime.process import read_settings_or_exit
from runtime.process_group import ProcessGroup, start_flow
from runtime.rebuild import rebuild
from runtime.recovery import delete_unreachable_snapshots
from runtime.recovery_lock import RecoveryLock, lock_folder
from runtime.rules_in_force import check_tables, update_rules
from runtime.store_sequence import check_stores

_DESCRIPTION: Final = "Run one of the flows as a group of processes with recovery."


def main() -> int:
    """Run the flow until it ends or is asked to stop; return the exit code."""
    arguments = _arguments()
    settings = read_settings_or_exit()
    wanted = FolderRecord.of(arguments.flow, settings)
    entities = {*arguments.add_entity, *arguments.remove_entity}
    try:
        lock = lock_folder(arguments.recovery, wanted, entities)
        update_entities(lock.folder, wanted, settings.window_ms)
    except RefusalError as error:
        exit_refused(str(error))
    except StartError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    if arguments.rebuild is not None:
        return rebuild(lock, arguments.flow, settings, arguments.rebuild)
    # The caller of a bounded read decides whether to run it again.
    restarts = 0 if settings.read == "once" else arguments.restarts
    start = _starter(arguments, settings, lock)
    launcher = Launcher(
        lambda: start(launcher.stop_requested), restarts, check=lambda: check_tables(settings)
    )
    launcher.handle_signals()
    return launcher.run()


def _starter(
    arguments: argparse.Namespace, settings: Settings, lock: RecoveryLock
) -> Callable[[Callable[[], bool]], ProcessGroup]:
    """Return a function that prepares the folder and starts the cluster.

    Its argument tells whether a stop was requested meanwhile.
    """
    chosen = msgspec.structs.replace(
        settings,
        cluster=lock.token,
        accept_gap=settings.accept_gap or arguments.accept_gap,
    )

    def start(stop_requested: Callable[[], bool]) -> ProcessGroup:
        require_disk_space(lock.folder)
        delete_unreachable_snapshots(lock.folder)
        if arguments.flow == "main":
            update_rules(lock.folder, settings)
        fenced = with_fencing_token(chosen, lock.folder, stop_requested)
        check_stores(lock.folder, arguments.flow, fenced)
        return start_flow(arguments.flow, arguments.processes, fenced, lock)

    return start


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m dataflows", description=_DESCRIPTION)
    parser.add_argument(
        "-r",
        "--recovery",
        type=Path,
        required=True,
        metavar="DIR",
        help="recovery folder; created (0700) where only its parent exists",
    )
    parser.add_argument("--processes", type=processes_of_a_flow, default=1, metavar="N")
    parser.add_argument("--flow", choices=("main", "serving"), default="main")
    parser.add_argument(
        "--restarts",
        type=integer_from(0),
        default=RESTARTS,
        metavar="N",
        help="restarts within five minutes before giving up (default: %(default)s)",
    )
    parser.add_argument(
        "--accept-gap",
        action="store_true",
        help="continue where messages were lost before they were read, and record which",
    )
    parser.add_argument(
        "--add-entity",
        action="append",
        choices=list(BY_NAME),
        default=[],
        help="count this entity too, from the first window on that can be counted wholly",
    )
    parser.add_argument(
        "--remove-entity",
        action="append",
        type=_removed_entity,
        metavar="NAME",
        default=[],
        help="do not count this entity any more, and delete what is known of its open windows",
    )
    parser.add_argument(
        "--rebuild",
        choices=get_args(Store),
        help="fill this store from aggregated.* in place of running the flow",
    )
    return parser.parse_args()


def _removed_entity(name: str) -> str:
    if name in BY_NAME:
        msg = f"this program counts {name}: remove its row in mobility/entities.py first"
        raise argparse.ArgumentTypeError(msg)
    return name
