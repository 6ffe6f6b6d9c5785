"""Enrichment: what is joined to a trip, and the enriched message."""

import json
import math
from datetime import date
from decimal import Decimal
from typing import Any, Final

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mobility.enriched_json import enriched_json
from mobility.enrichment import (
    TableError,
    Tables,
    check_places,
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


NAN: Final = float("nan")

NUMBERS: Final[dict[str, tuple[pl.Series, list[float | None]]]] = {
    "integers": (pl.Series([37, -91, None, 0]), [37.0, -91.0, None, 0.0]),
    "small integers": (pl.Series([37, None], dtype=pl.Int8), [37.0, None]),
    "floats": (pl.Series([LAT, NAN, None]), [LAT, None, None]),
    "floats of 32 bits": (pl.Series([37.5, NAN], dtype=pl.Float32), [37.5, None]),
    "decimals": (pl.Series([Decimal("37.50"), None]), [37.5, None]),
    "text": (pl.Series(["37.50", None, "1e1", "+5"]), [37.5, None, 10.0, 5.0]),
    "categories": (pl.Series(["37.5", None], dtype=pl.Categorical), [37.5, None]),
    "an enumeration": (pl.Series(["37.5", None], dtype=pl.Enum(["37.5"])), [37.5, None]),
    "nothing": (pl.Series([None]), [None]),
}


@pytest.mark.parametrize("name", NUMBERS)
@pytest.mark.parametrize("column", ["lat", "lng"])
def test_coordinates_may_be_numbers_of_any_type(name: str, column: str) -> None:
    """The cell is that of the same numbers as doubles; none is no place, and neither is NaN."""
    found, doubles = NUMBERS[name]
    ids = pl.Series("location_id", range(found.len()))
    place = pl.DataFrame({"location_id": ids, "lat": LAT, "lng": LNG})
    given_so = place.with_columns(found.alias(column))
    as_doubles = place.with_columns(pl.Series(column, doubles, dtype=pl.Float64))
    cells = [locations_table(rows, 9)["location_cell"] for rows in (given_so, as_doubles)]
    assert cells[0].to_list() == cells[1].to_list()
    assert cells[0].is_null().to_list() == [number is None for number in doubles]


@pytest.mark.parametrize(
    ("column", "why"),
    [
        (pl.Series(["1", "x", "y"]), "row 2: lat is 'x', expected a number"),
        (pl.Series(["1", "1", " 1"]), "row 3: lat is ' 1', expected a number"),
        (pl.Series(["", "1", "1"]), "row 1: lat is '', expected a number"),
        (pl.Series(["1,5", "1", "1"], dtype=pl.Categorical), "row 1: lat is '1,5'"),
        (pl.Series([True, False, None]), "the column lat is of the type Boolean, expected numbers"),
        (pl.Series([date(2024, 2, 29)] * 3), "the column lat is of the type Date"),
        (pl.Series([[1.0]] * 3), "the column lat is of the type List"),
    ],
)
def test_what_is_no_number_is_refused(column: pl.Series, why: str) -> None:
    """The message has row and column."""
    rows = pl.DataFrame({"location_id": [1, 2, 3], "lat": column, "lng": LNG})
    with pytest.raises(TableError, match=why):
        locations_table(rows, 9)


@pytest.mark.parametrize(
    ("lat", "lng", "why"),
    [
        ([90.0, -90.5], [1.0, 1.0], "row 2: lat is -90.5, expected degrees from -90 to 90"),
        ([None, NAN], [-180.0, 181.0], "row 2: lng is 181.0, expected degrees from -180 to 180"),
        (["95", "1"], [1.0, 1.0], "row 1: lat is '95', expected degrees"),
        ([1, 2], [10**6, 0], "row 1: lng is 1000000, expected degrees"),
        ([math.inf, 1.0], [1.0, 1.0], "row 1: lat is inf, expected degrees"),
    ],
)
def test_places_that_are_not_on_earth_are_refused(
    lat: list[object], lng: list[object], why: str
) -> None:
    """Where the table is new; they have a cell, or none, where one is in force."""
    rows = pl.DataFrame({"location_id": [7, 8], "lat": lat, "lng": lng})
    with pytest.raises(TableError, match=why):
        check_places(rows)
    assert locations_table(rows, 9).height == 2
    check_places(pl.DataFrame({"location_id": [7, 8], "lat": [-90, None], "lng": [NAN, 180.0]}))


IDS: Final = {
    "integers": (pl.Series([1, 2]), ["1", "2"]),
    "unsigned integers": (pl.Series([2**63, 2], dtype=pl.UInt64), [str(2**63), "2"]),
    "categories": (pl.Series(["a", "b"], dtype=pl.Categorical), ["a", "b"]),
    "an enumeration": (pl.Series(["a", "b"], dtype=pl.Enum(["b", "a"])), ["a", "b"]),
    "bytes of text": (pl.Series([b"a", b"\xc3\xa9"]), ["a", "é"]),
}


@pytest.mark.parametrize("name", IDS)
def test_ids_may_be_of_any_type_that_has_a_text(name: str) -> None:
    """They are compared with the ids of trips, which are text."""
    ids, texts = IDS[name]
    rows = {"driver_id": ids, "vehicle_type": "car", "passenger_id": ids, "location_id": ids}
    table = pl.DataFrame(rows | {"lat": LAT, "lng": LNG})
    assert drivers_table(table.select("driver_id", "vehicle_type"))["driver_id"].to_list() == texts
    assert passengers_table(table.select("passenger_id"))["passenger_id"].to_list() == texts
    locations = locations_table(table.select("location_id", "lat", "lng"), 9)
    assert locations["start_location"].to_list() == texts


@pytest.mark.parametrize(
    ("ids", "why"),
    [
        (pl.Series([["a"]]), r"passenger_id is of the type List\(String\), expected text or"),
        (pl.Series([{"a": 1}]), "passenger_id is of the type Struct"),
        (pl.Series([b"\xff"]), "passenger_id can't be read as text: invalid utf8"),
    ],
)
def test_ids_without_a_text_are_refused(ids: pl.Series, why: str) -> None:
    """The message has the column."""
    with pytest.raises(TableError, match=f"the column {why}"):
        passengers_table(pl.DataFrame({"passenger_id": ids}))


def test_an_empty_table_is_one() -> None:
    """Nothing is joined then."""
    rows = pl.DataFrame(schema={"location_id": pl.Int64, "lat": pl.Int64, "lng": pl.String})
    assert locations_table(rows, 9).height == 0
    assert passengers_table(pl.DataFrame(schema={"passenger_id": pl.Null})).height == 0


PLACE: Final = {"topic": "p.trips_stream", "partition": 3, "offset": 12}


def enriched_message(value: bytes, tables: Tables) -> dict[str, Any]:
    """Return the enriched message of one trip, parsed by a JSON parser."""
    trips = enrich(decode_trips([value], TripRules()).trips, tables, Settings())
    placed = trips.with_columns(offset=pl.lit(12))
    text = enriched_json(placed, [value], tables, "p.trips_stream", 3).item()
    record = json.loads(text)
    assert isinstance(record, dict)
    return record


@given(good_messages, st.sampled_from((Tables(), TABLES)))
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
