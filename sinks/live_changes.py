"""The stream of changes in Redis: windows that were replaced, for those who watch."""

from typing import Final

import polars as pl

from mobility.measures import TOTALS
from sinks.redis_commands import NO_COMMANDS, Commands, command

STREAM_ENTRIES: Final = 500
"""Entries that the change stream keeps: a minute of live traffic. An entry has up to ENTRY_WINDOWS,
so more of them could fill the memory during a catch-up."""

ENTRY_WINDOWS: Final = 1_000


def change_lines(windows: pl.DataFrame) -> pl.Series:
    """Return each window (WINDOW_SCHEMA) as a JSON list, with amounts in millionths as text."""
    named = pl.struct("id").struct.json_encode()  # {"id":"..."}, with JSON escapes
    entity_id = named.str.slice(len('{"id":')).str.strip_suffix("}")
    amounts = (part for name in TOTALS for part in (pl.lit(',"'), name, pl.lit('"')))
    line = pl.concat_str(
        *(pl.lit("["), entity_id, pl.lit(","), "window_start", pl.lit(","), "trip_count"),
        *(*amounts, pl.lit(',"'), "pane", pl.lit('"]')),
    )
    return windows.select(line).to_series()


def change_commands(stream: str, windows: pl.DataFrame) -> Commands:
    """Return the commands that append windows to a stream; it is trimmed."""
    commands = NO_COMMANDS
    for part in windows.iter_slices(ENTRY_WINDOWS):
        entry = "[" + ",".join(change_lines(part)) + "]"
        commands += command("XADD", stream, "MAXLEN", "~", STREAM_ENTRIES, "*", "w", entry)
    return commands


def gap_command(stream: str) -> Commands:
    """Return the command that appends an entry for changes that are missing in a stream."""
    return command("XADD", stream, "MAXLEN", "~", STREAM_ENTRIES, "*", "gap", "1")
