"""What both flows do before they are built: settings, the guard of their folder, the fence."""

import gc
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Final, NoReturn

from dataflows.failures import RefusalError, StartError, end_plainly, refuse
from dataflows.folder_record import FolderRecord
from dataflows.guard import Hold, hold, is_held
from dataflows.recovery import Past, forget_unreachable_snapshots, stored_keys
from dataflows.stopping import is_flow_process, stop_on_signals, stop_with_launcher
from dataflows.stores import with_fencing_token
from dataflows.wall_clock import end_when_set
from mobility.settings import Settings, SettingsError, read_settings

_OBJECTS_A_COLLECTION: Final = 100_000

_held: Final[list[Hold]] = []
"""Keeps the folder of a flow that runs without the launcher, as long as the process lives."""


def settings_or_exit() -> Settings:
    """Return the settings; print every fault and exit with 2 where they can't be used."""
    try:
        return read_settings(os.environ)
    except SettingsError as error:
        sys.stderr.write(f"The settings can't be used:\n{error}\n")
        raise SystemExit(2) from None


def started(flow: str) -> tuple[Settings, Past]:
    """Return what a flow is built from; exit with 2, and the remedy, where it may not run.

    The guard is the launcher's: where Bytewax was started by hand, it stands here instead.
    """
    settings = settings_or_exit()
    if not is_flow_process():
        return settings, Past()
    end_plainly()
    stop_on_signals()
    end_when_set()
    _collect_seldom()
    try:
        return _guarded(flow, settings)
    except RefusalError as error:
        refuse(str(error))
    except StartError as error:
        sys.stderr.write(f"{error}\n")
        raise SystemExit(1) from None


def start_services(*starts: Callable[[], object]) -> None:
    """Start what runs beside the flow in this process, such as status publishing.

    Where a test or a tool only builds a flow, nothing is started.
    """
    if is_flow_process():
        for start in starts:
            start()


def _collect_seldom() -> None:
    """Look for garbage once in some batches instead of thirty times in each.

    The messages of a batch are many, live short and refer to nothing: looking at them, and at all
    the modules, took a twelfth of the flow's time.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(_OBJECTS_A_COLLECTION)


def process_number() -> int:
    """Return which process of its cluster this is, as Bytewax was told."""
    return int(_option("-i", "--process-id", "BYTEWAX_PROCESS_ID") or 0)


def _guarded(flow: str, settings: Settings) -> tuple[Settings, Past]:
    given = _option("-r", "--recovery-directory", "BYTEWAX_RECOVERY_DIRECTORY")
    folder = None if given is None else Path(given)
    if settings.cluster:
        if folder is None or not is_held(folder, settings.cluster):
            _refuse_token(folder)
        stop_with_launcher()
    else:
        if settings.stores and _option("-a", "--addresses", "BYTEWAX_ADDRESSES") is not None:
            _refuse_loose_cluster()
        # In a cluster without stores the first process has the folder: the others wait for it.
        if folder is not None and process_number() == 0:
            _held.append(hold(folder, FolderRecord(flow, settings.shards)))
            forget_unreachable_snapshots(folder)
        settings = with_fencing_token(settings, folder)
    return settings, Past() if folder is None else Past(folder, stored_keys(folder))


def _refuse_token(folder: Path | None) -> NoReturn:
    msg = (
        f"MOBILITY_CLUSTER does not belong to the cluster that holds {folder}.\n"
        "Only the launcher sets it: leave it unset."
    )
    raise RefusalError(msg)


def _refuse_loose_cluster() -> NoReturn:
    msg = (
        "Processes started one by one (`-a`) may not write to stores: nobody would restart them "
        "together, or keep a second cluster out.\n"
        "Start them with `python -m dataflows -r DIR --processes N`, or without stores "
        "(MOBILITY_STORES=)."
    )
    raise RefusalError(msg)


def _option(short: str, long: str, variable: str) -> str | None:
    """Return an option as Bytewax reads it: from its command line, else from the environment."""
    arguments = sys.argv[1:]
    for place, argument in enumerate(arguments):
        name, equals, value = argument.partition("=")
        if name == long and equals:
            return value
        if argument in {short, long} and place + 1 < len(arguments):
            return arguments[place + 1]
        if argument.startswith(short) and len(argument) > len(short) and argument[1] != "-":
            return argument[len(short) :]
    return os.environ.get(variable)
