"""The oracle on logs small enough to be computed by hand."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import polars as pl
import polars_h3
import pytest
from msgspec.structs import replace

from audit.oracle import OracleResult, run_oracle, validate_log
from audit.validation import LogMessage
from mobility.measures import NULLABLE, STARTS
from mobility.settings import Settings

MIDNIGHT: Final = 1_735_689_600_000
MINUTE: Final = 60_000
APPENDED: Final = MIDNIGHT + 10**9


def trip(minute: float, **fields: object) -> bytes:
    """Return a trip that starts so many minutes after midnight."""
    good = {"duration_min": 1, "distance_km": 1, "price": 1, "driver_id": "d"}
    return json.dumps(good | {"start_time": MIDNIGHT + round(minute * MINUTE)} | fields).encode()


def punctuation(minute: float) -> int:
    """Return the event time of a punctuation, which `result_for` makes a message of."""
    return MIDNIGHT + round(minute * MINUTE)


def result_for(
    *partitions: Sequence[bytes | int], batch: int = 2, settings: Settings | None = None
) -> OracleResult:
    """Return the result for a log: one list of values per partition; an int is a punctuation."""
    messages = [
        LogMessage(partition, offset, APPENDED, None, [("watermark", str(value).encode())])
        if isinstance(value, int)
        else LogMessage(partition, offset, APPENDED, value)
        for partition, values in enumerate(partitions)
        for offset, value in enumerate(values)
    ]
    batches = [messages[start : start + batch] for start in range(0, len(messages), batch)]
    chosen = settings or Settings()
    return run_oracle(validate_log(batches, chosen), chosen)


def outcomes(found: OracleResult) -> list[str]:
    """Return the outcomes in log order."""
    return found.messages["outcome"].to_list()


def windows(found: OracleResult, entity: str = "driver") -> dict[tuple[str, float], int]:
    """Return trip counts by id and the window's minute."""
    rows = found.windows.filter(pl.col("entity") == entity)
    return {
        (id_, (start - MIDNIGHT) / MINUTE): count
        for id_, start, count in rows.select("id", "window_start", "trip_count").iter_rows()
    }


def test_windows_and_totals_by_hand() -> None:
    """Five minutes per window, start inclusive and end exclusive, totals in micro-units."""
    found = result_for(
        [
            trip(0, duration_min=0.1, distance_km=2.5, price=9.99),
            trip(4.9999, duration_min=0.2, distance_km=0, price=0.0000005),
            trip(5, duration_min=30, driver_id="e"),
        ]
    )
    row = found.windows.filter(pl.col("entity") == "driver", pl.col("id") == "d").row(0, named=True)
    for measure in NULLABLE:
        del row[measure.name]
    assert row == {
        "entity": "driver",
        "id": "d",
        "window_start": MIDNIGHT,
        "trip_count": 2,
        "total_duration": 300_000,
        "total_distance": 2_500_000,
        "total_revenue": 9_990_000,
        "start_time": MIDNIGHT,
        "last_start_time": MIDNIGHT + round(4.9999 * MINUTE),
        "window_end": MIDNIGHT + 5 * MINUTE,
        "distance_count": 2,
        "revenue_count": 2,
        "avg_duration": 0.15,
    }
    assert windows(found) == {("d", 0): 2, ("e", 5): 1}
    assert windows(found, "vehicle_type") == {("unknown", 0): 2, ("unknown", 5): 1}
    assert windows(found, "passenger") == windows(found, "h3") == {}
    totals = found.totals.filter(pl.col("entity") == "vehicle_type")
    assert totals.select("trip_count", "total_duration", *STARTS).rows() == [
        (3, 30_300_000, MIDNIGHT, MIDNIGHT + 5 * MINUTE)
    ]


@pytest.mark.parametrize(
    ("price", "micro"),
    [(0.0000005, 0), (0.0000015, 2), (0.0000025, 2), (1e9, 10**15), (0.1, 10**5)],
)
def test_micro_units_round_half_to_even(price: float, micro: int) -> None:
    """A double becomes micro-units by one multiplication and rounding half to even."""
    assert result_for([trip(0, price=price)]).totals["total_revenue"].to_list() == [micro, micro]


def test_sums_of_the_largest_trips_are_exact() -> None:
    """From 9,224 trips of 10^9 units on a sum of micro-units has more than 64 bits."""
    trips = 9_300
    found = result_for([trip(0, price=10**9, distance_km=10**9)] * trips, batch=trips)
    for frame in (found.windows, found.totals):
        (sums,) = frame.filter(pl.col("entity") == "driver").to_dicts()
        assert sums["total_revenue"] == sums["total_distance"] == trips * 10**15
        assert (sums["trip_count"], sums["avg_duration"]) == (trips, 1.0)


def test_windows_before_1970_are_aligned_downwards() -> None:
    """A window start is never after its trip, also with negative epoch times."""
    found = result_for([trip(0, start_time=-1), trip(0, start_time=-300_001)])
    assert sorted(found.windows.filter(pl.col("entity") == "driver")["window_start"]) == [
        -600_000,
        -300_000,
    ]


