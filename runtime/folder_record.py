"""What a recovery folder belongs to, as the file `flow.json` in it says."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

from mobility.files import write_atomically
from runtime.failures import RefusalError
from runtime.flows import FLOW_IDS
from runtime.recovery import PARTITIONS, stored_keys

STATE_VERSION: Final = 1
"""The version of the states that the steps of the flow store."""

NEW_FOLDER: Final = (
    "Start with a new folder (`-r NEW`): the flow then reads the whole log again. Numbers of "
    "messages that retention has not deleted are the same."
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
        found, expected = asdict(self), asdict(wanted)
        remedies = {
            "flow": f"Start that flow (`--flow {self.flow}`), or choose another folder.",
            "shards": f"Start with MOBILITY_SHARDS={self.shards}. {NEW_FOLDER}",
            "state_version": f"Start the release that created it. {NEW_FOLDER}",
            "partitions": f"Start the release that created it. {NEW_FOLDER}",
        }
        for name, remedy in remedies.items():
            if found[name] != expected[name]:
                what = name.replace("_", " ")
                msg = (
                    f"The recovery folder {folder} was created with {what} {found[name]}, this "
                    f"start has {expected[name]}.\n{remedy}"
                )
                raise RefusalError(msg)


def read_record(folder: Path, wanted: FolderRecord) -> FolderRecord | None:
    """Return the folder's record, None where it has none yet.

    The first release wrote none: the record of its folders is derived from the states in them.
    """
    try:
        return FolderRecord(**json.loads(_path(folder).read_text()))
    except FileNotFoundError:
        return None if _draft(folder).exists() else _from_states(folder, wanted)
    except (ValueError, TypeError) as error:
        msg = f"{_path(folder)} can't be read: {error}\nRestore it from a backup. {NEW_FOLDER}"
        raise RefusalError(msg) from error


def write_draft(folder: Path, record: FolderRecord) -> None:
    """Mark the folder as being made: until `write_record` nothing in it is in use."""
    _draft(folder).write_text(json.dumps(asdict(record)))


def write_record(folder: Path, record: FolderRecord) -> None:
    """Write the record, whole or not at all, where there is none yet."""
    if not _path(folder).exists():
        write_atomically(_path(folder), json.dumps(asdict(record)))
    _draft(folder).unlink(missing_ok=True)


def _from_states(folder: Path, wanted: FolderRecord) -> FolderRecord | None:
    if not any(folder.glob("part-*.sqlite3")):
        return None
    steps = stored_keys(folder)
    flow_ids = {step.split(".")[0] for step in steps}
    flow = next((name for name, flow_id in FLOW_IDS.items() if flow_id in flow_ids), wanted.flow)
    shards = [len(keys) for step, keys in steps.items() if step.endswith("_windows")]
    return FolderRecord(flow, max(shards, default=wanted.shards))


def _path(folder: Path) -> Path:
    return folder / "flow.json"


def _draft(folder: Path) -> Path:
    return folder / "flow.json.draft"
