"""Corrections: trips that a person gives a backfill, in the place of what the log holds."""

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import polars as pl

from audit.oracle import assign_windows
from audit.trips_file import read_trips
from audit.validation import TRIP_SCHEMA, LogMessage, validate_messages
from corrections.backfill_errors import BackfillError
from corrections.backfill_range import Range, shown
from mobility.records import MAX_EVENT_TIME
from mobility.settings import Settings

SHOWN_FAULTS: Final = 10
"""How many faults of a file are told at once."""

_PARQUET: Final = b"PAR1"


@dataclass(frozen=True, slots=True)
class Corrections:
    """The trips of one file, and the range that it was given for.

    `rows`: `line`, `window_start` and the fields of TRIP_SCHEMA, in the order of the file. `lines`
    is the file as one JSON message a line. `source` is the SHA-256 of the file itself.
    """

    name: str
    source: str
    given_for: Range
    lines: bytes
    rows: pl.DataFrame


def read_corrections(path: Path, given_for: Range, settings: Settings) -> Corrections:
    """Read a file of trips: NDJSON as on `trips_stream`, or parquet with a trip's columns.

    Raises BackfillError, naming lines, where one is no valid trip or outside the range.
    """
    try:
        content = path.read_bytes()
        lines = _as_lines(path) if content.startswith(_PARQUET) else content
    except (OSError, ValueError, pl.exceptions.PolarsError) as error:
        msg = f"{path} can't be read as corrections: {error}"
        raise BackfillError(msg) from error
    rows = _rows(lines, settings)
    faults = list(_faults(rows, given_for))
    if faults:
        more = len(faults) - SHOWN_FAULTS
        rest = [f"and {more:,} more"] if more > 0 else []
        text = "\n  ".join([*faults[:SHOWN_FAULTS], *rest])
        msg = f"{path} holds what can't be used:\n  {text}\nMend the file and run again."
        raise BackfillError(msg)
    trips = rows.select("line", "window_start", *TRIP_SCHEMA)
    source = hashlib.sha256(content).hexdigest()
    return Corrections(str(path), source, given_for, lines, trips)


def _as_lines(path: Path) -> bytes:
    """Return the trips of a parquet file as messages; what is null there is left out."""
    trips = read_trips(path).iter_rows(named=True)
    messages = ({name: held for name, held in trip.items() if held is not None} for trip in trips)
    return b"".join(json.dumps(message).encode() + b"\n" for message in messages)


def _rows(lines: bytes, settings: Settings) -> pl.DataFrame:
    # When a correction came is not when its trip was sent: nothing of the past is in the future.
    messages = [
        LogMessage(-1, number, MAX_EVENT_TIME, line)
        for number, line in enumerate(lines.split(b"\n"), 1)
        if line.strip()
    ]
    rows = assign_windows(validate_messages(messages, settings), settings)
    return rows.rename({"offset": "line"})


def _faults(rows: pl.DataFrame, given_for: Range) -> Iterator[str]:
    bad = rows.filter(pl.col("reason").is_not_null() | ~given_for.holds())
    for line, reason, moment in bad.select("line", "reason", "event_time").iter_rows():
        if reason is not None:
            yield f"line {line}: no valid trip: {reason}"
        else:
            yield f"line {line}: its time {shown(moment)} is outside {given_for}"
