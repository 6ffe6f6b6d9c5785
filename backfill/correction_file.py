"""Files of corrections: trips that people give to a backfill, to replace trips of the log."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import polars as pl

from backfill.decoding import TRIP_COLUMNS, window_start_of
from backfill.errors import BackfillError
from backfill.window_range import WindowRange
from mobility.settings import Settings
from mobility.times import iso_time
from mobility.trips import decode_trips
from mobility.validation import TripRules
from producer.formats.known_formats import OWN
from producer.formats.options import ReadingOptions
from producer.formats.trip_format import FIELDS, TIMES
from producer.formats.trip_reader import open_trip_files

MAX_FAULTS_SHOWN: Final = 10
"""The number of faults of a file that an error names."""

_PARQUET_MAGIC: Final = b"PAR1"


@dataclass(frozen=True, slots=True)
class CorrectionFile:
    """The trips of one file, and the range of windows that it was given for.

    `trips`: `line`, `window_start` and TRIP_COLUMNS, in the order of the file.
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
    trips, rejected = _parse(json_lines, settings)
    outside = trips.filter(~window_range.contains())
    faults = [text for _, text in sorted([*_rejections(rejected), *_strays(outside, window_range)])]
    if faults:
        more = len(faults) - MAX_FAULTS_SHOWN
        rest = [f"and {more:,} more"] if more > 0 else []
        text = "\n  ".join([*faults[:MAX_FAULTS_SHOWN], *rest])
        msg = f"{path} has lines that can't be used:\n  {text}\nCorrect the file and run again."
        raise BackfillError(msg)
    sha256 = hashlib.sha256(content).hexdigest()
    return CorrectionFile(str(path), sha256, window_range, json_lines, trips)


def _to_json_lines(path: Path) -> bytes:
    """Return the trips of a parquet file as messages, without further columns."""
    with open_trip_files([path], ReadingOptions(format=OWN.name)) as reader:
        report = reader.new_report()
        batches = list(reader.batches(report))
    if report.left_out:
        raise ValueError(report.summary())
    trips = pl.concat(batches, how="diagonal")
    times = (pl.col(name).dt.epoch("ms") for name in TIMES if name in trips.columns)
    named = trips.with_columns(times).select(name for name in FIELDS if name in trips.columns)
    return named.write_ndjson().encode()


def _parse(json_lines: bytes, settings: Settings) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Return the trips of a file, and the rejected lines: `line`, `error` and `detail`."""
    lines = enumerate(json_lines.split(b"\n"), 1)
    messages = [(number, line) for number, line in lines if line.strip()]
    # Whatever the log holds, a file of corrections holds trips in plain JSON.
    decoded = decode_trips([line for _, line in messages], TripRules.of(settings))
    numbers = pl.Series("line", [number for number, _ in messages], dtype=pl.Int64)
    trips, rejected = (
        rows.select(numbers.gather(rows["row"]), *(name for name in rows.columns if name != "row"))
        for rows in (decoded.trips, decoded.rejected)
    )
    return trips.select("line", window_start_of(settings), *TRIP_COLUMNS), rejected


def _rejections(rejected: pl.DataFrame) -> Iterator[tuple[int, str]]:
    """Yield the numbers of lines that hold no trip, and texts that say why."""
    for line, reason, detail in rejected.iter_rows():
        yield line, f"line {line}: no valid trip: {reason} ({detail})"


def _strays(outside: pl.DataFrame, window_range: WindowRange) -> Iterator[tuple[int, str]]:
    """Yield the numbers of lines whose trips are outside the range, and texts that say so."""
    for line, time in outside.select("line", "event_time").iter_rows():
        yield line, f"line {line}: its time {iso_time(time)} is outside {window_range}"
