"""Enrichment: joins vehicle type, H3 cell and further columns of the tables to trips."""

from dataclasses import dataclass
from typing import Final, Literal

import polars as pl
import polars_h3 as plh3

from mobility.settings import Settings

UNKNOWN: Final = "unknown"


class TableError(ValueError):
    """A table that enrichment can't use."""


@dataclass(frozen=True, slots=True)
class Tables:
    """The tables that enrichment joins, each with one row per id.

    `drivers` has `driver_id` and perhaps `joined_vehicle_type`, `passengers` has `passenger_id`,
    `locations` has `start_location` and `location_cell` (an H3 cell as text, null without a place).
    Each also has the columns of its table as one JSON text, `<table>_json`.
    """

    drivers: pl.DataFrame | None = None
    passengers: pl.DataFrame | None = None
    locations: pl.DataFrame | None = None


def drivers_table(rows: pl.DataFrame) -> pl.DataFrame:
    """Prepare drivers (at least `driver_id`, `vehicle_type`) for joining."""
    _require(rows, "drivers", ("driver_id", "vehicle_type"))
    vehicle_type = _texts(rows, "vehicle_type").alias("joined_vehicle_type")
    return _keyed(rows, "driver_id", "driver_id", "driver", vehicle_type)


def passengers_table(rows: pl.DataFrame) -> pl.DataFrame:
    """Prepare passengers (at least `passenger_id`) for joining."""
    _require(rows, "passengers", ("passenger_id",))
    return _keyed(rows, "passenger_id", "passenger_id", "passenger")


def locations_table(rows: pl.DataFrame, resolution: int) -> pl.DataFrame:
    """Prepare locations (at least `location_id`, `lat`, `lng` in degrees WGS84) for joining.

    A location without a number (null, NaN) has no cell. Raises TableError.
    """
    _require(rows, "locations", ("location_id", "lat", "lng"))
    degrees = pl.DataFrame([_numbers(rows, "lat"), _numbers(rows, "lng")])
    cell = degrees.select(_cell("lat", "lng", resolution)).to_series().alias("location_cell")
    return _keyed(rows, "location_id", "start_location", "start_location", cell)


def check_places(rows: pl.DataFrame) -> None:
    """Raise TableError where a location is not on Earth.

    It would get a cell, somewhere else. A table that is in force is not refused for it: it stays
    what it was.
    """
    for column, limit in (("lat", 90), ("lng", 180)):
        degrees = _numbers(rows, column).fill_nan(None)
        is_beyond = ~degrees.is_between(-limit, limit).fill_null(value=True)
        _refuse_rows(rows[column], is_beyond, f"degrees from -{limit} to {limit}")


def enrich(trips: pl.DataFrame, tables: Tables, settings: Settings) -> pl.DataFrame:
    """Return the trips with `vehicle_type` filled in and `h3_region` added; the order is kept.

    `has_own_type` is true for trips that have a vehicle type of their own.
    """
    marked = trips.with_columns(has_own_type=pl.col("vehicle_type").is_not_null())
    with_type = _with_vehicle_type(marked, tables.drivers)
    return _with_region(with_type, tables.locations, settings.region, settings.h3_resolution)


def _with_vehicle_type(trips: pl.DataFrame, drivers: pl.DataFrame | None) -> pl.DataFrame:
    if trips["vehicle_type"].null_count() == 0:
        return trips
    known = pl.col("vehicle_type")
    if drivers is not None:
        columns = drivers.select("driver_id", "joined_vehicle_type")
        trips = trips.join(columns, on="driver_id", how="left", maintain_order="left")
        known = pl.coalesce("vehicle_type", "joined_vehicle_type")
    filled = trips.with_columns(known.fill_null(UNKNOWN).alias("vehicle_type"))
    return filled.drop("joined_vehicle_type", strict=False)


