"""Entities that are added to a recovery folder, or removed from it."""

import sys
from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

from runtime.flows import FLOW_IDS, TRIPS_STEP_ID
from runtime.folder_record import FolderRecord, read_record, write_record
from runtime.recovery import delete_keys, delete_unreachable_snapshots, stored_keys, stored_states

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


def update_entities(folder: Path, wanted: FolderRecord, window_ms: int) -> None:
    """Give a locked folder the entities of this start, which `lock_folder` has allowed.

    An added entity is counted from the first window on that has no trip before the resume offsets.
    The open windows of a removed entity are deleted, so it can only be added again.
    """
    found = read_record(folder, wanted) or wanted
    if found.flow != "main" or found.entities.keys() == wanted.entities.keys():
        return
    delete_unreachable_snapshots(folder)
    added = wanted.entities.keys() - found.entities.keys()
    since = first_whole_window(stored_states(folder, TRIPS_STEP_ID), window_ms)
    _delete_windows(folder, added | (found.entities.keys() - wanted.entities.keys()))
    entities = {name: since if name in added else found.entities[name] for name in wanted.entities}
    write_record(folder, replace(found, entities=entities))
    for name in sorted(added):
        when = "the beginning" if since is None else _EPOCH + timedelta(milliseconds=since)
        sys.stderr.write(f"entities: {name} is counted from {when} on\n")


def first_whole_window(states: Mapping[str, dict[str, Any]], window_ms: int) -> int | None:
    """Return the first window (start in epoch ms) that has no trip before the resume offsets.

    `states` are those of the partitions. None where nothing was read.
    """
    latest = max((s["latest"] for s in states.values() if s["latest"] is not None), default=None)
    return None if latest is None else (latest // window_ms + 1) * window_ms


def _delete_windows(folder: Path, entities: Iterable[str]) -> None:
    keys = stored_keys(folder)
    for name in entities:
        step = f"{FLOW_IDS['main']}.{name}_windows"
        delete_keys(folder, step, keys.get(step, set()))
