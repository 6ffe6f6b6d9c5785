"""The workload: the same trips for every system, from a seed, 100 per second of event time."""

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import polars as pl

from data.random_columns import RandomColumns

SEED: Final = 20_250_602
DRIVERS: Final = 10_000
PASSENGERS: Final = 100_000
PARTITIONS: Final = 4
LOCATIONS: Final = 265
VEHICLE_TYPES: Final = ("car", "scooter", "bike")
_START: Final = datetime(2025, 6, 2, tzinfo=UTC)
_LONGEST_CENTI_MINUTES: Final = 6_000
_LONGEST_DEKAMETRES: Final = 3_000
_HIGHEST_CENTS: Final = 10_000


@dataclass(frozen=True, slots=True)
class Workload:
    """A number of trips and passengers, the trips per second of event time, and partitions."""

    rows: int
    passengers: int = PASSENGERS
    per_second: int = 100
    partitions: int = PARTITIONS

    @property
    def name(self) -> str:
        """The name in topics, files and schemas."""
        return f"{self.rows}_{self.passengers}_{self.per_second}_{self.partitions}"


def make_trips(workload: Workload, seed: int = SEED) -> pl.DataFrame:
    """Return a workload's trips in start order; fewer rows are the first of more.

    As a message a trip has 232 bytes on average. No trip is late or a duplicate, and no field is
    missing: benchmarks measure speed, and tests cover the rest.
    """
    columns = RandomColumns(seed, workload.rows)
    number = pl.int_range(workload.rows, dtype=pl.Int64, eager=True)
    start = number * 1_000 // workload.per_second + int(_START.timestamp() * 1_000)
    driver = columns.index("driver", DRIVERS)
    return pl.DataFrame(
        {
            "trip_id": _numbered("", number, 7),
            "driver_id": _numbered("d", driver, 4),
            "passenger_id": _numbered("p", columns.index("passenger", workload.passengers), 5),
            "vehicle_type": pl.Series(VEHICLE_TYPES).gather(driver % len(VEHICLE_TYPES)),
            "start_location_id": columns.index("start", LOCATIONS) + 1,
            "end_location_id": columns.index("end", LOCATIONS) + 1,
            "start_time": start.cast(pl.Datetime("ms", "UTC")),
            "duration_min": (columns.index("duration", _LONGEST_CENTI_MINUTES) + 1) / 100,
            "distance_km": columns.index("distance", _LONGEST_DEKAMETRES) / 100,
            "price": columns.index("price", _HIGHEST_CENTS) / 100,
        }
    )


def write_trips(path: Path, workload: Workload) -> None:
    """Write the workload as a parquet file, which the producer replays."""
    make_trips(workload).write_parquet(path)


def _numbered(letter: str, numbers: pl.Series, width: int) -> pl.Series:
    return letter + numbers.cast(pl.String).str.zfill(width)
