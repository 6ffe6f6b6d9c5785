"""Rows of CSV files that are not as the header says: read right, or counted with their reason."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from producer.formats.errors import TripsFileError
from tests.producer.formats.reading import Reading, read

HEADER = "trip_id,start_time,driver_id,duration_min,distance_km,price"
NAMES = HEADER.split(",")


def row(name: str, price: str = "3.5", driver: str = "d") -> str:
    """Return a whole row."""
    return f"{name},2025-01-06 12:00:00,{driver},1,2,{price}"


def write(path: Path, *lines: str, end: str = "\n", encoding: str = "utf-8") -> Path:
    """Write lines."""
    path.write_bytes("".join(line + end for line in lines).encode(encoding))
    return path


def found(reading: Reading) -> list[Any]:
    """Return the ids of the trips."""
    return reading.trips["trip_id"].to_list()


MALFORMED = {
    "more fields than columns": row("x", "1,234.50"),
    "fewer fields than columns": "x,2025-01-06 12:0",
    "quotes are not closed or misplaced": row("x", driver='"d'),
    "NUL bytes in the line": row("x", driver="\0\0"),
    "the header again": HEADER,
}


def test_each_malformed_row_is_counted_and_kept(tmp_path: Path) -> None:
    """With its reason, its number and its line; the rows around it are read."""
    lines = [row("a")]
    for number, line in enumerate(MALFORMED.values()):
        lines += [line, row(f"b{number}")]
    path = write(tmp_path / "trips.csv", HEADER, *lines)
    reading = read(path, rejects=tmp_path / "rejects.ndjson")
    assert found(reading) == ["a", "b0", "b1", "b2", "b3", "b4"]
    assert dict(reading.report.left_out) == dict.fromkeys(MALFORMED, 1)
    assert reading.report.summary().startswith("11 rows read = 6 trips + 5 left out (")
    rejects = [json.loads(line) for line in (tmp_path / "rejects.ndjson").read_text().splitlines()]
    assert rejects == [
        {"file": str(path), "row": number, "reason": reason, "line": line}
        for number, (reason, line) in zip(range(2, 12, 2), MALFORMED.items(), strict=True)
    ]


@pytest.mark.parametrize(
    ("driver", "expected"),
    [
        ('"d, the first"', "d, the first"),
        ('"say ""d"""', 'say "d"'),
        ('"two\nlines"', "two\nlines"),
        ('"three\n\n"" lines"', 'three\n\n" lines'),
        (' "blanks" ', "blanks"),
        ('" blanks "', " blanks "),
        ('""', ""),
        ("NA", None),
        ("Zoë 🚕", "Zoë 🚕"),
        ("line\u2028separator", "line\u2028separator"),
    ],
)
@pytest.mark.parametrize("rows_per_batch", [1, 2, 100])
def test_fields_that_are_right(
    tmp_path: Path,
    driver: str,
    expected: str | None,
    rows_per_batch: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Separators, quotes and line ends in quotes are text, wherever a batch ends."""
    monkeypatch.setattr("producer.formats.raw_batches.ROWS_PER_BATCH", rows_per_batch)
    path = write(tmp_path / "trips.csv", HEADER, row("a"), row("b", driver=driver), row("c"))
    reading = read(path)
    assert found(reading) == ["a", "b", "c"]
    assert reading.trips["driver_id"].to_list() == ["d", expected, "d"]
    assert reading.report.left_out.total() == 0


def test_a_quote_that_is_not_closed_takes_no_rows_along(tmp_path: Path) -> None:
    """Also if another one that is open follows, or the file ends with it."""
    lines = [row("x", driver='"d'), row("a"), row("b"), row("x", driver='d"'), row("c")]
    reading = read(write(tmp_path / "trips.csv", HEADER, *lines, row("x", driver='"d')))
    assert found(reading) == ["a", "b", "c"]
    assert dict(reading.report.left_out) == {"quotes are not closed or misplaced": 3}


def test_empty_fields_at_the_end_are_no_fields(tmp_path: Path) -> None:
    """Some programs end each row, or only the header, with separators."""
    reading = read(write(tmp_path / "a.csv", HEADER, row("a") + ",", row("b") + ",,", row("c")))
    assert found(reading) == ["a", "b", "c"]
    assert found(read(write(tmp_path / "b.csv", HEADER + ",", row("a"), row("b") + ","))) == [
        "a",
        "b",
    ]


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r", "\r\r\n"])
def test_line_ends(tmp_path: Path, end: str) -> None:
    """Those of Unix, Windows, old Macs, and of Windows twice; also mixed; blank lines are none."""
    path = write(tmp_path / "trips.csv", HEADER, row("a"), "", row("b"), "", end=end)
    with path.open("ab") as file:
        file.write(f"{row('c')}\n{row('d')}\r\n{row('e')}".encode())
    reading = read(path)
    assert found(reading) == ["a", "b", "c", "d", "e"]
    assert reading.trips["price"].to_list() == [3.5] * 5
    assert reading.report.left_out.total() == 0


@pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
def test_files_that_were_put_together(tmp_path: Path, separator: str) -> None:
    """A header in the middle is none of the rows, also with a mark and in other spelling."""
    other = HEADER.title().replace("_", " ")
    lines = [HEADER, row("a"), "\ufeff" + HEADER, row("b"), other, row("c")]
    path = write(tmp_path / "trips.csv", *(line.replace(",", separator) for line in lines))
    reading = read(path)
    assert found(reading) == ["a", "b", "c"]
    assert dict(reading.report.left_out) == {"the header again": 2}


def test_a_header_with_a_separator_at_its_end_comes_again(tmp_path: Path) -> None:
    """Also if names have digits, by which other lines are no headers."""
    header = f"{HEADER},zone 2,"
    path = write(tmp_path / "trips.csv", header, row("a") + ",x", header, row("b") + ",x,")
    reading = read(path)
    assert found(reading) == ["a", "b"]
    assert dict(reading.report.left_out) == {"the header again": 1}


def test_another_header_in_the_middle_is_refused(tmp_path: Path) -> None:
    """All rows after it would be read by the wrong columns."""
    other = ",".join(reversed(NAMES))
    path = write(tmp_path / "trips.csv", HEADER, row("a"), other, row("b"))
    with pytest.raises(TripsFileError, match=r"trips\.csv: row 2 is a header with other columns"):
        read(path)


def test_marks_and_separators_of_several_files(tmp_path: Path) -> None:
    """Each file has its own; Excel names the separator in a line above the header."""
    first = write(tmp_path / "a.csv", HEADER, row("a"))
    second = write(tmp_path / "b.csv", "\ufeff" + HEADER.replace(",", ";"), *semicolons("b"))
    third = write(tmp_path / "c.csv", "\ufeffsep=;", HEADER.replace(",", ";"), *semicolons("c"))
    assert found(read(first, second, third)) == ["a", "b", "c"]


def semicolons(*names: str) -> Sequence[str]:
    """Return rows that are separated by semicolons."""
    return [row(name).replace(",", ";") for name in names]


def test_bytes_that_are_not_utf_8(tmp_path: Path) -> None:
    """They are read as Windows-1252 line by line, and people are told."""
    path = tmp_path / "trips.csv"
    lines = [HEADER, row("a", driver="Zoë"), row("b", driver="10€"), row("c", driver="Zoë")]
    encodings = ["utf-8", "cp1252", "cp1252", "utf-8"]
    texts = (f"{line}\n".encode(name) for line, name in zip(lines, encodings, strict=True))
    path.write_bytes(b"".join(texts) + row("d", driver="").encode("latin-1") + b"\x81\n")
    reading = read(path)
    assert reading.trips["driver_id"].to_list()[:3] == ["Zoë", "10€", "Zoë"]
    assert reading.report.recoded == 3
    told = [line for line in reading.report.lines() if "not UTF-8" in line]
    assert told == [
        (
            "look at this: lines that are not UTF-8: 3, read as Windows-1252; if they are of "
            "another encoding, convert the files to UTF-8"
        )
    ]


def test_utf_16(tmp_path: Path) -> None:
    """Excel writes `Unicode text` so."""
    path = tmp_path / "trips.txt"
    path.write_bytes("\r\n".join([HEADER, row("a", driver="Zoë")]).encode("utf-16"))
    assert read(path).first()["driver_id"] == "Zoë"


def test_thousands(tmp_path: Path) -> None:
    """In quotes they are read; without, the row has a field too many."""
    path = write(tmp_path / "trips.csv", HEADER, row("a", '"1,234.50"'), row("b", "1,234.50"))
    reading = read(path)
    assert reading.trips["price"].to_list() == [1234.5]
    assert reading.report.left_out.total() == 1


def test_a_file_without_a_whole_row_is_refused(tmp_path: Path) -> None:
    """Before anything is sent, with the first reason."""
    path = write(tmp_path / "trips.csv", HEADER, row("a") + ",1", row("b") + ",2")
    message = r"none of the rows has the 6 columns of the header\. The first: more fields than col"
    with pytest.raises(TripsFileError, match=message):
        read(path)


FIELDS = st.one_of(
    st.sampled_from(["", "1", '"a,b"', '"', 'x"', '"x\ny"', "\0", "é", "a\rb", *NAMES]),
    st.text(alphabet='ab",\n; ', max_size=6),
)


@given(
    lines=st.lists(st.lists(FIELDS, max_size=8).map(",".join), max_size=12),
    rows_per_batch=st.sampled_from([1, 3, 100]),
)
@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_whatever_the_lines_are_the_report_adds_up(
    tmp_path: Path,
    lines: list[str],
    rows_per_batch: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Nothing fails, whole rows around odd lines are read, and each row is counted once."""
    monkeypatch.setattr("producer.formats.raw_batches.ROWS_PER_BATCH", rows_per_batch)
    path = write(tmp_path / "trips.csv", HEADER, row("first"), *lines, row("last"))
    rejects = tmp_path / "rejects.ndjson"
    try:
        reading = read(path, rejects=rejects)
    except TripsFileError as error:
        assert "is a header with other columns" in str(error)  # noqa: PT017 - the only one
        return
    ids = found(reading)
    assert (ids[0], ids[-1]) == ("first", "last")
    left_out = reading.report.left_out.total()
    assert reading.report.read == len(ids) + left_out
    assert rejects.read_text().count("\n") == left_out
