"""Files of tests, read as trips."""

import gzip
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import polars as pl

from producer.formats.options import ReadingOptions
from producer.formats.reading_report import ReadingReport
from producer.formats.rejects import RejectsFile
from producer.formats.trip_reader import open_trip_files


@dataclass(frozen=True)
class Reading:
    """What a file holds: the lines that describe it, its trips, and the report."""

    lines: list[str]
    trips: pl.DataFrame
    report: ReadingReport

    def first(self) -> dict[str, Any]:
        """Return the first trip, without the fields that are null, times as ISO 8601 text."""
        trip = self.trips.row(0, named=True)
        return {
            name: f"{held:%Y-%m-%dT%H:%M:%SZ}" if isinstance(held, datetime) else held
            for name, held in trip.items()
            if held is not None
        }


def read(
    *paths: Path, options: ReadingOptions | None = None, rejects: Path | None = None
) -> Reading:
    """Read files as the producer and the audit do."""
    with open_trip_files(paths, options or ReadingOptions()) as reader:
        report = reader.new_report()
        rejects_file = None if rejects is None else RejectsFile(rejects)
        frames = list(reader.batches(report, rejects_file))
        trips = pl.concat(frames, how="diagonal_relaxed")
        return Reading(reader.describe(), trips, report)


def write_csv(path: Path, header: str, *rows: str, separator: str = ",") -> Path:
    """Write a CSV file: a header and rows with commas, written with another separator if given."""
    text = "".join(f"{line}\n" for line in (header, *rows)).replace(",", separator)
    path.write_bytes(gzip.compress(text.encode()) if path.suffix == ".gz" else text.encode())
    return path


def own_trips(**columns: Sequence[Any] | pl.Series) -> pl.DataFrame:
    """Return trips of our own record, with columns replaced or added."""
    first = next(iter(columns.values()), [0])
    height = len(first)
    required = {
        "start_time": [1_736_164_800_000 + 60_000 * row for row in range(height)],
        "duration_min": [10.0] * height,
        "distance_km": [1.5] * height,
        "price": [12.35] * height,
    }
    return pl.DataFrame({**required, **columns}, strict=False)
