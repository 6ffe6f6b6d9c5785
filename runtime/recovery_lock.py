"""The lock of a recovery folder: one cluster at a time, and only on a folder that it can use."""

import os
import secrets
import threading
from collections.abc import Collection
from contextlib import ExitStack
from pathlib import Path
from typing import IO, Final, NoReturn

from mobility.files import try_file_lock
from runtime.failures import RefusalError, StartError
from runtime.folder_record import NEW_FOLDER, FolderRecord, read_record, write_draft, write_record
from runtime.recovery import PARTITIONS, make_partitions, partition_fault, partition_paths

_WRITABLE_BY_OTHERS: Final = 0o022

# Processes whose launcher was killed end by themselves: a start waits so long for them.
_ORPHANS_SECONDS: Final = 3.0
_PAUSE_SECONDS: Final = 0.1


class RecoveryLock:
    """A recovery folder that is locked for one cluster until it is closed, or its process ends.

    `token` is given to the cluster's processes, which show it instead of locking the folder again.
    """

    def __init__(self, folder: Path, file: IO[str]) -> None:
        self.folder = folder
        self.token = secrets.token_hex(8)
        self._file = file
        file.seek(0)
        file.truncate()
        file.write(f"{os.getpid()} {self.token}\n")
        file.flush()

    def fileno(self) -> int:
        """Return the lock's descriptor: a process that inherits it holds the lock too."""
        return self._file.fileno()

    def close(self) -> None:
        """Release the folder."""
        self._file.close()


def lock_folder(folder: Path, wanted: FolderRecord, entities: Collection[str] = ()) -> RecoveryLock:
    """Lock the folder for a start, and create it if there is none.

    `entities` may be added or removed by this start. Raises RefusalError where the folder can't be
    used, before anything is written, and StartError where it can't be written to now.
    """
    try:
        return _lock(folder, wanted, entities)
    except OSError as error:
        msg = f"The recovery folder {folder} can't be written: {error}. Is the disk full?"
        raise StartError(msg) from error


def is_locked_by(folder: Path, token: str) -> bool:
    """Return whether the token is that of the cluster that has locked the folder."""
    try:
        return _lock_path(folder).read_text().split()[1:] == [token]
    except OSError:
        return False


def _lock(folder: Path, wanted: FolderRecord, entities: Collection[str]) -> RecoveryLock:
    _check_path(folder)
    with ExitStack() as on_failure:
        file = _locked_file(folder, on_failure) if _lock_path(folder).exists() else None
        known = _known_record(folder, wanted, entities)
        # Recovery state is pickle: a user who can write to it can run code in this process.
        folder.mkdir(mode=0o700, exist_ok=True)
        lock = RecoveryLock(folder, file or _locked_file(folder, on_failure))
        # Another process may have created the folder in the meantime.
        known = known or read_record(folder, wanted)
        if known is None:
            write_draft(folder, wanted)
            make_partitions(folder)
        write_record(folder, known or wanted)
        on_failure.pop_all()
    return lock


def _known_record(
    folder: Path, wanted: FolderRecord, entities: Collection[str]
) -> FolderRecord | None:
    known = read_record(folder, wanted) if folder.exists() else None
    if known is not None:
        known.refuse_other(folder, wanted)
        known.refuse_other_entities(folder, wanted, entities)
        _check_partitions(folder)
    return known


def _check_path(folder: Path) -> None:
    if not folder.exists():
        if not folder.parent.is_dir():
            msg = f"The parent folder {folder.parent} does not exist.\nCheck -r."
            raise RefusalError(msg)
        return
    if not folder.is_dir():
        msg = f"{folder} is not a folder.\nCheck -r."
        raise RefusalError(msg)
    mode = folder.stat().st_mode
    if mode & _WRITABLE_BY_OTHERS:
        msg = (
            f"Other users may write to the recovery folder {folder} (mode {mode & 0o777:o}), and "
            "its content is run as code.\n"
            f"Make sure that nobody has written there, then: chmod 700 {folder}"
        )
        raise RefusalError(msg)


def _check_partitions(folder: Path) -> None:
    expected = [folder / f"part-{number}.sqlite3" for number in range(PARTITIONS)]
    found = partition_paths(folder)
    missing = [f"{path.name} is missing" for path in expected if path not in found]
    surplus = [f"{path.name} is unexpected" for path in found if path not in expected]
    faults = missing + surplus or [fault for path in found if (fault := partition_fault(path))]
    if faults:
        msg = (
            f"The recovery folder {folder} can't be used: {'; '.join(faults)}.\n"
            f"Restore the whole folder from a backup. {NEW_FOLDER}"
        )
        raise RefusalError(msg)


def _locked_file(folder: Path, on_failure: ExitStack) -> IO[str]:
    waited = 0.0
    while (file := try_file_lock(_lock_path(folder))) is None:
        holder = _holder(folder)
        if waited >= _ORPHANS_SECONDS or holder is None or _is_alive(holder):
            _refuse_locked(folder, holder)
        threading.Event().wait(_PAUSE_SECONDS)
        waited += _PAUSE_SECONDS
    return on_failure.enter_context(file)


def _refuse_locked(folder: Path, holder: int | None) -> NoReturn:
    who = "another process" if holder is None else f"process {holder}"
    if holder is not None and not _is_alive(holder):
        who = f"processes that {holder} started and left behind"
    msg = (
        f"Another instance is running on {folder}: {who}.\n"
        "Stop it first, or start this one on a folder of its own (`-r OTHER`)."
    )
    raise RefusalError(msg)


def _holder(folder: Path) -> int | None:
    words = _lock_path(folder).read_text().split()
    return int(words[0]) if words and words[0].isdecimal() else None


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _lock_path(folder: Path) -> Path:
    return folder / "lock"
