"""Which format a file has, what people may say of it, and what happens where nothing fits."""

import tomllib
from pathlib import Path

import polars as pl
import pytest

from producer.formats.errors import TripsFileError
from producer.formats.options import ReadingOptions
from producer.formats.recognition import recognise
from producer.formats.trip_reader import open_trip_files
from tests.producer.formats.reading import own_trips, read, write_csv
from tests.producer.formats.test_known_formats import CASES, YELLOW, YELLOW_ROW

CITY = "Ride No,pickup time,drop time,km,fare,rider"
CITY_ROW = '7,06.01.2025 12:00,06.01.2025 12:30,"5,5",20,x'


@pytest.fixture
def city(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a file of no known format; its folder is the present one."""
    monkeypatch.chdir(tmp_path)
    return write_csv(tmp_path / "city.csv", CITY, CITY_ROW)


def test_the_line_that_says_how_a_file_is_read(tmp_path: Path) -> None:
    """Format, columns, units, time zone and what ids mean, in one line."""
    (line,) = read(write_csv(tmp_path / "trips.csv", YELLOW, YELLOW_ROW)).lines
    assert line == (
        f"{tmp_path}/trips.csv: nyc-yellow (NYC TLC yellow taxi trip records): "
        "start_location_id = PULocationID, end_location_id = DOLocationID, "
        "start_time = tpep_pickup_datetime, end_time = tpep_dropoff_datetime, "
        "distance_km = trip_distance, price = total_amount; vehicle_type is yellow_taxi; "
        "distance in mi, duration from start to end, price in USD; times of America/New_York; "
        "no ids of drivers or passengers"
    )


def test_names_in_any_spelling() -> None:
    """Case, blanks and punctuation are those of the tool that exported the file."""
    columns = ["\ufeffTRIP START TIMESTAMP", "trip-seconds", "TripMiles", "Taxi ID"]
    found = recognise(pl.DataFrame(schema=columns))
    assert found is not None
    assert found.name == "chicago-taxi"
    assert recognise(pl.DataFrame(schema=["a", "b"])) is None


def test_options_override_the_format(tmp_path: Path) -> None:
    """Zone, unit and vehicle type, for files that differ from what their publisher says."""
    path = write_csv(tmp_path / "trips.csv", YELLOW, YELLOW_ROW)
    options = ReadingOptions(timezone="UTC", distance_unit="km", vehicle_type="limousine")
    trip = read(path, options=options).first()
    assert trip["start_time"] == "2025-01-01T00:18:38Z"
    assert (trip["distance_km"], trip["vehicle_type"]) == (1.6, "limousine")
    with pytest.raises(TripsFileError, match="no such time zone: Gotham"):
        read(path, options=ReadingOptions(timezone="Gotham"))


def test_a_vehicle_type_for_files_that_have_one(tmp_path: Path) -> None:
    """What people say counts for all trips."""
    path = write_csv(tmp_path / "trips.csv", *CASES["bikeshare"][:2])
    trips = read(path, options=ReadingOptions(vehicle_type="bike")).trips
    assert trips["vehicle_type"].to_list() == ["bike"]


def test_local_times_of_our_own_record(tmp_path: Path) -> None:
    """They are in UTC, unless --timezone names another zone."""
    path = tmp_path / "trips.parquet"
    own_trips(start_time=["2025-01-06 12:00:00"]).write_parquet(path)
    assert read(path).trips["start_time"].to_list() == ["2025-01-06 12:00:00"]
    found = read(path, options=ReadingOptions(timezone="Europe/Berlin"))
    assert found.first()["start_time"] == "2025-01-06T11:00:00Z"


def test_a_format_that_is_named(tmp_path: Path) -> None:
    """Its columns must be there."""
    path = write_csv(tmp_path / "trips.csv", "pickup_datetime,trip_miles,x", "2025-01-01 00:00,1,2")
    found = read(path, options=ReadingOptions(format="nyc-hvfhv"))
    assert found.first()["distance_km"] == pytest.approx(1.609344)
    with pytest.raises(TripsFileError, match=r"chicago-tnp has no column for start_time \(Trip St"):
        read(path, options=ReadingOptions(format="chicago-tnp"))


def test_bike_trips_of_an_unknown_system_need_a_zone(tmp_path: Path) -> None:
    """The common format does not say where it is from; only known systems are recognised."""
    header, row, _ = CASES["bikeshare"]
    far = row.replace("42.0", "52.0").replace("-87.", "13.")
    path = write_csv(tmp_path / "trips.csv", header, far)
    with pytest.raises(TripsFileError, match="name it with --timezone"):
        read(path)
    found = read(path, options=ReadingOptions(timezone="Europe/Berlin"))
    assert found.first()["start_time"] == "2021-02-12T15:14:56Z"


def test_an_unknown_format_is_refused_with_a_mapping_to_edit(city: Path) -> None:
    """The columns found, the nearest known names, and a file that only needs to be edited."""
    with pytest.raises(TripsFileError) as refusal:
        read(city)
    lines = str(refusal.value).splitlines()
    assert lines[0] == f"{city}: no known format has these columns:"
    assert lines[1:7] == [
        "  Ride No looks like trip_id",
        "  pickup time looks like start_time (pickup_datetime of a known format)",
        "  drop time looks like duration_min (trip_time of a known format)",
        "  km looks like distance_km",
        "  fare looks like price",
        "  rider looks like passenger_id",
    ]
    assert lines[
        -1
    ] == "--columns " + f"{city.parent}/city.columns.toml; or name a known format " + (
        "with --format."
    )
    mapping = city.with_name("city.columns.toml")
    held = tomllib.loads(mapping.read_text())
    assert held["timezone"] == "UTC"
    assert held["columns"]["start_time"] == "pickup time"
    assert 'The columns of the file: "Ride No", "pickup time"' in mapping.read_text()


def test_a_mapping_that_was_edited_is_kept(city: Path) -> None:
    """A second call does not undo the work of people."""
    mapping = city.with_name("city.columns.toml")
    mapping.write_text("# mine\n")
    with pytest.raises(TripsFileError, match=r"city\.columns\.toml"):
        read(city)
    assert mapping.read_text() == "# mine\n"


MAPPING = """
timezone = "Europe/Berlin"
vehicle_type = "van"
[columns]
trip_id = "Ride No"
start_time = "pickup time"
end_time = "drop time"
distance_km = "km"
price = "fare"
"""


def test_a_mapping_of_columns(city: Path) -> None:
    """A file of any format is read with it."""
    mapping = city.with_name("mine.toml")
    mapping.write_text(MAPPING)
    assert read(city, options=ReadingOptions(columns=mapping)).first() == {
        "trip_id": "7",
        "vehicle_type": "van",
        "start_time": "2025-01-06T11:00:00Z",
        "end_time": "2025-01-06T11:30:00Z",
        "duration_min": 30.0,
        "distance_km": 5.5,
        "price": 20.0,
    }


def test_a_mapping_with_dates_totals_and_units(tmp_path: Path) -> None:
    """Date and time in two columns, a price of two, days first, cents and hours."""
    path = write_csv(
        tmp_path / "a.csv", "day,clock,hours,m,fare,tip,none", "03/02/2025,12:00,0.5,1500,1000,50,"
    )
    mapping = tmp_path / "a.toml"
    mapping.write_text(
        'time_format = "%d/%m/%Y %H:%M"\ndistance_unit = "m"\nduration_unit = "h"\n'
        'minor_currency_units = true\n[columns]\nstart_time = ["day", "clock"]\n'
        'duration_min = "hours"\ndistance_km = "m"\nprice = ["fare", "tip"]\nend_time = ""\n'
    )
    assert read(path, options=ReadingOptions(columns=mapping)).first() == {
        "start_time": "2025-02-03T12:00:00Z",
        "duration_min": 30.0,
        "distance_km": 1.5,
        "price": 10.5,
    }


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[columns", "not a valid mapping of columns"),
        ("zone = 'UTC'", "no such key: zone"),
        ("timezone = 7", "timezone is not text"),
        ("timezone = 'Gotham'", "no such time zone: Gotham"),
        ("distance_unit = 'miles'", r"distance_unit is miles \(expected one of km, m, mi, ft\)"),
        ("[columns]\nstart = 'km'", "no such field of a trip: start "),
        ("[columns]\nprice = 7", "price is 7"),
        ("[columns]\nprice = 'fare'", "has no column for start_time here"),
        (
            "[columns]\nstart_time = 'pickup time'\nprice = ['fare', 'tip']",
            r"has no column for price \(fare, tip\) here.*: Ride No, pickup time",
        ),
    ],
)
def test_an_invalid_mapping_is_refused(city: Path, text: str, message: str) -> None:
    """The message names the file and what is wrong in it."""
    mapping = city.with_name("mine.toml")
    mapping.write_text(text)
    with pytest.raises(TripsFileError, match=rf"mine\.toml.*{message}"):
        read(city, options=ReadingOptions(columns=mapping))


def test_a_mapping_of_start_and_end(city: Path) -> None:
    """More than that, or a start and a duration, a trip need not have."""
    mapping = city.with_name("mine.toml")
    mapping.write_text('[columns]\nstart_time = "pickup time"\nend_time = "drop time"\n')
    options = ReadingOptions(columns=mapping)
    with open_trip_files([city], options) as reader:
        reader.check_amounts()
    assert read(city, options=options).first() == {
        "start_time": "2025-01-06T12:00:00Z",
        "end_time": "2025-01-06T12:30:00Z",
        "duration_min": 30.0,
    }


DAYS = 'timezone = "Europe/Oslo"\n[columns]\nstart_time = {}\nend_time = "end"\n'


@pytest.mark.parametrize(
    ("start", "source"),
    [("01/07/2015 08:00,", '"start"'), ("01/07/2015,08:00", '["start", "clock"]')],
)
def test_a_mapping_says_whether_the_day_is_first(tmp_path: Path, start: str, source: str) -> None:
    """1 July and 7 January are written alike: nobody can tell, so it is asked."""
    path = write_csv(tmp_path / "a.csv", "start,clock,end", f"{start},01/07/2015 08:10")
    mapping = tmp_path / "a.toml"
    mapping.write_text(DAYS.format(source))
    options = ReadingOptions(columns=mapping)
    expected = r"column start.* may have the day or the month first \(01/07/2015"
    with pytest.raises(TripsFileError, match=expected):
        read(path, options=options)
    mapping.write_text('time_format = "%d/%m/%Y %H:%M"\n' + mapping.read_text())
    assert read(path, options=options).first() == {
        "start_time": "2015-07-01T06:00:00Z",
        "end_time": "2015-07-01T06:10:00Z",
        "duration_min": 10.0,
    }


def test_dates_in_two_columns_with_days_first_are_refused(tmp_path: Path) -> None:
    """As those in one column are."""
    path = write_csv(tmp_path / "a.csv", "start,clock,min", "13/07/2015,08:00,10")
    mapping = tmp_path / "a.toml"
    mapping.write_text('[columns]\nstart_time = ["start", "clock"]\nduration_min = "min"\n')
    expected = r"column start \+ clock has days before months \(13/07/2015 08:00\)"
    with pytest.raises(TripsFileError, match=expected):
        read(path, options=ReadingOptions(columns=mapping))


@pytest.mark.parametrize("unit", ["s", "ms", "h"])
def test_durations_in_another_unit_than_their_times_say(tmp_path: Path, unit: str) -> None:
    """A mapping has minutes until somebody edits it."""
    written = {"s": 600, "ms": 600_000, "h": 1 / 6}[unit]
    times = "2025-01-06 08:00:00,2025-01-06 08:10:00"
    rows = [f"{times},{written}"] * 3 + ["2025-01-06 08:00:00,2025-01-06 08:00:00,0"]
    path = write_csv(tmp_path / "a.csv", "start,end,took", *rows)
    mapping = tmp_path / "a.toml"
    mapping.write_text('[columns]\nstart_time = "start"\nend_time = "end"\nduration_min = "took"\n')
    options = ReadingOptions(columns=mapping)
    with pytest.raises(TripsFileError, match=f'took are read in min, .* duration_unit = "{unit}"'):
        read(path, options=options)
    mapping.write_text(f'duration_unit = "{unit}"\n' + mapping.read_text())
    assert read(path, options=options).trips["duration_min"].to_list() == [10.0, 10.0, 10.0, 0.0]


def test_times_in_two_columns_are_suggested_as_such(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The date alone would make all trips begin at midnight."""
    monkeypatch.chdir(tmp_path)
    path = write_csv(
        tmp_path / "a.csv",
        "tripRecordNum,tripDuration,startDate,startTime,endDate,endTime",
        "BRD1,3.0,2019-05-01 00:00:00.0,23:58:20.46,2019-05-02 00:00:00.0,00:01:20.46",
    )
    with pytest.raises(TripsFileError, match="no known format"):
        read(path)
    found = read(path, options=ReadingOptions(columns=tmp_path / "a.columns.toml")).first()
    assert found == {
        "start_time": "2019-05-01T23:58:20Z",
        "end_time": "2019-05-02T00:01:20Z",
        "duration_min": 3.0,
    }


def test_ids_are_suggested_only_where_names_say_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the id of a bike as that of a trip, one trip of a window would count."""
    monkeypatch.chdir(tmp_path)
    header = "StartHub,StartTime,EndTime,Bike Id,is_member,User Type,passenger_count"
    with pytest.raises(TripsFileError, match="no known format"):
        read(write_csv(tmp_path / "a.csv", header, "NW,2025-01-06 08:00,,7,1,Casual,2"))
    columns = tomllib.loads((tmp_path / "a.columns.toml").read_text())["columns"]
    assert {name for name in columns if name.endswith("_id")} <= {"start_location_id"}
    assert (columns["start_time"], columns["end_time"]) == ("StartTime", "EndTime")


def test_a_mapping_without_an_end_and_a_duration_is_refused(city: Path) -> None:
    """As a known format without them is."""
    mapping = city.with_name("mine.toml")
    mapping.write_text('[columns]\nstart_time = "pickup time"\nprice = "fare"\n')
    expected = r"mine\.toml .*has neither durations nor ends"
    with (
        open_trip_files([city], ReadingOptions(columns=mapping)) as reader,
        pytest.raises(TripsFileError, match=expected),
    ):
        reader.check_amounts()


@pytest.mark.parametrize(
    ("distance", "duration", "units"),
    [
        ("Covered distance (m)", "Duration (sec.)", ("m", "s")),
        ("trip_miles", "Duration (ms)", ("mi", "ms")),
        ("distance", "minutes", ("km", "min")),
    ],
)
def test_units_are_those_that_names_say(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    distance: str,
    duration: str,
    units: tuple[str, str],
) -> None:
    """A mapping that nobody edits would else be read with wrong amounts."""
    monkeypatch.chdir(tmp_path)
    with pytest.raises(TripsFileError, match="no known format"):
        read(write_csv(tmp_path / "a.csv", f"Departure,{distance},{duration}", "2025-01-06,1,2"))
    held = tomllib.loads((tmp_path / "a.columns.toml").read_text())
    assert (held["distance_unit"], held["duration_unit"]) == units
    assert held["columns"]["distance_km"] == distance
    assert held["columns"]["duration_min"] == duration


def test_a_file_without_times_is_told_what_a_trip_needs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The mapping has a line for each way to say it; a distance and a price are optional."""
    monkeypatch.chdir(tmp_path)
    with pytest.raises(TripsFileError, match=r"No column looks like start_time, duration_min or e"):
        read(write_csv(tmp_path / "a.csv", "x,y", "1,2"))
    lines = (tmp_path / "a.columns.toml").read_text().splitlines()
    assert 'start_time = ""    # required; ["date", "time"] if these are two columns' in lines
    assert 'end_time = ""    # required if there is no duration_min' in lines
    assert 'duration_min = ""    # required if there is no end_time' in lines
    assert '# distance_km = ""    # optional' in lines
    assert '# price = ""    # optional; several columns in [] are added' in lines


def test_days_before_months_are_refused(tmp_path: Path) -> None:
    """Those until the 12th would be read as months, in silence."""
    header = "start_time,duration_min,distance_km,price"
    rows = ["01/02/2025 08:00,1,2,3", "31/01/2025 08:00,1,2,3"]
    path = write_csv(tmp_path / "trips.csv", header, *rows)
    with pytest.raises(TripsFileError, match=r"days before months \(31/01/2025 08:00\)"):
        read(path)
    mapping = tmp_path / "days.toml"
    names = "\n".join(f'{name} = "{name}"' for name in header.split(","))
    mapping.write_text(f'time_format = "%d/%m/%Y %H:%M"\n[columns]\n{names}\n')
    trips = read(path, options=ReadingOptions(columns=mapping)).trips
    assert trips["start_time"].dt.month().to_list() == [2, 1]
    american = write_csv(tmp_path / "us.csv", header, "12/31/2025 08:00,1,2,3", rows[0])
    assert read(american).report.trips == 2


def test_columns_without_a_readable_value_are_refused_all_at_once(tmp_path: Path) -> None:
    """With what they hold, before anything is read further."""
    path = write_csv(
        tmp_path / "a.csv", "start_time,duration_min,distance_km,price", "soon,1,far,4 Taler"
    )
    with pytest.raises(TripsFileError) as refusal:
        read(path)
    assert str(refusal.value).splitlines() == [
        f"{path}: column start_time has no times: soon",
        f"{path}: column distance_km has no numbers: far",
        f"{path}: column price has no numbers: 4 Taler",
    ]
