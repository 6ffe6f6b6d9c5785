"""The workload: the same trips for everybody, from a seed, 100 a second of event time."""

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import polars as pl

from data.draws import Draws

SEED: Final = 20_250_602
DRIVERS: Final = 10_000
PASSENGERS: Final = 100_000
LOCATIONS: Final = 265
VEHICLE_TYPES: Final = ("car", "scooter", "bike")
_START: Final = datetime(2025, 6, 2, tzinfo=UTC)
_LONGEST_CENTI_MINUTES: Final = 6_000
_LONGEST_DEKAMETRES: Final = 3_000
_HIGHEST_CENTS: Final = 10_000


@dataclass(frozen=True, slots=True)
class Load:
    """How many trips, of how many passengers, how close to each other in event time."""

    rows: int
    passengers: int = PASSENGERS
    a_second: int = 100

    @property
    def name(self) -> str:
        """A name for topics, files and schemas."""
        return f"{self.rows}_{self.passengers}_{self.a_second}"


def trips(load: Load, seed: int = SEED) -> pl.DataFrame:
    """Return a load's trips in start order; fewer rows are the first of more.

    As a message a trip has 232 bytes on average. Nothing is missing, late or repeated: this is
    about speed, and what else a log can hold is for the tests.
    """
    draws = Draws(seed, load.rows)
    number = pl.int_range(load.rows, dtype=pl.Int64, eager=True)
    start = number * 1_000 // load.a_second + int(_START.timestamp() * 1_000)
    driver = draws.index("driver", DRIVERS)
    return pl.DataFrame(
        {
            "trip_id": _numbered("", number, 7),
            "driver_id": _numbered("d", driver, 4),
            "passenger_id": _numbered("p", draws.index("passenger", load.passengers), 5),
            "vehicle_type": pl.Series(VEHICLE_TYPES).gather(driver % len(VEHICLE_TYPES)),
            "start_location_id": draws.index("start", LOCATIONS) + 1,
            "end_location_id": draws.index("end", LOCATIONS) + 1,
            "start_time": start.cast(pl.Datetime("ms", "UTC")),
            "duration_min": (draws.index("duration", _LONGEST_CENTI_MINUTES) + 1) / 100,
            "distance_km": draws.index("distance", _LONGEST_DEKAMETRES) / 100,
            "price": draws.index("price", _HIGHEST_CENTS) / 100,
        }
    )


def write_trips(path: Path, load: Load) -> None:
    """Write the workload as the parquet file that the producer replays."""
    trips(load).write_parquet(path)


def _numbered(letter: str, numbers: pl.Series, width: int) -> pl.Series:
    return letter + numbers.cast(pl.String).str.zfill(width)
