"""Encoders: the messages of an item, their keys and headers."""

import hashlib
import json

import polars as pl
import pytest

from broker.producer import Headers
from dataflows.encoders import (
    Messages,
    dead_encoder,
    enriched_encoder,
    late_encoder,
    punctuation_encoder,
    windows_encoder,
)
from dataflows.items import EnrichedTrips, Punctuation, SourceRecords
from mobility.entities import BY_NAME
from mobility.records import WindowUpdate
from mobility.settings import Settings
from tests.strategies import NOON
from tests.windows import window, window_frame

RECORDS = SourceRecords("p.trips_stream", 3, [10, 12], [b"\xff", None], [None, b"k"], [], [])
WHERE: list[Headers] = [
    [("topic", "p.trips_stream"), ("partition", "3"), ("offset", "10")],
    [("topic", "p.trips_stream"), ("partition", "3"), ("offset", "12")],
]


def test_late_trips_keep_their_bytes_and_have_their_position() -> None:
    """Original bytes and key; topic, partition and offset as headers."""
    (records,) = late_encoder(Settings(topic_prefix="p."))(RECORDS)
    assert records == Messages("p.trips_late", [None, b"k"], [b"\xff", None], WHERE)


def test_dead_letters_have_the_reason_and_a_detail() -> None:
    """Headers `error` and `detail` as well; a detail is bytes of bounded length."""
    dead = SourceRecords(
        "p.trips_stream",
        3,
        [10, 12],
        [b"\xff", None],
        [None, b"k"],
        ["not_utf8", "tombstone"],
        ["x" * 900, "half \ud800"],
    )
    (records,) = dead_encoder(Settings(topic_prefix="p."))(dead)
    assert records.topic == "p.trips_dlq"
    assert records.values == [b"\xff", None]
    assert records.headers == [
        [*WHERE[0], ("error", "not_utf8"), ("detail", b"x" * 500)],
        [*WHERE[1], ("error", "tombstone"), ("detail", b"half \\ud800")],
    ]


def test_the_key_of_a_window_is_its_id() -> None:
    """An update without rows has no messages."""
    rows = window_frame([window("d1")])
    driver = BY_NAME["driver"]
    encode = windows_encoder(Settings(topic_prefix="p."), driver)
    (columns,) = encode(WindowUpdate(driver, 0, 1, None, rows))
    assert (columns.topic, columns.keys.to_list()) == ("p.aggregated.driver", ["d1"])
    assert json.loads(columns.values.item())["trip_count"] == 1
    assert list(encode(WindowUpdate(driver, 0, 1, None, rows.clear()))) == []


def test_enriched_trips_are_sent_for_the_entities_that_they_have() -> None:
    """A trip without an id of an entity is not sent to the topic of that entity."""
    trips = pl.DataFrame({"json": ["{1}", "{2}"], "driver_id": [None, "d"]})
    encode = enriched_encoder(Settings(), BY_NAME["driver"])
    (columns,) = encode(EnrichedTrips(trips))
    assert columns.topic == "enriched.driver"
    assert (columns.keys.to_list(), columns.values.to_list()) == (["d"], ["{2}"])
    assert list(encode(EnrichedTrips(trips.head(1)))) == []


def test_a_punctuation_is_sent_to_its_idle_partition() -> None:
    """A message of the trips topic without a value, with the event time in a header."""
    (records,) = punctuation_encoder(Settings())(Punctuation(2, NOON))
    header: Headers = [("watermark", str(NOON))]
    assert records == Messages("trips_stream", [None], [None], [header], 2)


@pytest.mark.parametrize("reasons", [[], ["not_json"]])
def test_a_message_too_large_for_a_dead_letter_is_sent_by_reference(reasons: list[str]) -> None:
    """A key of nearly 16 MiB leaves no room for the position: its size and hash are sent."""
    key, value = b"k" * (16 * 1024 * 1024 - 500), b"{"
    details = ["no object"] * len(reasons)
    records = SourceRecords("trips_stream", 0, [7], [value], [key], reasons, details)
    encode = dead_encoder(Settings()) if reasons else late_encoder(Settings())
    (messages,) = encode(records)
    assert (messages.keys, messages.values) == ([None], [None])
    headers = dict(messages.headers[0])
    assert headers["offset"] == "7"
    detail = headers["detail"]
    assert isinstance(detail, bytes)
    digest = hashlib.sha256(key).hexdigest()
    assert f"key of {len(key):,} bytes, sha256 {digest}" in detail.decode()
    assert "value of 1 bytes, sha256 " in detail.decode()
    assert headers.get("error") == (reasons[0] if reasons else None)
