"""Reading what the places hold, and the frames of `--out`."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Final
from urllib.parse import parse_qs, unquote, urlsplit

import polars as pl
import pytest

from audit import export, topics
from audit.decimals import epoch_ms, micro, units
from audit.served import Api, ApiError
from audit.verdicts import Message
from mobility.entities import BY_NAME


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("0", 0),
        ("12.5", 12_500_000),
        ("-0.000001", -1),
        ("9007199254.740993", 9_007_199_254_740_993),
        ("9223372036854.775807", 2**63 - 1),
        ("1.100000000", 1_100_000),
        ("5.", 5_000_000),
        ("0.0000001", None),
        ("9223372036854.775808", None),
        ("1e-6", None),
        (" 1", None),
        ("1\n", None),
        ("", None),
        (None, None),
    ],
)
def test_decimal_text_is_read_to_the_digit(text: str | None, expected: int | None) -> None:
    """Text becomes micro-units exactly, or null: nothing is rounded."""
    frame = pl.DataFrame({"text": [text]}, schema={"text": pl.String})
    assert frame.select(micro(pl.col("text"))).item() == expected


def test_units_are_the_nearest_doubles() -> None:
    """Micro-units beyond 2^53 are divided with one rounding."""
    amounts = [1, 100_000, 9_007_199_254_740_993, -(2**62) - 1]
    assert units(pl.Series("x", amounts)).to_list() == [
        1e-06,
        0.1,
        9007199254.740993,
        -4611686018427.387905,
    ]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2025-01-01T00:00:00Z", 1_735_689_600_000),
        ("2025-01-01T00:00:00.5Z", 1_735_689_600_500),
        ("1969-12-31T23:59:59.999Z", -1),
        ("0001-01-01T00:00:00Z", -62_135_596_800_000),
        ("2025-01-01T00:00:00", None),
        ("2025-01-01T00:00:00+00:00", None),
    ],
)
def test_times_end_in_z(text: str, expected: int | None) -> None:
    """Stores and topics show UTC as Z and nothing else."""
    assert pl.DataFrame({"text": [text]}).select(epoch_ms(pl.col("text"))).item() == expected


WINDOW: Final = (
    b'{"driver_id":"d\\"total_revenue\\":1,","window_start":"2025-01-01T00:00:00Z",'
    b'"window_end":"2025-01-01T00:05:00Z","trip_count":3,"avg_duration":2.5,'
    b'"total_duration":7.5,"total_distance":9007199254.740993,"total_revenue":-1,'
    b'"start_time":"2025-01-01T00:00:00.250Z","last_start_time":"2025-01-01T00:00:01Z",'
    b'"pane":"early","generation":0}'
)


def test_windows_are_read_from_their_messages() -> None:
    """Totals keep every digit, and an id that looks like a field misleads nobody."""
    assert topics.decode_windows([WINDOW], BY_NAME["driver"]).row(0, named=True) == {
        "entity": "driver",
        "id": 'd"total_revenue":1,',
        "window_start": 1_735_689_600_000,
        "window_end": 1_735_689_900_000,
        "generation": 0,
        "trip_count": 3,
        "total_duration": 7_500_000,
        "total_distance": 9_007_199_254_740_993,
        "total_revenue": -1_000_000,
        "start_time": 1_735_689_600_250,
        "last_start_time": 1_735_689_601_000,
        "avg_duration": 2.5,
    }


def test_a_field_that_is_absent_is_null() -> None:
    """What a message does not say becomes null, and so a difference."""
    value = WINDOW.replace(b'"total_duration":7.5,', b"").replace(b'"trip_count":3', b'"n":3')
    row = topics.decode_windows([value], BY_NAME["driver"]).row(0, named=True)
    assert (row["total_duration"], row["trip_count"]) == (None, None)


def test_a_message_of_an_earlier_release_has_one_start() -> None:
    """It tells the earliest alone, which stands for the latest too."""
    value = WINDOW.replace(b'"last_start_time":"2025-01-01T00:00:01Z",', b"")
    row = topics.decode_windows([value], BY_NAME["driver"]).row(0, named=True)
    assert row["last_start_time"] == row["start_time"] == 1_735_689_600_250


def test_broken_messages_are_an_error() -> None:
    """A window that is no JSON can't be overlooked."""
    with pytest.raises(pl.exceptions.ComputeError):
        topics.decode_windows([WINDOW, b"{"], BY_NAME["driver"])


def test_the_highest_version_counts() -> None:
    """Of a window the highest generation, then trip count, then the last message is kept."""
    windows = pl.DataFrame(
        {
            "entity": "driver",
            "id": ["a", "a", "a", "b", "b", "c", "c"],
            "window_start": [0, 0, 0, 0, 5, 0, 0],
            "generation": [0, 1, 0, 0, 0, 0, 0],
            "trip_count": [9, 2, 10, 1, 1, 4, 4],
            "mark": [1, 2, 3, 4, 5, 6, 7],
        }
    )
    assert topics.latest(windows)["mark"].sort().to_list() == [2, 4, 5, 7]


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        (
            [("error", b"not_json"), ("topic", b"t"), ("partition", b"3"), ("offset", b"17")],
            ("t", 3, 17, "not_json", b"{"),
        ),
        ([("partition", b"x"), ("offset", None)], (None, None, None, None, b"{")),
        ([], (None, None, None, None, b"{")),
    ],
)
def test_positions_are_headers(
    headers: list[tuple[str, bytes | None]], expected: tuple[object, ...]
) -> None:
    """A late or dead trip names its source; what is missing is null, never a guess."""
    assert topics.position(Message(0, 5, 0, b"{", headers)) == expected


