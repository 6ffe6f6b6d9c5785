"""Decides at a start which tables and rules are in force.

They change only between a graceful stop and the next start, from offsets on that no run has read:
so no message is classified twice, by the old and by the new ones. After a crash messages behind the
resumed offsets are read again, so the tables and rules that were in force stay in force, also if
the files have changed. The run that reads them again may be stopped before it has read all of them:
then the new ones are in force from the end of the log at the start of that run.
"""

import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec

from mobility.enrichment import TableError
from mobility.records import RULES_VERSION
from mobility.rules_journal import JournalEntry
from mobility.settings import PREFIX, Settings
from runtime.failures import RefusalError, StartError
from runtime.flows import TRIPS_STEP_ID
from runtime.recovery import resume_epoch, stored_states
from runtime.rules_journal import (
    copied_tables,
    copy_tables,
    hash_tables,
    read_journal,
    write_journal,
)
from runtime.start_record import StartRecord, read_start, write_start
from runtime.tables import configured_tables, read_new_tables


def update_rules(folder: Path, settings: Settings) -> None:
    """Put the tables of the settings and this program's rules in force, if they may change now.

    Nothing may be running on the folder, and unreachable snapshots must be deleted. What is in
    force is on the disk on return, before anything is read with it. Raises RefusalError where a
    table can't be used, StartError where the folder can't be written.
    """
    states = stored_states(folder, TRIPS_STEP_ID)
    entries = read_journal(folder)
    started = read_start(folder)
    is_graceful = _ended_gracefully(folder, states, started)
    try:
        if not entries:
            write_journal(folder, [_first_entry(folder, settings, states)])
        elif is_graceful:
            if (changed := _changed(settings, entries[-1])) is not None:
                entry = _next_entry(folder, settings, states)
                write_journal(folder, [*entries, entry])
                _print(f"{changed}: in force from here on, {_offsets(entry)}")
        elif (changed := _changed(settings, entries[-1])) is not None:
            _print(
                f"{changed}, but the last run did not end gracefully: what is in force since "
                f"{entries[-1].at} stays in force. A graceful stop and the next start change it; "
                "SIGHUP to the launcher does both."
            )
        has_run = started is not None or bool(states)
        write_start(folder, StartRecord(resume_epoch(folder), has_run and not is_graceful))
    except OSError as error:
        msg = f"The recovery folder {folder} can't be written: {error}. Is the disk full?"
        raise StartError(msg) from error


def check_tables(settings: Settings) -> None:
    """Raise RefusalError where a table of the settings can't be used."""
    try:
        read_new_tables(configured_tables(settings), settings)
    except TableError as error:
        raise RefusalError(str(error)) from error


def _ended_gracefully(
    folder: Path, states: Mapping[str, dict[str, Any]], started: StartRecord | None
) -> bool:
    """Return whether the last run has read nothing after the offsets that are resumed.

    The last snapshot of a partition says whether the partition had ended. It must be newer than the
    last start: a run that was killed before its first snapshot may have read on.
    """
    is_newer = started is not None and resume_epoch(folder) > started.resume_epoch
    return is_newer and all(state.get("ended", False) for state in states.values())


def _changed(settings: Settings, entry: JournalEntry) -> str | None:
    """Return how an entry differs from these settings and this program, as a text."""
    files = configured_tables(settings)
    changes = [f"{PREFIX}{n.upper()} is not set any more" for n in entry.tables if n not in files]
    for name, path in files.items():
        variable = f"{PREFIX}{name.upper()}={path}"
        try:
            (sha256,) = hash_tables({name: path}).values()
        except OSError as error:
            changes.append(f"{variable} can't be read ({error.strerror})")
        else:
            if sha256 != entry.tables.get(name):
                changes.append(f"{variable} has changed")
    if entry.version != RULES_VERSION:
        changes.append(f"version {RULES_VERSION} of the rules for a trip replaces {entry.version}")
    return ", ".join(changes) or None


def _first_entry(
    folder: Path, settings: Settings, states: Mapping[str, dict[str, Any]]
) -> JournalEntry:
    """Return the entry for a folder without a journal: it is in force for the whole log."""
    entry = _next_entry(folder, settings, {})
    # Folders without a journal are of a release before it, whose rules were the first ones. How
    # its last run ended is not known.
    return msgspec.structs.replace(entry, version=1) if states else entry


def _next_entry(
    folder: Path, settings: Settings, states: Mapping[str, dict[str, Any]]
) -> JournalEntry:
    """Copy the tables of the settings; return the entry that is in force behind these states."""
    topic_ids = (state.get("topic_id") for state in states.values())
    try:
        entry = JournalEntry(
            at=datetime.now(UTC).isoformat(timespec="seconds"),
            version=RULES_VERSION,
            tables=copy_tables(folder, configured_tables(settings)),
            first_offsets={int(p): _first_unread(state) for p, state in sorted(states.items())},
            topic_id=next((each for each in topic_ids if each is not None), None),
        )
        read_new_tables(copied_tables(folder, entry), settings)
    except TableError as error:
        raise RefusalError(str(error)) from error
    return entry


def _first_unread(state: Mapping[str, Any]) -> int:
    """Return the first offset of a partition that no run has read."""
    offsets: tuple[int | None, int] = state["next_offset"], state.get("read_before", 0)
    return max(offsets[0] or 0, offsets[1])


def _offsets(entry: JournalEntry) -> str:
    offsets = (f"{first:,} of partition {p}" for p, first in entry.first_offsets.items())
    return f"offset {', '.join(offsets)}"


def _print(what: str) -> None:
    sys.stderr.write(f"rules: {what}\n")
    sys.stderr.flush()
