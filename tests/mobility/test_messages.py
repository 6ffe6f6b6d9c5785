"""Windows as messages: exact both ways."""

import json
import re
from fractions import Fraction

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from polars.testing import assert_frame_equal, assert_series_equal

from mobility.entities import BY_NAME, ENTITIES, Entity
from mobility.measures import NULLABLE, SUMS
from mobility.messages import decode_windows, encode_windows
from mobility.records import WINDOW_SCHEMA, window_schema
from mobility.sketched_measures import SKETCHES
from tests.ids import ids
from tests.strategies import NOON

DRIVER = BY_NAME["driver"]
WINDOW = 300_000

_whole = st.integers(-(10**27), 10**27)
windows = st.fixed_dictionaries(
    {
        "id": ids,
        "window_start": st.integers(-1_000, 10**6).map(lambda number: number * WINDOW),
        "trip_count": st.integers(1, 10**9),
        "total_duration": st.integers(0, 2**63 - 1) | st.integers(0, 10**27),
        "total_distance": st.integers(0, 10**27),
        "total_revenue": _whole | st.integers(-(10**6), 10**6),
        "start_time": st.integers(-(10**12), 10**13),
        "last_start_time": st.integers(-(10**12), 10**13),
        "distance_count": st.integers(0, 10**9),
        "revenue_count": st.integers(0, 10**9),
        "pane": st.sampled_from(("early", "on_time", "late")),
        "generation": st.integers(0, 10**6),
    }
)


def one(**fields: object) -> pl.DataFrame:
    """Return one window, the fields replaced."""
    row = {
        "id": "d1",
        "window_start": NOON,
        "trip_count": 3,
        "total_duration": 10_000_000,
        "total_distance": 7_250_001,
        "total_revenue": -500_000,
        "start_time": NOON + 1_042,
        "last_start_time": NOON + 2_000,
        "distance_count": 3,
        "revenue_count": 2,
        "pane": "late",
        "generation": 2,
    }
    return pl.DataFrame([row | fields], schema=WINDOW_SCHEMA)


def test_windows_with_empty_chunks_are_encoded() -> None:
    """A filter can leave empty chunks, with which `format` of Polars panics (polars #25525)."""
    chunks = pl.concat([one(id="a"), one(id="b"), one(id="c")], rechunk=False)
    rows = chunks.filter(chunks["id"] != "b")
    assert [len(chunk) for chunk in rows["id"].get_chunks()] == [1, 0, 1]
    assert_series_equal(
        encode_windows(rows, DRIVER, WINDOW), encode_windows(rows.rechunk(), DRIVER, WINDOW)
    )


@pytest.mark.parametrize("entity", ENTITIES, ids=lambda entity: str(entity.name))
def test_a_message_looks_like_this(entity: Entity) -> None:
    """Fields, their order and their forms are what consumers rely on."""
    assert encode_windows(one(), entity, WINDOW).item() == (
        f'{{"{entity.id_field}":"d1","window_start":"2025-01-01T12:00:00Z",'
        '"window_end":"2025-01-01T12:05:00Z","trip_count":3,"distance_count":3,'
        '"revenue_count":2,"avg_duration":3.3333333333333335,'
        '"total_duration":10.000000,"total_distance":7.250001,"total_revenue":-0.500000,'
        '"start_time":"2025-01-01T12:00:01.042Z","last_start_time":"2025-01-01T12:00:02Z",'
        + "".join(f'"{each.name}":null,' for each in NULLABLE)
        + '"pane":"late","generation":2}'
    )


def test_a_message_of_an_earlier_release_is_read() -> None:
    """It tells the start of the earliest trip alone, which stands for the latest too.

    All of its trips had a distance and a price.
    """
    (message,) = encode_windows(one(), DRIVER, WINDOW)
    absent = "last_start_time|distance_count|revenue_count"
    earlier = re.sub(rf'"({absent})":("[^"]+"|[0-9]+),', "", message)
    assert len(message) - len(earlier) > 70
    expected = one(last_start_time=NOON + 1_042, revenue_count=3)
    assert_frame_equal(decode_windows([earlier.encode()], DRIVER), expected)


def test_a_window_without_trips_has_a_mean_of_zero() -> None:
    """No trip is left of a window after a backfill: its message is JSON all the same."""
    nothing = one(**dict.fromkeys(SUMS, 0))
    text = encode_windows(nothing, DRIVER, WINDOW).item()
    assert json.loads(text)["avg_duration"] == 0
    assert_frame_equal(decode_windows([text.encode()], DRIVER), nothing)


