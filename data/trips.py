"""One day of trips: when they start, who rides, where to, how far, how long and for how much."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

import polars as pl

from data.city import PLACES
from data.draws import Draws

DAY: Final = datetime(2025, 6, 2, tzinfo=UTC)
"""A Monday."""

DELAYED_SHARE: Final = 0.005
MAX_DELAY_MS: Final = 20_000
"""How many rows stand late in the file, and how late at most."""

_DAY_MS: Final = 86_400_000
_HOUR_MS: Final = 3_600_000

# Demand at each full hour (UTC), linear in between: two rush hours, a lunch, a short night.
_DEMAND: Final = (
    9, 6, 4, 3, 4, 9, 24, 52, 66, 44, 33, 34,
    41, 38, 34, 37, 48, 66, 70, 52, 38, 30, 23, 15,
)  # fmt: skip

_SIDES: Final = ("start", "end")
_AXES: Final = ("lat", "lng")

# Shares of trips without one of these columns.
_MISSING: Final = {"driver_id": 0.01, "passenger_id": 0.015, "vehicle_type": 0.2, "end_time": 0.005}
_NO_COORDINATES: Final = 0.041
_NO_LOCATION: Final = (0.04, 0.06)  # the overlap has neither

_METRES_PER_DEGREE: Final = 111_195.0
_COS_LATITUDE: Final = 0.78  # at the city's 38.7 degrees; a plane is near enough for 30 km


@dataclass(frozen=True, slots=True)
class Vehicle:
    """How a vehicle type is ridden: out of so many destinations the nearest is taken."""

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

    That is the order of start times, but for one row in 200 that stands up to 20 s late.
    """
    draws = Draws(seed, rows)
    frame = _who(draws, drivers, passengers).with_columns(_starts(draws))
    frame = _how_long(_how_far(_where(frame, draws), draws), draws)
    return _gaps(frame, draws).sort(_delayed(draws, frame), maintain_order=True).select(*_columns())


def _columns() -> tuple[pl.Expr, ...]:
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


def _starts(draws: Draws) -> pl.Series:
    # The sum of two uniforms is a triangle two hours wide: triangles add up to straight lines.
    hour = draws.weighted("trips/hour", _DEMAND).cast(pl.Float64)
    within = draws.uniform("trips/before") + draws.uniform("trips/after")
    into_day = ((hour + within) * _HOUR_MS).floor().cast(pl.Int64) % _DAY_MS
    return (into_day.sort() + int(DAY.timestamp()) * 1_000).alias("start_time")


def _who(draws: Draws, drivers: pl.DataFrame, passengers: pl.DataFrame) -> pl.DataFrame:
    driver = _favoured(draws, "trips/driver", drivers.height)
    passenger = _favoured(draws, "trips/passenger", passengers.height)
    number = pl.int_range(1, draws.rows + 1, eager=True).cast(pl.String).str.zfill(8)
    return pl.DataFrame(
        {
            "trip_id": "t" + number,
            "driver_id": drivers["driver_id"].gather(driver),
            "passenger_id": passengers["passenger_id"].gather(passenger),
            "vehicle_type": drivers["vehicle_type"].gather(driver),
        }
    )


def _favoured(draws: Draws, name: str, size: int) -> pl.Series:
    """Return row numbers of which low ones are drawn more often: some people ride a lot."""
    share = draws.uniform(name)
    return (share * (0.4 + 0.6 * share) * size).floor().cast(pl.Int64)


def _where(frame: pl.DataFrame, draws: Draws) -> pl.DataFrame:
    weights = [place.weight for place in PLACES]
    choices = max(vehicle.choices for vehicle in _VEHICLES.values())
    start = _scattered(draws, "trips/start", draws.weighted("trips/start", weights))
    ends = [
        _scattered(draws, f"trips/end{choice}", draws.weighted(f"trips/end{choice}", weights))
        for choice in range(choices)
    ]
    crows = [_crow_km(start, end) for end in ends]
    allowed = frame["vehicle_type"].replace_strict(
        {name: vehicle.choices for name, vehicle in _VEHICLES.items()}, return_dtype=pl.Int64
    )
    nearest, crow = ends[0], crows[0]
    for choice in range(1, choices):
        better = (allowed > choice) & (crows[choice] < crow)
        crow = crows[choice].zip_with(better, crow)
        nearest = nearest.select(
            column.zip_with(~better, ends[choice][column.name]) for column in nearest
        )
    return frame.with_columns(
        *(column.alias(f"start_{column.name}") for column in start),
        *(column.alias(f"end_{column.name}") for column in nearest),
        crow.alias("crow_km"),
    )


def _scattered(draws: Draws, name: str, place: pl.Series) -> pl.DataFrame:
    """Return location_id, lat and lng of points some 250 m around places."""
    north, east = (draws.normal(f"{name}/{axis}") * 250 for axis in _AXES)
    lat = pl.Series([place.lat for place in PLACES]).gather(place)
    lng = pl.Series([place.lng for place in PLACES]).gather(place)
    return pl.DataFrame(
        {
            "location_id": place + 1,
            "lat": lat + north / _METRES_PER_DEGREE,
            "lng": lng + east / (_METRES_PER_DEGREE * _COS_LATITUDE),
        }
    )


def _crow_km(start: pl.DataFrame, end: pl.DataFrame) -> pl.Series:
    north = end["lat"] - start["lat"]
    east = (end["lng"] - start["lng"]) * _COS_LATITUDE
    return (north * north + east * east).sqrt() * (_METRES_PER_DEGREE / 1_000)


def _how_far(frame: pl.DataFrame, draws: Draws) -> pl.DataFrame:
    detour = 1.15 + 0.15 * draws.log_normal("trips/detour", spread=0.9)
    return frame.with_columns(
        ((pl.col("crow_km") + 0.2) * detour).round(3).alias("distance_km"),
    )


def _how_long(frame: pl.DataFrame, draws: Draws) -> pl.DataFrame:
    hour = (frame["start_time"] // _HOUR_MS) % 24
    traffic = pl.Series([float(demand) for demand in _DEMAND]).gather(hour) / max(_DEMAND)
    # A full road halves a car's pace; two wheels pass by.
    slower = 1.0 + traffic.zip_with(frame["vehicle_type"] == "car", traffic * 0.2)
    slower *= draws.log_normal("trips/pace", spread=0.3)
    noise = draws.log_normal("trips/price", spread=0.12)

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


def _gaps(frame: pl.DataFrame, draws: Draws) -> pl.DataFrame:
    """Leave out what real feeds leave out, so that every way of filling it in is walked."""
    gaps = {
        name: draws.uniform(f"trips/without/{name}") < share for name, share in _MISSING.items()
    }
    place = draws.uniform("trips/without/place")
    for side in _SIDES:
        gaps |= {f"{side}_{axis}": place < _NO_COORDINATES for axis in _AXES}
        gaps[f"{side}_location_id"] = place.is_between(*_NO_LOCATION)
    return frame.with_columns(
        pl.when(~missing).then(pl.col(name)).alias(name) for name, missing in gaps.items()
    )


def _delayed(draws: Draws, frame: pl.DataFrame) -> pl.Series:
    """Return the times by which the rows stand in the file."""
    delay = draws.index("trips/delay", MAX_DELAY_MS) + 1
    late = draws.uniform("trips/late") < DELAYED_SHARE
    return frame["start_time"] + delay * late.cast(pl.Int64)