def _with_region(
    trips: pl.DataFrame,
    locations: pl.DataFrame | None,
    region: Literal["h3", "location"],
    resolution: int,
) -> pl.DataFrame:
    if region == "location":
        return trips.with_columns(h3_region=pl.col("start_location"))
    candidates = [pl.col("start_location")]
    if locations is not None:
        columns = locations.select("start_location", "location_cell")
        trips = trips.join(columns, on="start_location", how="left", maintain_order="left")
        candidates.insert(0, pl.col("location_cell"))
    if trips["start_lat"].null_count() < trips.height:
        candidates.insert(0, _cell("start_lat", "start_lng", resolution))
    return trips.with_columns(h3_region=pl.coalesce(candidates)).drop("location_cell", strict=False)


def _cell(lat: str, lng: str, resolution: int) -> pl.Expr:
    cell: pl.Expr = plh3.latlng_to_cell(lat, lng, resolution, return_dtype=pl.String)
    return cell


def _texts(rows: pl.DataFrame, column: str) -> pl.Series:
    """Return a column as text. Raises TableError."""
    found = rows[column]
    if found.dtype.is_nested():
        msg = f"the column {column} is of the type {found.dtype}, expected text or integers"
        raise TableError(msg)
    try:
        return found.cast(pl.String)
    except pl.exceptions.ComputeError as error:
        msg = f"the column {column} can't be read as text: {error}"
        raise TableError(msg) from error


def _numbers(rows: pl.DataFrame, column: str) -> pl.Series:
    """Return a column of numbers, which may be written as text. Raises TableError."""
    found = rows[column]
    if isinstance(found.dtype, pl.Categorical | pl.Enum):
        found = found.cast(pl.String)
    if not (found.dtype.is_numeric() or isinstance(found.dtype, pl.String | pl.Null)):
        msg = f"the column {column} is of the type {found.dtype}, expected numbers"
        raise TableError(msg)
    numbers = found.cast(pl.Float64, strict=False)
    _refuse_rows(found, numbers.is_null() & found.is_not_null(), "a number")
    return numbers


def _refuse_rows(column: pl.Series, is_refused: pl.Series, expected: str) -> None:
    """Raise TableError where a value of a column is refused; it names the first row."""
    if is_refused.any():
        row = is_refused.arg_true()[0]
        msg = f"row {row + 1}: {column.name} is {column[row]!r}, expected {expected}"
        raise TableError(msg)


def _keyed(
    rows: pl.DataFrame, key: str, name: str, prefix: str, *joined: pl.Series
) -> pl.DataFrame:
    others = [column for column in rows.columns if column != key]
    if of_bytes := [column for column in others if _holds_bytes(rows.schema[column])]:
        # Polars panics instead of encoding them, which would end a running flow, too.
        msg = f"{', '.join(of_bytes)}: bytes have no JSON; write them as text, or leave them out"
        raise TableError(msg)
    further = [pl.col(column).alias(f"{prefix}_{column}") for column in others]
    further_json = pl.struct(further).struct.json_encode() if further else pl.lit("{}")
    return (
        rows.select(_texts(rows, key).alias(name), *joined, further_json.alias(f"{prefix}_json"))
        .drop_nulls(name)
        .unique(name, keep="first", maintain_order=True)
    )


def _holds_bytes(kind: pl.DataType) -> bool:
    if isinstance(kind, pl.Struct):
        return any(_holds_bytes(field.dtype) for field in kind.fields)  # type: ignore[arg-type] # an instance, once read
    if isinstance(kind, pl.List | pl.Array):
        return _holds_bytes(kind.inner)  # type: ignore[arg-type] # as above
    return isinstance(kind, pl.Binary)


def _require(rows: pl.DataFrame, table: str, columns: tuple[str, ...]) -> None:
    missing = [column for column in columns if column not in rows.columns]
    if missing:
        found = ", ".join(rows.columns)
        msg = f"the table of {table} has no {' and no '.join(missing)}; its columns are {found}"
        raise TableError(msg)