@pytest.mark.parametrize(("behind_ms", "outcome"), [(0, "counted"), (1, "late")])
def test_lateness_is_exact_to_the_millisecond(behind_ms: int, outcome: str) -> None:
    """Late begins one millisecond after window end + allowed lateness + out-of-orderness bound."""
    edge = MIDNIGHT + (5 + 10) * MINUTE + 30_000
    found = result_for([trip(0, start_time=edge + behind_ms), trip(4, trip_id="x")])
    assert outcomes(found) == ["counted", outcome]


def test_lateness_follows_the_settings() -> None:
    """Window length, allowed lateness and out-of-orderness bound change which trips are late."""
    values = [trip(2.01), trip(0.5)]
    chosen = Settings(window=60, allowed_lateness=60, out_of_orderness=0)
    assert outcomes(result_for(values, settings=chosen)) == ["counted", "late"]
    for name, value in [("window", 300), ("allowed_lateness", 61), ("out_of_orderness", 1)]:
        assert outcomes(result_for(values, settings=replace(chosen, **{name: value}))) == [
            "counted",
            "counted",
        ]


def test_disorder_within_the_bound_is_counted() -> None:
    """The watermark is a prefix maximum: earlier messages decide, never later ones."""
    assert outcomes(result_for([trip(0), trip(20), trip(3), trip(19), trip(3)])) == [
        "counted",
        "counted",
        "late",
        "counted",
        "late",
    ]
    assert outcomes(result_for([trip(3), trip(20)])) == ["counted", "counted"]


def test_each_partition_has_its_own_watermark() -> None:
    """A trip is late by the watermark of its own partition only."""
    assert outcomes(result_for([trip(60)], [trip(0), trip(20), trip(0)])) == [
        "counted",
        "counted",
        "counted",
        "late",
    ]


def test_late_and_repeated_trips_move_the_watermark_and_dead_ones_do_not() -> None:
    """Every valid message advances event time; a dead letter does not."""
    dead = trip(60, price=-1)
    assert outcomes(result_for([dead, trip(0)])) == ["dead", "counted"]
    assert outcomes(result_for([trip(16, trip_id="a"), trip(16.2, trip_id="a"), trip(0.1)])) == [
        "counted",
        "duplicate",
        "late",
    ]
    moved_by_duplicate = [trip(15, trip_id="a"), trip(16, trip_id="a"), trip(0)]
    assert outcomes(result_for(moved_by_duplicate)) == ["counted", "duplicate", "late"]


def test_a_punctuation_advances_event_time() -> None:
    """It makes later trips late and is not counted; a punctuation in the future is dead."""
    found = result_for([punctuation(16), trip(0), trip(16)])
    assert outcomes(found) == ["punctuation", "late", "counted"]
    assert windows(found) == {("d", 15): 1}
    far = result_for([APPENDED + 300_001, trip(0)])
    assert outcomes(far) == ["dead", "counted"]
    assert far.messages["reason"].to_list() == ["in_future", None]


def test_a_duplicate_has_the_same_trip_id_window_and_partition() -> None:
    """In another window or partition, or without an id, a trip is counted."""
    found = result_for(
        [trip(0, trip_id="a"), trip(1, trip_id="a"), trip(5, trip_id="a"), trip(0), trip(0)],
        [trip(0, trip_id="a")],
    )
    assert outcomes(found) == [
        "counted",
        "duplicate",
        "counted",
        "counted",
        "counted",
        "counted",
    ]
    assert windows(found) == {("d", 0): 4, ("d", 5): 1}
    assert outcomes(result_for([trip(0, trip_id=""), trip(0, trip_id="")])) == [
        "counted",
        "duplicate",
    ]


def test_a_late_duplicate_is_late() -> None:
    """And a late trip is not remembered for later duplicates."""
    found = result_for([trip(0, trip_id="a"), trip(16), trip(0, trip_id="a"), trip(1, trip_id="b")])
    assert outcomes(found) == ["counted", "counted", "late", "late"]


def test_event_time_end() -> None:
    """With `end` the window follows end_time, else start plus duration; starts stay as they are."""
    found = result_for(
        [
            trip(0, duration_min=7),
            trip(0, duration_min=7, end_time=MIDNIGHT + 11 * MINUTE),
            trip(1, duration_min=0.00001, driver_id="e"),
        ],
        settings=Settings(event_time="end"),
    )
    assert windows(found) == {("d", 5): 1, ("d", 10): 1, ("e", 0): 1}
    assert found.messages["event_time"].to_list() == [
        MIDNIGHT + 7 * MINUTE,
        MIDNIGHT + 11 * MINUTE,
        MIDNIGHT + MINUTE + 1,
    ]
    assert found.totals.filter(pl.col("id") == "d")["start_time"].to_list() == [MIDNIGHT]


@pytest.fixture
def tables(tmp_path: Path) -> Settings:
    """Return settings with a drivers and a locations table that have nulls and duplicates."""
    drivers = pl.DataFrame(
        {"driver_id": ["d", "d", "n", None], "vehicle_type": ["bike", "car", None, "car"]}
    )
    locations = pl.DataFrame(
        {"location_id": [1, 1, 2, 3], "lat": [41.15, 0.0, None, 90.0], "lng": [-8.6, 0.0, 1.0, 0.0]}
    )
    drivers.write_parquet(tmp_path / "drivers.parquet")
    locations.write_parquet(tmp_path / "locations.parquet")
    return Settings(
        drivers=str(tmp_path / "drivers.parquet"), locations=str(tmp_path / "locations.parquet")
    )


