"""Files as people have them: compressed, in folders, in archives, with odd names."""

import gzip
import io
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from backports import zstd

from producer.formats.errors import TripsFileError
from producer.formats.trip_format import FIELDS
from tests.producer.formats.reading import own_trips, read, write_csv

HEADER = "trip_id,start_time,duration_min,distance_km,price"
TRIP = '{"trip_id":"a","start_time":1736164800000,"duration_min":1,"distance_km":2,"price":3}'
CSV = f"{HEADER}\na,2025-01-06 12:00:00,1,2,3\n".encode()
NDJSON = f"{TRIP}\n".encode()
COMPRESS: dict[str, Callable[[bytes], bytes]] = {
    "": lambda content: content,
    ".gz": gzip.compress,
    ".zst": zstd.compress,
}


def parquet_file() -> bytes:
    """Return a parquet file with the trip `a`."""
    content = io.BytesIO()
    own_trips(trip_id=["a"]).write_parquet(content)
    return content.getvalue()


@pytest.mark.parametrize("ending", COMPRESS)
@pytest.mark.parametrize("kind", ["csv", "ndjson", "parquet", "json"])
def test_kinds_and_compressions(tmp_path: Path, kind: str, ending: str) -> None:
    """What a file is, its content says: a wrong name does no harm."""
    contents = {"csv": CSV, "ndjson": NDJSON, "json": f"[\n{TRIP}\n]".encode()}
    content = COMPRESS[ending](contents.get(kind) or parquet_file())
    for name in (f"trips.{kind}{ending}", f"download-{kind}"):
        (tmp_path / name).write_bytes(content)
        assert read(tmp_path / name).trips["trip_id"].to_list() == ["a"]


def test_the_members_of_an_archive(tmp_path: Path) -> None:
    """Trip files in it are read one after the other; what macOS adds is not."""
    path = tmp_path / "trips.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("2025/a.csv", CSV)
        archive.writestr("__MACOSX/2025/._a.csv", b"\0")
        archive.writestr("2025/b.csv", CSV)
        archive.writestr("readme.pdf", b"%PDF")
    found = read(path)
    assert found.trips["trip_id"].to_list() == ["a", "a"]
    assert "trips.zip/2025/a.csv and 1 more: mobility" in found.lines[0]
    not_read = f"not read, as their names are of no trip files: {path}/readme.pdf"
    assert found.lines[1:] == [not_read]


def test_a_folder(tmp_path: Path) -> None:
    """Its trip files are read by name, those of folders in it too, and no others."""
    (tmp_path / "b").mkdir()
    (tmp_path / ".ipynb_checkpoints").mkdir()
    write_csv(tmp_path / ".ipynb_checkpoints" / "a.csv", HEADER, "no,2025-01-06 12:00:00,1,2,3")
    for name, trip in (("b/z.csv", "z"), ("a.csv.gz", "a"), (".hidden.csv", "no"), ("c.md", "no")):
        write_csv(tmp_path / name, HEADER, f"{trip},2025-01-06 12:00:00,1,2,3")
    found = read(tmp_path)
    assert found.trips["trip_id"].to_list() == ["a", "z"]
    not_read = f"not read, as their names are of no trip files: {tmp_path}/c.md"
    assert found.lines[1:] == [not_read]


def test_brackets_in_a_name_are_no_pattern(tmp_path: Path) -> None:
    """The file that was named is read, and not those that a pattern would match."""
    own_trips(trip_id=["one"]).write_parquet(tmp_path / "trips1.parquet")
    own_trips(trip_id=["bracket"]).write_parquet(tmp_path / "trips[1].parquet")
    write_csv(tmp_path / "*.csv", HEADER, "star,2025-01-06 12:00:00,1,2,3")
    assert read(tmp_path / "trips[1].parquet").trips["trip_id"].to_list() == ["bracket"]
    assert read(tmp_path / "*.csv").trips["trip_id"].to_list() == ["star"]
    with pytest.raises(TripsFileError, match=r"trips\[2\]\.parquet: no such file"):
        read(tmp_path / "trips[2].parquet")


@pytest.mark.parametrize("separator", [";", "\t", "|"])
def test_separators_and_decimal_commas(tmp_path: Path, separator: str) -> None:
    """Columns are separated by what the header has most; decimals may have a comma then."""
    path = tmp_path / "trips.csv"
    lines = (HEADER, 'a,2025-01-06 12:00,"1:5","2:25","1.003:4"')
    write_csv(path, *lines, separator=separator)
    path.write_text(path.read_text().replace('"', "").replace(":5", ",5").replace(":25", ",25"))
    path.write_text(path.read_text().replace("1.003:4", "1.003,4"))
    trip = read(path).first()
    assert (trip["duration_min"], trip["distance_km"], trip["price"]) == (1.5, 2.25, 1003.4)


def test_coordinates_with_points_beside_amounts_with_commas(tmp_path: Path) -> None:
    """As a database writes numbers, and a spreadsheet amounts."""
    path = tmp_path / "trips.csv"
    header, trip = HEADER.replace(",", ";"), "a;2025-01-06 12:00;1,5;2,25;1.003,4"
    path.write_text(f"{header};start_lat;start_lng\n{trip};52.516;13.377\n")
    found = read(path).first()
    assert (found["start_lat"], found["start_lng"], found["price"]) == (52.516, 13.377, 1003.4)


