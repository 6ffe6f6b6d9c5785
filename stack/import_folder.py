"""The imports of a system: which files were added to its log, in a folder of its state folder."""

import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import msgspec

from mobility.files import write_atomically
from mobility.trip_files import TripFileSet
from stack.load_state import LoadState, read_load_state

_FOLDER: Final = "imports"
_RECORD_FILE: Final = "record.json"


class ImportRecord(msgspec.Struct, frozen=True):
    """Files that are added to a log, and whether all is done for that.

    `log` names topic and cluster. `starts` are the ends of its partitions before the first trip:
    what the import has sent has these offsets, or higher ones.
    """

    log: str
    files: TripFileSet
    starts: dict[int, int]
    is_done: bool = False

    def command(self, workspace: str | None) -> str:
        """Return the command that goes on with it, for a workspace or the system without a name."""
        files = shlex.join(each.path for each in self.files.files)
        return f"just import {files}" + (f" --name {workspace}" if workspace else "")


@dataclass(frozen=True, slots=True)
class ImportFolder:
    """The folder of one import: its record, and the state file of the producer."""

    folder: Path

    @property
    def id(self) -> str:
        """The number of the import, as text."""
        return self.folder.name

    @property
    def state_file(self) -> Path:
        """The state file of the producer, which writes it before the first trip."""
        return self.folder / "producer.json"

    @property
    def record(self) -> ImportRecord:
        """The record. Raises OSError, msgspec.DecodeError."""
        content = (self.folder / _RECORD_FILE).read_bytes()
        return msgspec.json.decode(content, type=ImportRecord)

    def save(self, record: ImportRecord) -> None:
        """Replace the record."""
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        write_atomically(self.folder / _RECORD_FILE, msgspec.json.encode(record), durable=True)

    def load_state(self) -> LoadState | None:
        """Return how far the files are sent; None before the first trip."""
        return read_load_state(self.state_file)


def imports_folder(state: Path) -> Path:
    """Return the folder of all imports of a system in a state folder."""
    return state / _FOLDER


def read_imports(state: Path) -> Iterator[ImportFolder]:
    """Yield the imports of a system, the oldest first."""
    for path in sorted(imports_folder(state).glob(f"*/{_RECORD_FILE}")):
        yield ImportFolder(path.parent)


def new_import(state: Path) -> ImportFolder:
    """Return the folder of a further import, which has no record yet."""
    numbers = [int(each.id) for each in read_imports(state)]
    return ImportFolder(imports_folder(state) / f"{max(numbers, default=0) + 1:04}")
