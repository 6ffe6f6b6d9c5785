"""Fills a store from the windows in `aggregated.*`, for the flow of a recovery folder."""

import sys
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

import msgspec

from mobility.settings import FOLLOWS, Settings, Store
from runtime.fencing import with_fencing_token
from runtime.flows import FlowName
from runtime.folder_record import FolderRecord
from runtime.launcher import Launcher
from runtime.process_group import ProcessGroup, start_flow
from runtime.recovery_lock import RecoveryLock, lock_folder
from runtime.store_sequence import forget_sequence_numbers


def rebuild(lock: RecoveryLock, flow: FlowName, settings: Settings, store: Store) -> int:
    """Read `aggregated.*` once into a store, from the beginning; return the exit code.

    The serving flow does it, in a recovery folder of its own. What the store has already stays:
    versions decide. After that the flow of the locked folder may go on with the store. A store that
    follows another is filled by the flow itself.
    """
    if store in settings.stores and store not in settings.authorities:
        _print(f"{store} follows {FOLLOWS[store]}: it is filled by the flow once it runs")
        return 0
    only = msgspec.structs.replace(settings, stores=(store,), read="once", consumer_group="")
    with TemporaryDirectory(prefix="rebuild-", dir=lock.folder) as name:
        start = _starter(Path(name) / "recovery", only)
        # Again where it fails: Redis is the last writer's for half a minute.
        launcher = Launcher(lambda: start(launcher.stop_requested))
        launcher.handle_signals()
        _print(f"{store} is filled from aggregated.*")
        code = launcher.run()
    if code == 0 and not launcher.stop_requested():
        forget_sequence_numbers(lock.folder, flow, store)
        _print(
            f"{store} has all windows of aggregated.*. Windows that retention has removed there "
            "are recounted from the log with `just backfill`"
        )
    return code


def _starter(folder: Path, settings: Settings) -> Callable[[Callable[[], bool]], ProcessGroup]:
    lock = lock_folder(folder, FolderRecord.of("serving", settings))
    chosen = msgspec.structs.replace(settings, cluster=lock.token)

    def start(stop_requested: Callable[[], bool]) -> ProcessGroup:
        return start_flow("serving", 1, with_fencing_token(chosen, folder, stop_requested), lock)

    return start


def _print(what: str) -> None:
    sys.stderr.write(f"rebuild: {what}\n")
    sys.stderr.flush()