def test_a_byte_order_mark_and_blanks_in_names(tmp_path: Path) -> None:
    """Names are compared without them, and in any case; in NDJSON a mark is no part of a line."""
    path = tmp_path / "trips.csv"
    path.write_bytes(
        b"\xef\xbb\xbf Trip_ID , START_TIME,Duration_Min ,distance_km,Price\r\n"
        b"a,2025-01-06 12:00:00,1,2,3\r\n"
    )
    assert read(path).first()["trip_id"] == "a"
    lines = tmp_path / "trips.ndjson"
    lines.write_bytes(b"\xef\xbb\xbf" + NDJSON * 2)
    assert read(lines).trips["trip_id"].to_list() == ["a", "a"]


def test_pages_of_the_mobility_data_specification_one_per_line(tmp_path: Path) -> None:
    """As programs append the pages that they fetch."""
    path = tmp_path / "pages.json"
    path.write_text(f'{{"data":{{"trips":[{TRIP},{TRIP}]}}}}\n{{"data":{{"trips":[{TRIP}]}}}}\n')
    assert read(path).trips.height == 3


def test_odd_lines_of_ndjson(tmp_path: Path) -> None:
    """Blank lines, those of Windows, and one that is not UTF-8, which people are told."""
    path = tmp_path / "trips.ndjson"
    odd = TRIP.replace('"a"', '"é"').encode("cp1252")
    path.write_bytes(b"\n" + NDJSON.replace(b"\n", b"\r\n") + b"\n" + odd + b"\n\n")
    found = read(path)
    assert found.trips["trip_id"].to_list() == ["a", "é"]
    assert found.report.recoded == 1


def test_fields_that_come_late(tmp_path: Path) -> None:
    """A field of a trip is found on any line of NDJSON, and no other is made up."""
    path = tmp_path / "trips.ndjson"
    late = TRIP.replace('"price":3', '"price":3,"driver_id":"d"')
    early = TRIP.replace(',"price":3', "")
    path.write_text(f"{early}\n" * 10_001 + late + "\n")
    trips = read(path).trips
    assert trips["driver_id"].null_count() == 10_001
    assert trips["price"].drop_nulls().to_list() == [3]
    assert set(trips.columns) <= set(FIELDS)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("trips.csv", b"", "the file is empty"),
        ("trips.csv", f"{HEADER}\n".encode(), "the file has no rows"),
        ("trips.parquet", b"PAR1 and no more", "not a readable parquet file"),
        ("trips.csv.gz", gzip.compress(CSV)[:-9], "can't be read"),
        ("trips.zip", b"PK\x03\x04 broken", "can't be read"),
        ("trips.json", b'{"type": "record", "fields": [] }\n\n', "no known format"),
        ("trips.json", b'{"data":\n{"vehicles": []}}', "no list of trips"),
        ("trips.json", b'{"data":\n', "not JSON with trips"),
        ("trips.ndjson", NDJSON + b'{"trip_id":\n', "not a readable ndjson file"),
        (
            "trips.ndjson",
            b"\n" + NDJSON + b'{"trip_id":',
            "not a .* file: line 3 is no JSON object",
        ),
        ("trips.ndjson", NDJSON + b"[1]\n", "not a readable ndjson file: line 2 is no JSON object"),
        ("trips.csv.zst", zstd.compress(CSV)[:-9], "can't be read"),
        ("trips.csv", CSV.decode().encode("utf-16")[:-1], "can't be read"),
    ],
    ids=[
        "empty",
        "no rows",
        "short parquet",
        "short gzip",
        "broken zip",
        "other objects",
        "other page",
        "short page",
        "short line",
        "short last line",
        "array",
        "short zstd",
        "short utf-16",
    ],
)
def test_what_can_not_be_read_is_named(
    tmp_path: Path, name: str, content: bytes, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The message has the name of the file, and no traceback follows."""
    monkeypatch.chdir(tmp_path)
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(TripsFileError, match=rf"{name}.*: {message}"):
        read(path)


def test_a_file_that_is_named_twice_is_refused(tmp_path: Path) -> None:
    """Once in its folder and once by its name: trips without an id would count twice."""
    path = tmp_path / "trips.csv"
    path.write_bytes(CSV)
    with pytest.raises(TripsFileError, match=r"trips\.csv: this file is named twice"):
        read(tmp_path, path)


def test_a_folder_or_archive_without_trip_files_is_refused(tmp_path: Path) -> None:
    """Each says what is looked for."""
    (tmp_path / "notes.md").write_text("nothing")
    with zipfile.ZipFile(tmp_path / "notes.zip", "w") as archive:
        archive.writestr("notes.md", "nothing")
    with pytest.raises(TripsFileError, match=r"no trip files in this archive \(parquet, CSV"):
        read(tmp_path / "notes.zip")
    (tmp_path / "notes.zip").unlink()
    with pytest.raises(TripsFileError, match=r"no trip files in this folder \(parquet, CSV"):
        read(tmp_path)
