"""The record of a recovery folder: the file `flow.json` with its flow and its entities."""

import json
from collections.abc import Collection
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Final

from mobility.entities import ENTITIES
from mobility.files import write_atomically
from mobility.settings import Settings, Store
from runtime.failures import RefusalError
from runtime.flows import FLOW_IDS, FlowName
from runtime.recovery import PARTITIONS, stored_keys

STATE_VERSION: Final = 2
"""The version of the states that the steps of the flow store."""

READABLE_STATE_VERSIONS: Final = (1, STATE_VERSION)
"""The versions of stored states that this release resumes from."""

NEW_FOLDER: Final = (
    "Start with a new folder (`-r NEW`) with a copy of `rules.ndjson` and `tables` of this one: "
    "the flow then reads the whole log again. Numbers of messages that retention has not deleted "
    "are the same."
)

_FIRST_ENTITIES: Final = ("driver", "passenger", "vehicle_type", "h3")
"""What is counted in a folder whose record has no list of entities."""


@dataclass(frozen=True, slots=True)
class FolderRecord:
    """A folder's flow, the version of the states in it, its fixed numbers, and its entities.

    An entity that was added later counts windows from a start on (epoch ms); others have None.
    `stores` are those of the last run; earlier releases did not record them.
    """

    flow: str
    shards: int
    state_version: int = STATE_VERSION
    partitions: int = PARTITIONS
    entities: dict[str, int | None] = field(default_factory=lambda: dict.fromkeys(_FIRST_ENTITIES))
    stores: list[Store] | None = None

    @classmethod
    def of(cls, flow: FlowName, settings: Settings) -> "FolderRecord":
        """Return the record of a new folder for this program and these settings."""
        entities = dict.fromkeys(entity.name for entity in ENTITIES)
        return cls(flow, settings.shards, entities=entities, stores=list(settings.stores))

    @property
    def counted_since(self) -> dict[str, int]:
        """The first window (epoch ms) of each entity that was added later."""
        return {name: since for name, since in self.entities.items() if since is not None}

    def refuse_other(self, folder: Path, wanted: "FolderRecord") -> None:
        """Raise RefusalError if the folder belongs to another flow or version."""
        found, expected = asdict(self), asdict(wanted)
        remedies = {
            "flow": f"Start that flow (`--flow {self.flow}`), or choose another folder.",
            "shards": f"Start with MOBILITY_SHARDS={self.shards}. {NEW_FOLDER}",
            "state_version": f"Start the release that created it. {NEW_FOLDER}",
            "partitions": f"Start the release that created it. {NEW_FOLDER}",
        }
        if self.state_version in READABLE_STATE_VERSIONS:
            del remedies["state_version"]
        for name, remedy in remedies.items():
            if found[name] != expected[name]:
                what = name.replace("_", " ")
                msg = (
                    f"The recovery folder {folder} was created with {what} {found[name]}, this "
                    f"start has {expected[name]}.\n{remedy}"
                )
                raise RefusalError(msg)

    def refuse_other_entities(
        self, folder: Path, wanted: "FolderRecord", allowed: Collection[str] = ()
    ) -> None:
        """Raise RefusalError where this start has more or fewer entities, but for the allowed ones.

        A flow that reads windows begins with the first window of an entity whenever it comes.
        """
        if self.flow != "main":
            return
        added = wanted.entities.keys() - self.entities.keys() - set(allowed)
        removed = self.entities.keys() - wanted.entities.keys() - set(allowed)
        for name in sorted(added):
            msg = (
                f"The recovery folder {folder} has no entity {name}: a part of the log was read "
                f"without counting it.\nStart once with `python -m dataflows -r {folder} "
                f"--add-entity {name}`: it is counted from the first window on that can be counted "
                f"wholly. {NEW_FOLDER}"
            )
            raise RefusalError(msg)
        for name in sorted(removed):
            msg = (
                f"The recovery folder {folder} counts the entity {name}, which this program does "
                "not have.\nStart the release that has it, or give up its open windows: start once "
                f"with `python -m dataflows -r {folder} --remove-entity {name}`."
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
    """Mark the folder as incomplete: until `write_record` nothing in it is used."""
    _draft(folder).write_text(json.dumps(asdict(record)))


def write_record(folder: Path, record: FolderRecord) -> None:
    """Write the record atomically, if there is another one or none.

    It has the version of the states that this release stores, so that earlier ones refuse them.
    """
    content = json.dumps(asdict(replace(record, state_version=STATE_VERSION)))
    if not _path(folder).exists() or _path(folder).read_text() != content:
        write_atomically(_path(folder), content, durable=True)
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
