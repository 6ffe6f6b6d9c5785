"""What a recovery folder belongs to, as the file `flow.json` in it says."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

from dataflows.failures import RefusalError
from dataflows.intake import STATE_VERSION
from dataflows.recovery import PARTITIONS, stored_keys

FLOW_IDS: Final = {"main": "mobility_hub", "serving": "mobility_serving"}
"""The flows by name, and how Bytewax knows them: the first part of every step's id."""

NEW_FOLDER: Final = (
    "Start with a new folder (`-r NEW`): the flow then reads the whole log again, which changes no "
    "number as far as the log reaches back."
)


@dataclass(frozen=True, slots=True)
class FolderRecord:
    """A folder's flow, the version of the states in it, and its fixed numbers."""

    flow: str
    shards: int
    state_version: int = STATE_VERSION
    partitions: int = PARTITIONS

    def refuse_other(self, folder: Path, wanted: "FolderRecord") -> None:
        """Raise RefusalError where the folder is not what this start wants."""
        there, here = asdict(self), asdict(wanted)
        remedies = {
            "flow": f"Start that flow (`--flow {self.flow}`), or choose another folder.",
            "shards": f"Start with MOBILITY_SHARDS={self.shards}. {NEW_FOLDER}",
            "state_version": f"Start the release that made it. {NEW_FOLDER}",
            "partitions": f"Start the release that made it. {NEW_FOLDER}",
        }
        for name, remedy in remedies.items():
            if there[name] != here[name]:
                word = name.replace("_", " ")
                msg = (
                    f"The recovery folder {folder} has {word} {there[name]}, this start "
                    f"{here[name]}.\n{remedy}"
                )
                raise RefusalError(msg)


def read_record(folder: Path, wanted: FolderRecord) -> FolderRecord | None:
    """Return the folder's record, None where it has none yet.

    The first release wrote none: its folder is read as what the states in it say.
    """
    try:
        return FolderRecord(**json.loads(_path(folder).read_text()))
    except FileNotFoundError:
        return None if _draft(folder).exists() else _from_states(folder, wanted)
    except (ValueError, TypeError) as error:
        msg = f"{_path(folder)} can't be read: {error}\nRestore it from a backup. {NEW_FOLDER}"
        raise RefusalError(msg) from error


def announce(folder: Path, record: FolderRecord) -> None:
    """Write down that the folder is being made: until `write_record` nothing in it is in use."""
    _draft(folder).write_text(json.dumps(asdict(record)))


def write_record(folder: Path, record: FolderRecord) -> None:
    """Write the record, whole or not at all, where there is none yet."""
    if not _path(folder).exists():
        whole = folder / "flow.json.whole"
        whole.write_text(json.dumps(asdict(record)))
        whole.replace(_path(folder))
    _draft(folder).unlink(missing_ok=True)


def _from_states(folder: Path, wanted: FolderRecord) -> FolderRecord | None:
    if not any(folder.glob("part-*.sqlite3")):
        return None
    steps = stored_keys(folder)
    owners = {step.split(".")[0] for step in steps}
    flow = next((name for name, owner in FLOW_IDS.items() if owner in owners), wanted.flow)
    shards = [len(keys) for step, keys in steps.items() if step.endswith("_windows")]
    return FolderRecord(flow, max(shards, default=wanted.shards))


def _path(folder: Path) -> Path:
    return folder / "flow.json"


def _draft(folder: Path) -> Path:
    return folder / "flow.json.draft"
