"""Files of corrections: trips that people give to a backfill, to replace trips of the log."""

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import msgspec
import polars as pl

from audit.oracle import assign_windows
from audit.trips_file import read_own_trips
from audit.validation import TRIP_SCHEMA, LogMessage, validate_messages
from backfill.errors import BackfillError
from backfill.window_range import WindowRange
from mobility.records import MAX_EVENT_TIME
from mobility.settings import Settings
from mobility.times import iso_time

MAX_FAULTS_SHOWN: Final = 10
"""The number of faults of a file that an error names."""

_PARQUET_MAGIC: Final = b"PAR1"


@dataclass(frozen=True, slots=True)
class CorrectionFile:
    """The trips of one file, and the range of windows that it was given for.

    `trips`: `line`, `window_start` and the fields of TRIP_SCHEMA, in the order of the file.
    `json_lines`: the same trips as one JSON message per line. `sha256` is that of the file itself.
    """

    name: str
    sha256: str
    window_range: WindowRange
    json_lines: bytes
    trips: pl.DataFrame


def read_correction_file(
    path: Path, window_range: WindowRange, settings: Settings
) -> CorrectionFile:
    """Read a file of trips: NDJSON as in `trips_stream`, or parquet with the columns of a trip.

    Raises BackfillError, naming lines, where one is not a valid trip or not in the range.
    """
    try:
        content = path.read_bytes()
        json_lines = _to_json_lines(path) if content.startswith(_PARQUET_MAGIC) else content
    except (OSError, ValueError, pl.exceptions.PolarsError) as error:
        msg = f"{path} can't be read as corrections: {error}"
        raise BackfillError(msg) from error
    rows = _parse(json_lines, settings)
    faults = list(_faults(rows, window_range))
    if faults:
        more = len(faults) - MAX_FAULTS_SHOWN
        rest = [f"and {more:,} more"] if more > 0 else []
        text = "\n  ".join([*faults[:MAX_FAULTS_SHOWN], *rest])
        msg = f"{path} has lines that can't be used:\n  {text}\nCorrect the file and run again."
        raise BackfillError(msg)
    trips = rows.select("line", "window_start", *TRIP_SCHEMA)
    sha256 = hashlib.sha256(content).hexdigest()
    return CorrectionFile(str(path), sha256, window_range, json_lines, trips)


def _to_json_lines(path: Path) -> bytes:
    """Return the trips of a parquet file as messages without the fields that are null."""
    trips = read_own_trips(path).iter_rows(named=True)
    messages = ({name: held for name, held in trip.items() if held is not None} for trip in trips)
    return b"".join(json.dumps(message).encode() + b"\n" for message in messages)


def _parse(json_lines: bytes, settings: Settings) -> pl.DataFrame:
    # A correction has no append time: with the latest one no trip of the past is in the future.
    messages = [
        LogMessage(-1, number, MAX_EVENT_TIME, line)
        for number, line in enumerate(json_lines.split(b"\n"), 1)
        if line.strip()
    ]
    # Whatever the log holds, a file of corrections holds trips in plain JSON.
    as_json = msgspec.structs.replace(settings, value="json")
    rows = assign_windows(validate_messages(messages, as_json), settings)
    return rows.rename({"offset": "line"})


def _faults(rows: pl.DataFrame, window_range: WindowRange) -> Iterator[str]:
    invalid = rows.filter(pl.col("reason").is_not_null() | ~window_range.contains())
    for line, reason, time in invalid.select("line", "reason", "event_time").iter_rows():
        if reason is not None:
            yield f"line {line}: no valid trip: {reason}"
        else:
            yield f"line {line}: its time {iso_time(time)} is outside {window_range}"
