"""The lock of a recovery folder: folders that it creates, and folders that it refuses."""

import json
import os
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from bytewax.recovery import init_db_dir

from runtime.failures import RefusalError, StartError
from runtime.folder_record import FolderRecord, write_draft
from runtime.recovery import (
    PARTITIONS,
    delete_unreachable_snapshots,
    partition_paths,
    stored_keys,
)
from runtime.recovery_lock import is_locked_by, lock_folder

MAIN = FolderRecord("main", shards=4)


def made(folder: Path, record: FolderRecord = MAIN) -> Path:
    """Return a folder that was created and is not locked."""
    lock_folder(folder, record).close()
    return folder


def with_state(folder: Path, step: str, *keys: str) -> None:
    """Write a state for each key of a step."""
    with closing(sqlite3.connect(folder / "part-0.sqlite3")) as connection, connection:
        connection.executemany(
            "INSERT INTO snaps (step_id, state_key, snap_epoch, ser_change) VALUES (?, ?, 1, ?)",
            [(step, key, b"") for key in keys],
        )


def content(folder: Path) -> dict[str, bytes]:
    """Return the files of the folder, except for SQLite's index in shared memory."""
    return {p.name: p.read_bytes() for p in folder.iterdir() if not p.name.endswith("-shm")}


def test_a_new_folder_is_private_and_ready(tmp_path: Path) -> None:
    """Recovery state is pickle, so other users may not write there."""
    folder = made(tmp_path / "recovery")
    assert folder.stat().st_mode & 0o777 == 0o700
    parts = [f"part-{number}.sqlite3" for number in range(PARTITIONS)]
    assert sorted(path.name for path in folder.iterdir()) == ["flow.json", "lock", *parts]
    assert json.loads((folder / "flow.json").read_text()) == {
        "flow": "main",
        "shards": 4,
        "state_version": 2,
        "partitions": PARTITIONS,
        "entities": {"driver": None, "passenger": None, "vehicle_type": None, "h3": None},
        "stores": None,
    }


def test_a_second_start_keeps_what_is_there(tmp_path: Path) -> None:
    """Existing partitions are kept."""
    folder = made(tmp_path / "recovery")
    with_state(folder, "mobility_hub.trips_stream", "000")
    made(folder)
    assert stored_keys(folder) == {"mobility_hub.trips_stream": {"000"}}


def test_an_unfinished_folder_is_created_again(tmp_path: Path) -> None:
    """A kill while the folder is created leaves some partitions that were never used."""
    folder = tmp_path / "recovery"
    folder.mkdir(mode=0o700)
    write_draft(folder, MAIN)
    (folder / "part-0.sqlite3").write_bytes(b"half a")
    made(folder)
    assert len(partition_paths(folder)) == PARTITIONS
    assert not (folder / "flow.json.draft").exists()


def test_a_folder_of_the_first_release_gets_its_record(tmp_path: Path) -> None:
    """It had only partitions; flow and shards are read from the states in them."""
    folder = tmp_path / "recovery"
    folder.mkdir(mode=0o700)
    init_db_dir(folder, PARTITIONS)  # type: ignore[no-untyped-call]  # it has no types
    with_state(folder, "mobility_hub.driver_windows", "0000", "0001")
    with pytest.raises(RefusalError, match="was created with flow main, this start has serving"):
        lock_folder(folder, FolderRecord("serving", shards=2))
    with pytest.raises(RefusalError, match="was created with shards 2, this start has 4"):
        lock_folder(folder, MAIN)
    made(folder, FolderRecord("main", shards=2))
    record = json.loads((folder / "flow.json").read_text())
    assert record["shards"] == 2
    assert list(record["entities"]) == ["driver", "passenger", "vehicle_type", "h3"]


def test_a_folder_of_older_states_is_marked_as_one_of_this_release(tmp_path: Path) -> None:
    """This release resumes from them; release 0.1 could not resume from newer ones."""
    folder = made(tmp_path / "recovery")
    other_record(state_version=1)(folder)
    made(folder)
    assert json.loads((folder / "flow.json").read_text())["state_version"] == 2


def no_parent(folder: Path) -> None:
    """Remove the folder and the one above it."""
    for path in folder.iterdir():
        path.unlink()
    folder.rmdir()
    folder.parent.rmdir()


def a_file(folder: Path) -> None:
    """Replace the folder with a file."""
    for path in folder.iterdir():
        path.unlink()
    folder.rmdir()
    folder.write_text("")


def no_database(folder: Path) -> None:
    """Replace a partition with other bytes."""
    (folder / "part-2.sqlite3").write_bytes(b"not a database" * 1_000)


def a_broken_page(folder: Path) -> None:
    """Overwrite the middle of a partition."""
    path = folder / "part-1.sqlite3"
    whole = path.read_bytes()
    middle = len(whole) // 4
    path.write_bytes(whole[:middle] + b"\xff" * middle * 2 + whole[3 * middle :])


def other_record(**other: object) -> Callable[[Path], None]:
    """Return a function that changes the record."""

    def change(folder: Path) -> None:
        path = folder / "flow.json"
        path.write_text(json.dumps(json.loads(path.read_text()) | other))

    return change