def test_a_mark_is_no_letter() -> None:
    """It only says that one was replayed; a tombstone that died is one."""
    letter = [("topic", b"t"), ("partition", b"1"), ("offset", b"2"), ("error", b"tombstone")]
    assert not topics.is_mark(Message(0, 5, 0, None, letter))
    assert topics.is_mark(Message(0, 6, 0, None, [("replayed", b"1:2"), ("topic", b"t")]))


IDS: Final = ["a/b", "%2F", "..", "ü ?#", *(f"{n:04}" for n in range(600))]


class FakeApi(BaseHTTPRequestHandler):
    """Answers for drivers only, and 503 for one of them."""

    protocol_version = "HTTP/1.1"
    wbufsize = -1  # one packet an answer

    def do_GET(self) -> None:
        """Answer one request."""
        url = urlsplit(self.path)
        parts = url.path.split("/")[1:]
        query = {name: values[0] for name, values in parse_qs(url.query).items()}
        if parts[0] == "health":
            self._say(200, {})
        elif len(parts) == 2:
            start, limit = int(query.get("cursor", 0)), int(query["limit"])
            ids = IDS[start : start + limit] if parts[1] == "driver" else []
            more = str(start + limit) if start + limit < len(IDS) and ids else None
            self._say(200, {"items": [{"id": i, "trip_count": 1} for i in ids], "next": more})
        elif unquote(parts[2]) in IDS:
            self._say(200, answer_for(unquote(parts[2])))
        else:
            self._say(503 if parts[2] == "down" else 404, {"detail": "no"})

    def log_message(self, *_: object) -> None:
        """Say nothing."""

    def _say(self, status: int, answer: object) -> None:
        body = json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


def answer_for(id_: str) -> dict[str, object]:
    """Return the API's answer for an id."""
    return {
        "entity": "driver",
        "id": id_,
        "trip_count": len(id_),
        "total_duration": 0.1,
        "total_distance": 2,
        "total_revenue": 3.5,
        "avg_duration": 0.05,
        "start_time": "2025-01-01T00:00:00Z",
        "last_start_time": "2025-01-01T00:00:01Z",
        "as_of": None,
    }


@contextmanager
def fake_api() -> Iterator[Api]:
    """Run the fake API."""
    with ThreadingHTTPServer(("127.0.0.1", 0), FakeApi) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        try:
            yield Api("127.0.0.1", server.server_port)
        finally:
            server.shutdown()
            thread.join()


def test_the_api_is_asked_for_every_page_and_every_id() -> None:
    """All pages are followed, every id is asked for as itself, and a 404 is left out."""
    with fake_api() as api:
        assert api.is_healthy()
        listed = api.listed()
        assert listed["id"].to_list() == IDS
        unknown = listed.head(1).with_columns(id=pl.lit("nobody"))
        served = api.served(pl.concat([listed, unknown]))
    assert sorted(served["id"]) == sorted(IDS)
    assert served.filter(pl.col("id") == "a/b").row(0, named=True) == {
        **{name: value for name, value in answer_for("a/b").items() if name != "as_of"},
        "start_time": 1_735_689_600_000,
        "last_start_time": 1_735_689_601_000,
    }


def test_an_api_that_is_down_is_an_error_and_not_an_empty_answer() -> None:
    """An answer of 503 is told with its path; no answer at all is not healthy."""
    with fake_api() as api:
        ids = pl.DataFrame({"entity": ["driver"], "id": ["down"]})
        with pytest.raises(ApiError, match="503 to GET /metrics/driver/down"):
            api.served(ids)
    assert not api.is_healthy()


TOTALS: Final = pl.DataFrame(
    {
        "entity": ["h3", "driver"],
        "id": ["a", "b"],
        "trip_count": [1, 2],
        "total_duration": [1, 2_500_000],
        "total_distance": [1, 2],
        "total_revenue": [-1, 2],
        "avg_duration": [1e-6, 1.25],
        "start_time": [0, 1],
        "last_start_time": [0, 2],
    }
)

UNITS: Final = {
    "trip_count": pl.Int64,
    "total_duration": pl.Float64,
    "total_distance": pl.Float64,
    "total_revenue": pl.Float64,
    "avg_duration": pl.Float64,
}


@pytest.mark.parametrize("convert", [lambda frame: frame, export.in_units])
def test_totals_for_people(tmp_path: Path, convert: Callable[..., pl.DataFrame]) -> None:
    """Totals are written in units, whether a place gave micro-units or the API its doubles."""
    export.write_totals(tmp_path / "x.parquet", convert(TOTALS))
    frame = pl.read_parquet(tmp_path / "x.parquet")
    assert frame.schema == {"entity": pl.String, "id": pl.String, **UNITS}
    assert frame.rows() == [
        ("driver", "b", 2, 2.5, 0.000002, 0.000002, 1.25),
        ("h3", "a", 1, 0.000001, 0.000001, -0.000001, 1e-6),
    ]


def test_windows_for_people(tmp_path: Path) -> None:
    """Windows have the same columns and their start as a time in UTC."""
    windows = TOTALS.with_columns(window_start=pl.lit(300_000, dtype=pl.Int64))
    export.write_windows(tmp_path / "x.parquet", windows)
    frame = pl.read_parquet(tmp_path / "x.parquet")
    moment = pl.Datetime("ms", "UTC")
    assert frame.schema == {
        "entity": pl.String,
        "id": pl.String,
        "window_start": moment,
        **UNITS,
    }
    assert frame["window_start"].to_list() == [datetime(1970, 1, 1, 0, 5, tzinfo=UTC)] * 2
