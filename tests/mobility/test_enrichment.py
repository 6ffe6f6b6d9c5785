"""Enrichment: what is joined to a trip, and the enriched message."""

import json
from datetime import date
from typing import Any, Final

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mobility.enriched_json import enriched_json
from mobility.enrichment import (
    TableError,
    Tables,
    drivers_table,
    enrich,
    locations_table,
    passengers_table,
)
from mobility.settings import Settings
from mobility.trips import decode_trips
from mobility.validation import TripRules
from tests.strategies import good_messages

# The cell that the H3 documentation shows, and its centre.
CELL = "8928308280fffff"
LAT, LNG = 37.7752702151959, -122.418307270836

TRIP = {"start_time": 0, "duration_min": 1, "distance_km": 1, "price": 1}

TABLES = Tables(
    drivers=drivers_table(
        pl.DataFrame(
            {
                "driver_id": [1, 2, 2, None],
                "vehicle_type": ["scooter", None, "car", "bike"],
                "score": [float("nan"), 0.5, 0.25, 0.0],
                "signed_up": [date(2024, 2, 29)] * 4,
            }
        )
    ),
    passengers=passengers_table(pl.DataFrame({"passenger_id": ["p"], "name": ['O"Neil\\é']})),
    locations=locations_table(
        pl.DataFrame({"location_id": [7, 8], "lat": [LAT, None], "lng": [LNG, 1.0]}), 9
    ),
)


def enriched(
    tables: Tables, *fields: dict[str, Any], settings: Settings | None = None
) -> pl.DataFrame:
    """Return trips with these fields, enriched."""
    values = [json.dumps(TRIP | each).encode() for each in fields]
    trips = decode_trips(values, TripRules()).trips
    return enrich(trips, tables, settings or Settings())


def test_the_vehicle_type() -> None:
    """That of the trip, else that of the first row of its driver, else `unknown`."""
    trips = enriched(
        TABLES,
        {"vehicle_type": "bike", "driver_id": "1"},
        {"driver_id": "1"},
        {"driver_id": "2"},
        {"driver_id": "3"},
        {"vehicle_type": None},
    )
    assert trips["vehicle_type"].to_list() == ["bike", "scooter", "unknown", "unknown", "unknown"]
    assert trips["has_own_type"].to_list() == [True, False, False, False, False]


def test_without_tables_nothing_is_joined() -> None:
    """A missing vehicle type is `unknown`, a missing region is null."""
    trips = enriched(Tables(), {"driver_id": "1", "start_location_id": 7}, {})
    assert trips["vehicle_type"].to_list() == ["unknown", "unknown"]
    assert trips["h3_region"].to_list() == ["7", None]


def test_the_region() -> None:
    """The cell of the trip's coordinates, else of its location, else the location id, else null."""
    trips = enriched(
        TABLES,
        {"start_lat": LAT, "start_lng": LNG, "start_location_id": 8},
        {"start_lat": LAT, "start_location_id": 7},
        {"start_location_id": "7"},
        {"start_location_id": 8},
        {"start_location_id": 9},
        {"start_lng": LNG},
    )
    assert trips["h3_region"].to_list() == [CELL, CELL, CELL, "8", "9", None]


def test_the_region_by_location() -> None:
    """With MOBILITY_REGION=location it is always the id of the location."""
    settings = Settings(region="location")
    fields = {"start_lat": LAT, "start_lng": LNG, "start_location_id": 7}
    assert enriched(TABLES, fields, {}, settings=settings)["h3_region"].to_list() == ["7", None]


@pytest.mark.parametrize(("resolution", "cell"), [(0, "8029fffffffffff"), (9, CELL)])
def test_the_resolution_is_a_setting(resolution: int, cell: str) -> None:
    """A coarser cell contains the finer one."""
    settings = Settings(h3_resolution=resolution)
    trips = enriched(Tables(), {"start_lat": LAT, "start_lng": LNG}, settings=settings)
    assert trips["h3_region"].to_list() == [cell]


