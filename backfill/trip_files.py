"""The trips of a range in temporary files, split by event time: a log of any length fits.

The parts of a range are recounted one after the other, so memory holds the trips of one part.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import polars as pl

from backfill.log_batch import POSITION_SCHEMA
from backfill.window_range import WindowRange
from mobility.entities import ENTITIES
from mobility.settings import Settings
from mobility.sketched_measures import SKETCHES
from mobility.totals import aggregated_columns
from mobility.trips import TRIP_SCHEMA
from producer.formats.scratch_folder import scratch_folder

_COUNTED: Final = dict.fromkeys(
    name for entity in ENTITIES for name in aggregated_columns(entity, SKETCHES)
)

LOGGED_TRIP_SCHEMA: Final = pl.Schema(
    {
        **POSITION_SCHEMA,
        "trip_id": pl.String(),
        **{name: TRIP_SCHEMA.get(name, pl.String()) for name in _COUNTED},
        "window_start": pl.Int64(),
    }
)
"""Enriched trips with their positions in the log: what decides on windows, and nothing else."""

_PART_MS: Final = 86_400_000
"""About how much event time is in a part."""

_WAITING_ROWS: Final = 500_000
_PREFIX: Final = "mobility-backfill-"


class TripFiles:
    """Trips (LOGGED_TRIP_SCHEMA) of a range, by parts of it, in a folder.

    A few trips need no file.
    """

    def __init__(self, folder: Path, window_range: WindowRange, settings: Settings) -> None:
        self._folder = folder
        self._range = window_range
        self._length = max(_PART_MS // settings.window_ms, 1) * settings.window_ms
        self._waiting: list[pl.DataFrame] = []
        self._rows = 0
        self._files: dict[int, list[Path]] = {}

    def add(self, trips: pl.DataFrame) -> None:
        """Add trips of the range."""
        self._waiting.append(trips.select(LOGGED_TRIP_SCHEMA.names()))
        self._rows += trips.height
        if self._rows >= _WAITING_ROWS:
            self._write()

    def parts(self, *others: pl.Series) -> list[WindowRange]:
        """Return the parts of the range that have trips, or windows with one of these starts.

        There is at least one.
        """
        waiting = (each["window_start"] for each in self._waiting)
        starts = pl.concat([pl.Series(dtype=pl.Int64), *waiting, *others])
        inside = starts.filter(starts.is_between(self._range.start, self._range.end, "left"))
        numbers = {*self._files, *((inside - self._range.start) // self._length).unique()} or {0}
        return [
            WindowRange(start, min(start + self._length, self._range.end))
            for start in (self._range.start + number * self._length for number in sorted(numbers))
        ]

    def read(self, part: WindowRange) -> pl.DataFrame:
        """Return the trips of a part, in the order in which they were added."""
        number = (part.start - self._range.start) // self._length
        files = [pl.read_ipc(path) for path in self._files.get(number, ())]
        waiting = [each.filter(part.contains()) for each in self._waiting]
        return pl.concat([pl.DataFrame(schema=LOGGED_TRIP_SCHEMA), *files, *waiting])

    def _write(self) -> None:
        number = (pl.col("window_start") - self._range.start) // self._length
        rows = pl.concat(self._waiting).with_columns(part=number)
        parts = rows.partition_by("part", as_dict=True, include_key=False, maintain_order=True)
        for (part,), trips in parts.items():
            files = self._files.setdefault(part, [])
            files.append(self._folder / f"{part}-{len(files)}.arrow")
            trips.write_ipc(files[-1], compression="lz4")
        self._waiting, self._rows = [], 0


@contextmanager
def open_trip_files(window_range: WindowRange, settings: Settings) -> Iterator[TripFiles]:
    """Yield a place for the trips of a range, which is removed at the end."""
    with scratch_folder(_PREFIX) as folder:
        yield TripFiles(folder, window_range, settings)
