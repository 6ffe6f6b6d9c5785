"""One day of trips: start times, people, locations, distances, durations and prices."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

import polars as pl

from data.city import LOCATIONS
from data.random_columns import RandomColumns

DAY: Final = datetime(2025, 6, 2, tzinfo=UTC)
"""A Monday."""

DELAYED_SHARE: Final = 0.005
MAX_DELAY_MS: Final = 20_000
"""The share of rows that are out of order in the file, and the maximum delay."""

_DAY_MS: Final = 86_400_000
_HOUR_MS: Final = 3_600_000

# Demand at each full hour (UTC), linear in between: two rush hours, a lunch peak, a quiet night.
_DEMAND: Final = (
    9, 6, 4, 3, 4, 9, 24, 52, 66, 44, 33, 34,
    41, 38, 34, 37, 48, 66, 70, 52, 38, 30, 23, 15,
)  # fmt: skip

_SIDES: Final = ("start", "end")
_AXES: Final = ("lat", "lng")

# Shares of trips without one of these columns.
_MISSING: Final = {"driver_id": 0.01, "passenger_id": 0.015, "vehicle_type": 0.2, "end_time": 0.005}
_NO_COORDINATES: Final = 0.041
_NO_LOCATION: Final = (0.04, 0.06)  # in the overlap both are missing

_METRES_PER_DEGREE: Final = 111_195.0
_COS_LATITUDE: Final = 0.78  # at the city's 38.7 degrees; a plane is a good approximation for 30 km


@dataclass(frozen=True, slots=True)
class Vehicle:
    """A vehicle type: of `choices` destinations the nearest is taken; speed and tariff."""

    choices: int
    km_per_hour: float
    base_price: float
    price_per_km: float
    price_per_minute: float


_VEHICLES: Final = {
    "car": Vehicle(1, 28.0, 2.20, 0.85, 0.16),
    "scooter": Vehicle(3, 15.0, 1.00, 0.00, 0.19),
    "bike": Vehicle(2, 13.0, 0.50, 0.00, 0.09),
}


def trips(seed: int, rows: int, drivers: pl.DataFrame, passengers: pl.DataFrame) -> pl.DataFrame:
    """Return `rows` trips with the columns of a trip record, in the order of the file.

    That is the order of start times, except for one row in 200 that is up to 20 s later.
    """
    columns = RandomColumns(seed, rows)
    frame = _people(columns, drivers, passengers).with_columns(_start_times(columns))
    frame = _with_durations_and_prices(
        _with_distances(_with_locations(frame, columns), columns), columns
    )
    return (
        _with_nulls(frame, columns)
        .sort(_file_order(columns, frame), maintain_order=True)
        .select(*_file_columns())
    )


def _file_columns() -> tuple[pl.Expr, ...]:
    time = pl.Datetime("ms", "UTC")
    return (
        *(pl.col(name) for name in ("trip_id", "driver_id", "passenger_id", "vehicle_type")),
        *(pl.col(f"{side}_location_id").cast(pl.Int32) for side in _SIDES),
        *(pl.col(f"{side}_{axis}").round(5) for side in _SIDES for axis in _AXES),
        *(pl.col(name).cast(time) for name in ("start_time", "end_time")),
        (pl.col("seconds") / 60).round(2).alias("duration_min"),
        pl.col("distance_km"),
        pl.col("price"),
    )


def _start_times(columns: RandomColumns) -> pl.Series:
    # Sums of two uniform values have a triangular distribution, two hours wide, and so demand is
    # linear between the hours.
    hour = columns.weighted("trips/hour", _DEMAND).cast(pl.Float64)
    within = columns.uniform("trips/before") + columns.uniform("trips/after")
    into_day = ((hour + within) * _HOUR_MS).floor().cast(pl.Int64) % _DAY_MS
    return (into_day.sort() + int(DAY.timestamp()) * 1_000).alias("start_time")


def _people(
    columns: RandomColumns, drivers: pl.DataFrame, passengers: pl.DataFrame
) -> pl.DataFrame:
    driver = _skewed_index(columns, "trips/driver", drivers.height)
    passenger = _skewed_index(columns, "trips/passenger", passengers.height)
    number = pl.int_range(1, columns.rows + 1, eager=True).cast(pl.String).str.zfill(8)
    return pl.DataFrame(
        {
            "trip_id": "t" + number,
            "driver_id": drivers["driver_id"].gather(driver),
            "passenger_id": passengers["passenger_id"].gather(passenger),
            "vehicle_type": drivers["vehicle_type"].gather(driver),
        }
    )


def _skewed_index(columns: RandomColumns, name: str, size: int) -> pl.Series:
    """Return row numbers, low ones more often: some people have many trips."""
    share = columns.uniform(name)
    return (share * (0.4 + 0.6 * share) * size).floor().cast(pl.Int64)


def _with_locations(frame: pl.DataFrame, columns: RandomColumns) -> pl.DataFrame:
    weights = [location.weight for location in LOCATIONS]
    choices = max(vehicle.choices for vehicle in _VEHICLES.values())
    start = _points_near(columns, "trips/start", columns.weighted("trips/start", weights))
    ends = [
        _points_near(columns, f"trips/end{choice}", columns.weighted(f"trips/end{choice}", weights))
        for choice in range(choices)
    ]
    distances = [_straight_km(start, end) for end in ends]
    allowed = frame["vehicle_type"].replace_strict(
        {name: vehicle.choices for name, vehicle in _VEHICLES.items()}, return_dtype=pl.Int64
    )
    nearest, distance = ends[0], distances[0]
    for choice in range(1, choices):
        better = (allowed > choice) & (distances[choice] < distance)
        distance = distances[choice].zip_with(better, distance)
        nearest = nearest.select(
            column.zip_with(~better, ends[choice][column.name]) for column in nearest
        )
    return frame.with_columns(
        *(column.alias(f"start_{column.name}") for column in start),
        *(column.alias(f"end_{column.name}") for column in nearest),
        distance.alias("straight_km"),
    )


def _points_near(columns: RandomColumns, name: str, index: pl.Series) -> pl.DataFrame:
    """Return location_id, lat and lng of points about 250 m around locations."""
    north, east = (columns.normal(f"{name}/{axis}") * 250 for axis in _AXES)
    lat = pl.Series([each.lat for each in LOCATIONS]).gather(index)
    lng = pl.Series([each.lng for each in LOCATIONS]).gather(index)
    return pl.DataFrame(
        {
            "location_id": index + 1,
            "lat": lat + north / _METRES_PER_DEGREE,
            "lng": lng + east / (_METRES_PER_DEGREE * _COS_LATITUDE),
        }
    )


def _straight_km(start: pl.DataFrame, end: pl.DataFrame) -> pl.Series:
    north = end["lat"] - start["lat"]
    east = (end["lng"] - start["lng"]) * _COS_LATITUDE
    return (north * north + east * east).sqrt() * (_METRES_PER_DEGREE / 1_000)


def _with_distances(frame: pl.DataFrame, columns: RandomColumns) -> pl.DataFrame:
    detour = 1.15 + 0.15 * columns.log_normal("trips/detour", spread=0.9)
    return frame.with_columns(
        ((pl.col("straight_km") + 0.2) * detour).round(3).alias("distance_km"),
    )


def _with_durations_and_prices(frame: pl.DataFrame, columns: RandomColumns) -> pl.DataFrame:
    hour = (frame["start_time"] // _HOUR_MS) % 24
    traffic = pl.Series([float(demand) for demand in _DEMAND]).gather(hour) / max(_DEMAND)
    # Full roads halve the speed of cars, but not of scooters and bikes.
    slower = 1.0 + traffic.zip_with(frame["vehicle_type"] == "car", traffic * 0.2)
    slower *= columns.log_normal("trips/pace", spread=0.3)
    noise = columns.log_normal("trips/price", spread=0.12)

    def tariff(field: str) -> pl.Expr:
        prices = {name: getattr(vehicle, field) for name, vehicle in _VEHICLES.items()}
        return pl.col("vehicle_type").replace_strict(prices, return_dtype=pl.Float64)

    minutes = pl.col("seconds") / 60
    fare = (
        tariff("base_price")
        + tariff("price_per_km") * pl.col("distance_km")
        + tariff("price_per_minute") * minutes
    )
    return (
        frame.with_columns(
            (90 + pl.col("distance_km") / tariff("km_per_hour") * 3_600 * slower)
            .round()
            .cast(pl.Int64)
            .alias("seconds")
        )
        .with_columns(end_time=pl.col("start_time") + pl.col("seconds") * 1_000)
        .with_columns((fare * noise).round(2).alias("price"))
    )


def _with_nulls(frame: pl.DataFrame, columns: RandomColumns) -> pl.DataFrame:
    """Set fields to null that real data lack, so that every fallback is used."""
    is_missing = {
        name: columns.uniform(f"trips/without/{name}") < share for name, share in _MISSING.items()
    }
    place = columns.uniform("trips/without/place")
    for side in _SIDES:
        is_missing |= {f"{side}_{axis}": place < _NO_COORDINATES for axis in _AXES}
        is_missing[f"{side}_location_id"] = place.is_between(*_NO_LOCATION)
    return frame.with_columns(
        pl.when(~missing).then(pl.col(name)).alias(name) for name, missing in is_missing.items()
    )


def _file_order(columns: RandomColumns, frame: pl.DataFrame) -> pl.Series:
    """Return the times by which the rows of the file are sorted."""
    delay = columns.index("trips/delay", MAX_DELAY_MS) + 1
    late = columns.uniform("trips/late") < DELAYED_SHARE
    return frame["start_time"] + delay * late.cast(pl.Int64)