@given(st.lists(windows, max_size=20), st.sampled_from(ENTITIES))
def test_decoding_gives_back_what_was_encoded(
    rows: list[dict[str, object]], entity: Entity
) -> None:
    """Every micro-unit, also beyond 2^53, every id and every millisecond comes back."""
    frame = pl.DataFrame(rows, schema=WINDOW_SCHEMA)
    values = [text.encode() for text in encode_windows(frame, entity, WINDOW)]
    assert_frame_equal(decode_windows(values, entity), frame)


@given(windows)
def test_any_json_reader_understands_a_message(row: dict[str, object]) -> None:
    """A message is JSON; its decimals are the micro-units, its mean one division."""
    frame = pl.DataFrame([row], schema=WINDOW_SCHEMA)
    record = json.loads(encode_windows(frame, DRIVER, WINDOW).item(), parse_float=Fraction)
    assert record["driver_id"] == row["id"]
    assert record["total_revenue"] * 10**6 == row["total_revenue"]
    assert record["total_duration"] * 10**6 == row["total_duration"]
    duration, count = row["total_duration"], row["trip_count"]
    assert isinstance(duration, int)
    assert isinstance(count, int)
    assert float(record["avg_duration"]) == pytest.approx(duration / (count * 10**6), rel=1e-15)


def test_a_reader_of_doubles_gets_the_nearest_double() -> None:
    """What 10^6 trips of 10^9 units amount to is more than a double can tell apart."""
    text = encode_windows(one(total_revenue=10**21 + 1), DRIVER, WINDOW).item()
    assert '"total_revenue":1000000000000000.000001,' in text
    assert json.loads(text)["total_revenue"] == 10**15
    exact = one(total_revenue=2**53 - 1)
    assert (
        json.loads(encode_windows(exact, DRIVER, WINDOW).item())["total_revenue"]
        == (2**53 - 1) / 10**6
    )


def encoded() -> bytes:
    """Return the message of a window."""
    return str(encode_windows(one(), DRIVER, WINDOW).item()).encode()


@pytest.mark.parametrize(
    "values",
    [
        [b""],
        [b"", b""],
        [b"\xff"],
        [b"null"],
        [b"[]"],
        [b"{}"],
        [b'{"driver_id":"d1"}'],
        [encoded() + encoded()],
        [encoded() + b"\n" + encoded()],
        [b"", encoded() + encoded()],
        [encoded()[:-1]],
        [encoded().replace(b"driver_id", b"rider_id")],
        [encoded().replace(b'"d1"', b"null")],
        [encoded().replace(b":3,", b":3.5,")],
        [encoded().replace(b":3,", b":NaN,")],
        [encoded().replace(b"-0.500000", b'"-0.5"')],
        [encoded().replace(b"-0.500000", b"1e3")],
        [encoded().replace(b"-0.500000", b"9" * 30 + b".0")],
        [encoded().replace(b"-0.500000", b"9" * 40 + b".0")],
        [encoded().replace(b"2025-01-01T12:00:00Z", b"noon")],
        [encoded(), b"x", encoded()],
    ],
)
def test_what_is_no_window_is_refused(values: list[bytes]) -> None:
    """Garbage raises ValueError; nothing is guessed and nothing shifts."""
    with pytest.raises(ValueError, match="not windows of driver"):
        decode_windows(values, DRIVER)


def test_no_messages_are_no_windows() -> None:
    """An empty batch decodes to an empty frame of the declared schema."""
    assert decode_windows([], DRIVER).schema == WINDOW_SCHEMA


def test_sketches_are_written_in_base64() -> None:
    """Behind the other fields, null where they are not known; who does not want them reads on."""
    names = [each.name for each in SKETCHES]
    data = [b"", b"\x80\x01\xff", None]
    columns = [pl.Series(name, data, dtype=pl.Binary) for name in names]
    rows = pl.concat([one()] * len(data)).with_columns(columns)
    values = [text.encode() for text in encode_windows(rows, DRIVER, WINDOW)]
    assert [json.loads(value)[names[0]] for value in values] == ["", "gAH/", None]
    assert list(json.loads(values[0]))[-len(names) :] == names
    assert_frame_equal(decode_windows(values, DRIVER, SKETCHES), rows)
    assert_frame_equal(decode_windows(values, DRIVER), rows.select(WINDOW_SCHEMA.names()))
    (without,) = encode_windows(one(), DRIVER, WINDOW)
    decoded = decode_windows([without.encode()], DRIVER, SKETCHES)
    assert decoded.schema == window_schema(SKETCHES)
    assert decoded.select(names).row(0) == (None,) * len(names)
    broken = without.replace('"generation"', f'"{names[0]}":"?","generation"')
    with pytest.raises(ValueError, match="not windows of driver"):
        decode_windows([broken.encode()], DRIVER, SKETCHES)