def other_count(folder: Path) -> None:
    """Replace the partitions with some of a larger set."""
    for path in partition_paths(folder):
        path.unlink()
    init_db_dir(folder, PARTITIONS + 2)  # type: ignore[no-untyped-call]  # it has no types
    for number in range(PARTITIONS, PARTITIONS + 2):
        (folder / f"part-{number}.sqlite3").unlink()


@pytest.mark.parametrize(
    ("spoil", "what", "remedy"),
    [
        (no_parent, "does not exist", "Check -r"),
        (a_file, "is not a folder", "Check -r"),
        (lambda f: f.chmod(0o777), r"Other users may write .* \(mode 777\)", "chmod 700"),
        (lambda f: f.chmod(0o770), r"Other users may write .* \(mode 770\)", "chmod 700"),
        (no_database, "part-2.sqlite3 is corrupt", "from a backup"),
        (a_broken_page, "part-1.sqlite3 is corrupt", "from a backup"),
        (lambda f: (f / "part-3.sqlite3").unlink(), "part-3.sqlite3 is missing", "from a backup"),
        (lambda f: (f / "part-4.sqlite3").touch(), "part-4.sqlite3 is unexpected", "-r NEW"),
        (other_count, "belongs to a folder of 6 partitions, not 4", "-r NEW"),
        (
            other_record(flow="serving"),
            "was created with flow serving, this start has main",
            "--flow serving",
        ),
        (
            other_record(partitions=8),
            "was created with partitions 8, this start has 4",
            "the release that created it",
        ),
        (
            other_record(state_version=9),
            "was created with state version 9",
            "the release that created it",
        ),
        (
            other_record(shards=8),
            "was created with shards 8, this start has 4",
            "MOBILITY_SHARDS=8",
        ),
        (lambda f: (f / "flow.json").write_text("{"), "can't be read", "from a backup"),
        (other_record(colour="red"), "can't be read", "from a backup"),
    ],
)
def test_a_folder_that_can_not_be_used_is_refused_and_unchanged(
    tmp_path: Path, spoil: Callable[[Path], object], what: str, remedy: str
) -> None:
    """The message has the fault and the remedy, and nothing is written."""
    (tmp_path / "parent").mkdir()
    folder = made(tmp_path / "parent" / "recovery")
    spoil(folder)
    before = content(folder) if folder.is_dir() else {}
    with pytest.raises(RefusalError, match=what) as refusal:
        lock_folder(folder, MAIN)
    assert remedy in str(refusal.value)
    assert (content(folder) if folder.is_dir() else {}) == before


def test_a_locked_folder_is_refused_with_the_process_that_holds_it(tmp_path: Path) -> None:
    """One cluster at a time may use it."""
    locked = lock_folder(tmp_path / "recovery", MAIN)
    before = content(locked.folder)
    with pytest.raises(RefusalError, match=f"Another instance is running .* process {os.getpid()}"):
        lock_folder(locked.folder, MAIN)
    assert content(locked.folder) == before
    locked.close()
    lock_folder(locked.folder, MAIN).close()


def test_processes_of_a_killed_launcher_still_lock_the_folder(tmp_path: Path) -> None:
    """Its processes inherit the lock: a second cluster would write at the same time."""
    folder = tmp_path / "recovery"
    program = (
        "import subprocess, sys; from pathlib import Path\n"
        "from runtime.folder_record import FolderRecord\n"
        "from runtime.recovery_lock import lock_folder\n"
        f"locked = lock_folder(Path({str(folder)!r}), FolderRecord('main', 4))\n"
        "nowhere, lock = subprocess.DEVNULL, [locked.fileno()]\n"
        "command = ['sleep', '60']\n"
        "orphan = subprocess.Popen(command, stdout=nowhere, stderr=nowhere, pass_fds=lock)\n"
        "print(orphan.pid)\n"
    )
    launcher = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    try:
        with pytest.raises(RefusalError, match="started and left behind"):
            lock_folder(folder, MAIN)
    finally:
        os.kill(int(launcher.stdout), 9)


def test_the_token_is_valid_as_long_as_the_lock(tmp_path: Path) -> None:
    """Processes of the cluster have it, and do not lock the folder themselves."""
    first = lock_folder(tmp_path / "recovery", MAIN)
    assert is_locked_by(first.folder, first.token)
    assert not is_locked_by(first.folder, "another")
    first.close()
    second = lock_folder(first.folder, MAIN)
    assert not is_locked_by(first.folder, first.token)
    assert not is_locked_by(tmp_path / "nowhere", second.token)
    second.close()


def test_a_full_disk_is_a_start_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """There may be space at the next attempt, so it is not a refusal."""

    def full(folder: Path, record: FolderRecord) -> None:
        raise OSError(28, "No space left on device", str(folder), None, record.flow)

    monkeypatch.setattr("runtime.recovery_lock.write_draft", full)
    with pytest.raises(StartError, match=r"can't be written: .*No space left"):
        lock_folder(tmp_path / "recovery", MAIN)


def test_a_locked_partition_is_named(tmp_path: Path) -> None:
    """As while another program has it open."""
    folder = made(tmp_path / "recovery")
    part = folder / "part-0.sqlite3"
    with closing(sqlite3.connect(part)) as other:
        other.execute("BEGIN EXCLUSIVE")
        with pytest.raises(StartError, match=r"part-0.sqlite3 can't be written: .*locked"):
            delete_unreachable_snapshots(folder)
        other.rollback()
