"""Workspaces: files of trips with a log, stores and state of their own, in a folder each."""

import argparse
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import reduce
from pathlib import Path
from typing import Final

import msgspec

from mobility.files import write_atomically
from mobility.trip_files import TripFileSet
from stack.import_folder import ImportFolder, read_imports
from stack.load_state import LoadState, read_load_state
from stack.services import open_folder

_FOLDER: Final = "workspaces"
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_LONGEST: Final = 64
_SUFFIXES: Final = re.compile(
    r"(\.(parquet|csv|tsv|txt|ndjson|jsonl|json|geojson|gz|zst|zip))+\Z", re.IGNORECASE
)


class WorkspaceError(ValueError):
    """A workspace that can't be run as people want; the message says what to do."""


class WorkspaceRecord(msgspec.Struct, frozen=True):
    """What a workspace holds: its files, and whether all their trips are in the log."""

    files: TripFileSet
    is_loaded: bool = False


@dataclass(frozen=True, slots=True)
class Workspace:
    """A workspace: its name, and its state folder, which is that of a system."""

    name: str
    folder: Path

    @property
    def state_file(self) -> Path:
        """The state file of the producer, which writes it before the first trip."""
        return self.folder / "producer.json"

    def record(self) -> WorkspaceRecord | None:
        """Return the record; None if there is no such workspace."""
        try:
            return msgspec.json.decode(self._record.read_bytes(), type=WorkspaceRecord)
        except FileNotFoundError:
            return None

    def save(self, record: WorkspaceRecord) -> None:
        """Replace the record."""
        write_atomically(self._record, msgspec.json.encode(record), durable=True)

    def load_state(self) -> LoadState | None:
        """Return how far the files are loaded; None before the first trip."""
        return read_load_state(self.state_file)

    def imports(self) -> list[ImportFolder]:
        """Return the imports of further files, the oldest first."""
        return list(read_imports(self.folder))

    def loads(self) -> LoadState | None:
        """Return how far all files are loaded, imported ones too; None before the first trip."""
        own = self.load_state()
        imported = [state for each in self.imports() if (state := each.load_state())]
        return None if own is None else reduce(LoadState.plus, imported, own)

    @property
    def _record(self) -> Path:
        return self.folder / "workspace.json"


def workspace_name(text: str) -> str:
    """Return a name that people have given; an argparse type."""
    if not _NAME.fullmatch(text):
        msg = f"{text}: a name has up to {_LONGEST} letters, digits, dots, dashes and underscores"
        raise argparse.ArgumentTypeError(msg)
    return text


def derived_name(path: Path) -> str:
    """Return the name of the workspace of a file or folder.

    >>> derived_name(Path("/data/My trips, 2025.csv.gz"))
    'My-trips-2025'
    """
    words = re.findall(r"[A-Za-z0-9._]+", _SUFFIXES.sub("", path.name))
    return "-".join(words).strip("._")[:_LONGEST] or "trips"


def workspace_folder(state: Path, name: str) -> Path:
    """Return the folder of a workspace in the state folder."""
    return state / _FOLDER / name


def open_workspace(state: Path, name: str) -> Workspace:
    """Create the folder of a workspace if it does not exist."""
    folder = workspace_folder(state, name)
    for each in (state, folder.parent, folder):
        open_folder(each)
    return Workspace(name, folder)


def find_workspace(state: Path, name: str) -> Workspace:
    """Return a workspace that exists; raises WorkspaceError with the names of those that do."""
    found = {each.name: each for each in workspaces(state)}
    if name not in found:
        there = f"there are {', '.join(found)}" if found else "there is none yet"
        msg = f"no workspace {name}: {there}. `just up FILE... --name {name}` makes it"
        raise WorkspaceError(msg)
    return found[name]


def workspaces(state: Path) -> Iterator[Workspace]:
    """Yield all workspaces by name."""
    for folder in sorted((state / _FOLDER).glob("*")):
        workspace = Workspace(folder.name, folder)
        if workspace.record() is not None:
            yield workspace