@pytest.mark.parametrize(
    ("fields", "vehicle"),
    [
        ({}, "bike"),
        ({"vehicle_type": "tram"}, "tram"),
        ({"driver_id": "n"}, "unknown"),
        ({"driver_id": "elsewhere"}, "unknown"),
        ({"driver_id": None}, "unknown"),
    ],
)
def test_vehicle_type(fields: dict[str, object], vehicle: str, tables: Settings) -> None:
    """A trip's own vehicle type, else its driver's first row in the table, else unknown."""
    assert windows(result_for([trip(0, **fields)], settings=tables), "vehicle_type") == {
        (vehicle, 0): 1
    }


def cell(lat: float, lng: float, resolution: int = 9) -> str:
    """Return an H3 cell."""
    frame = pl.DataFrame({"lat": [float(lat)], "lng": [float(lng)]})
    found = polars_h3.latlng_to_cell("lat", "lng", resolution, return_dtype=pl.Utf8)
    text: str = frame.select(found).item()
    return text


def test_the_cell_is_the_one_of_the_h3_documentation() -> None:
    """San Francisco's, in lower-case hex."""
    assert cell(37.7752702151959, -122.418307270836) == "8928308280fffff"


@pytest.mark.parametrize(
    ("fields", "region"),
    [
        ({"start_lat": 10, "start_lng": 20, "start_location_id": 1}, cell(10, 20)),
        ({"start_location_id": 1}, cell(41.15, -8.6)),
        ({"start_location_id": "1"}, cell(41.15, -8.6)),
        ({"start_lat": 10, "start_location_id": 1}, cell(41.15, -8.6)),
        ({"start_location_id": 2}, "2"),
        ({"start_location_id": "docks"}, "docks"),
        ({"start_lng": 10}, None),
        ({}, None),
    ],
)
def test_region(fields: dict[str, object], region: str | None, tables: Settings) -> None:
    """A trip's own cell, else its location's cell, else the location id, else it is not counted."""
    found = windows(result_for([trip(0, **fields)], settings=tables), "h3")
    assert found == ({} if region is None else {(region, 0): 1})


def test_the_region_follows_the_settings(tables: Settings) -> None:
    """The resolution is a setting, and with `location` the region is always the location id."""
    here = trip(0, start_lat=10, start_lng=20, start_location_id=1)
    assert windows(result_for([here], settings=replace(tables, h3_resolution=5)), "h3") == {
        (cell(10, 20, 5), 0): 1
    }
    assert windows(result_for([here], settings=replace(tables, region="location")), "h3") == {
        ("1", 0): 1
    }
    nowhere = trip(0, start_lat=10, start_lng=20)
    assert windows(result_for([nowhere], settings=Settings(region="location")), "h3") == {}


def test_without_tables_nothing_is_assumed() -> None:
    """Without tables the region is the location id, and the vehicle type unknown."""
    found = result_for([trip(0, start_location_id=1)])
    assert windows(found, "h3") == {("1", 0): 1}
    assert windows(found, "vehicle_type") == {("unknown", 0): 1}


@pytest.mark.parametrize("batch", [1, 3, 100])
def test_batches_do_not_matter(batch: int) -> None:
    """The result is the same for any batches, dead letters included."""
    values = [trip(n / 3, trip_id=str(n % 7)) for n in range(60)]
    values += [b"{", trip(0), trip(19), trip(20, price=-1)]
    found = result_for(values, values[::-1], batch=batch)
    whole = result_for(values, values[::-1], batch=1_000)
    assert found.messages.equals(whole.messages)
    assert found.windows.sort("entity", "id", "window_start").equals(
        whole.windows.sort("entity", "id", "window_start")
    )
    assert found.count("late") > 0 < found.count("duplicate")


def test_dead_letters_keep_their_bytes() -> None:
    """The log has the original value of each dead letter, null for a tombstone."""
    messages = [LogMessage(0, 0, APPENDED, b"{"), LogMessage(1, 5, APPENDED, None)]
    log = validate_log([messages], Settings())
    assert log.dead_letters.rows() == [(0, 0, b"{"), (1, 5, None)]


def test_an_empty_log_has_an_empty_result() -> None:
    """No messages, windows and totals, and no error."""
    found = result_for([])
    assert (found.messages.height, found.windows.height, found.totals.height) == (0, 0, 0)


def test_an_oversized_dead_letter_has_no_value() -> None:
    """Other dead letters have the original bytes; this one only refers to the message."""
    settings = Settings(max_message_bytes=10)
    log = validate_log(
        [[LogMessage(0, 0, APPENDED, b"x" * 11), LogMessage(0, 1, APPENDED, b"{")]], settings
    )
    assert log.dead_letters.rows() == [(0, 0, None), (0, 1, b"{")]