def test_the_poles_and_the_date_line_have_cells() -> None:
    """The extreme coordinates that are allowed are valid."""
    corners = [{"start_lat": lat, "start_lng": lng} for lat in (-90, 90) for lng in (-180, 180)]
    assert enriched(Tables(), *corners)["h3_region"].null_count() == 0


@pytest.mark.parametrize(
    ("prepare", "columns", "missing"),
    [
        (drivers_table, ["driver_id"], "vehicle_type"),
        (passengers_table, ["id"], "passenger_id"),
        (lambda rows: locations_table(rows, 9), ["location_id", "lat"], "lng"),
    ],
)
def test_a_table_without_its_columns_is_refused(
    prepare: Any,  # noqa: ANN401 - one of three functions
    columns: list[str],
    missing: str,
) -> None:
    """The message has the missing columns and the columns of the table."""
    with pytest.raises(TableError, match=f"no {missing}; its columns are {', '.join(columns)}"):
        prepare(pl.DataFrame({column: [1.0] for column in columns}))


PLACE: Final = {"topic": "p.trips_stream", "partition": 3, "offset": 12}


def enriched_message(value: bytes, tables: Tables) -> dict[str, Any]:
    """Return the enriched message of one trip, parsed by a JSON parser."""
    trips = enrich(decode_trips([value], TripRules()).trips, tables, Settings())
    placed = trips.with_columns(offset=pl.lit(12))
    text = enriched_json(placed, [value], tables, "p.trips_stream", 3).item()
    record = json.loads(text)
    assert isinstance(record, dict)
    return record


@given(good_messages(), st.sampled_from((Tables(), TABLES)))
def test_the_enriched_message_has_the_original_fields_first(value: bytes, tables: Tables) -> None:
    """It is JSON: the original fields unchanged, then vehicle type, region and position."""
    original = json.loads(value)
    record = enriched_message(value, tables)
    own = {key: v for key, v in original.items() if key not in {"vehicle_type", "log"}}
    assert {key: record[key] for key in own} == own
    assert record["vehicle_type"] == (original.get("vehicle_type") or "unknown")
    assert record["log"] == PLACE
    added = set(record) - set(original) - {"vehicle_type", "h3_region", "log"}
    assert all(key.startswith(("driver_", "passenger_", "start_location_")) for key in added)


def test_further_columns_are_in_the_enriched_message() -> None:
    """Columns of the tables are under the table's name, NaN as null, dates as ISO 8601."""
    fields = {"driver_id": "1", "passenger_id": "p", "start_location_id": 7, "note": {"a": "}"}}
    value = json.dumps(TRIP | fields).encode()
    assert enriched_message(b" " + value + b"\n", TABLES) == TRIP | fields | {
        "vehicle_type": "scooter",
        "h3_region": CELL,
        "driver_vehicle_type": "scooter",
        "driver_score": None,
        "driver_signed_up": "2024-02-29",
        "passenger_name": 'O"Neil\\é',
        "start_location_lat": LAT,
        "start_location_lng": LNG,
        "log": PLACE,
    }


@pytest.mark.parametrize("place", [b"wkb", [b"wkb"], {"wkb": b"wkb"}, [{"wkb": [b"wkb"]}]])
def test_a_column_of_bytes_is_refused(place: object) -> None:
    """As that of GeoParquet: enriched trips are JSON, which has no bytes."""
    rows = pl.DataFrame({"location_id": [7], "lat": [LAT], "lng": [LNG], "geometry": [place]})
    with pytest.raises(TableError, match="geometry: bytes have no JSON"):
        locations_table(rows, 9)
    with pytest.raises(TableError, match="vehicle_type: bytes"):
        drivers_table(pl.DataFrame({"driver_id": ["d"], "vehicle_type": [b"car"]}))
