"""Event times of a batch: punctuations are found, and times in the future are rejected."""

import json
from collections.abc import Sequence

import polars as pl
import pytest

from mobility.event_time import (
    PUNCTUATION_SCHEMA,
    Headers,
    TimedBatch,
    apply_time_rules,
    event_time_of,
)
from mobility.trips import REJECTED_SCHEMA, TRIP_SCHEMA, Decoded, decode_trips
from mobility.validation import TripRules
from tests.strategies import MINUTE, NOON

TOLERANCE = 5 * MINUTE


def trip(time: int) -> bytes:
    """Return a trip's message."""
    return json.dumps(
        {"start_time": time, "duration_min": 1, "distance_km": 1, "price": 1}
    ).encode()


def punctuation(time: int) -> Headers:
    """Return the headers of a punctuation."""
    return [("watermark", b"%d" % time)]


def timed(
    values: Sequence[bytes | None],
    headers: Sequence[Headers | None] | None = None,
    append_times: Sequence[int] | None = None,
) -> TimedBatch:
    """Apply the rules to messages, by default without headers and appended at noon."""
    every_header: Sequence[Headers | None] = headers or [None] * len(values)
    every_stamp = append_times or [NOON] * len(values)
    decoded = decode_trips(values, TripRules())
    return apply_time_rules(decoded, every_header.__getitem__, lambda: every_stamp, TOLERANCE)


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        (None, None),
        ([], None),
        ([("watermark", b"soon")], None),
        ([("watermark", b"")], None),
        ([("watermark", b"1.5")], None),
        ([("watermark", b"1" * 16)], None),
        ([("watermark", None)], None),
        ([("watermark", "5")], None),
        ([("water", b"1")], None),
        ([("watermark", b"-5")], -5),
        ([("x", b"y"), ("watermark", b"17")], 17),
        ([("watermark", b"1"), ("watermark", b"2")], 2),
    ],
)
def test_a_punctuation_announces_epoch_milliseconds(
    headers: Headers | None, expected: int | None
) -> None:
    """In decimal digits; other headers are not those of a punctuation."""
    assert event_time_of(headers) == expected


def test_punctuations_are_not_rejected() -> None:
    """Only messages without a value can be punctuations."""
    found = timed(
        [trip(NOON), None, None, b"{", trip(NOON + 1)],
        [None, punctuation(NOON + 2), None, punctuation(NOON + 3), punctuation(NOON + 4)],
    )
    assert found.trips["row"].to_list() == [0, 4]
    assert found.punctuations.rows() == [(1, NOON + 2)]
    assert found.rejected.select("row", "error").rows() == [(2, "tombstone"), (3, "not_json")]


def test_times_beyond_the_tolerance_are_rejected() -> None:
    """Trips and punctuations, each by its own append time; the rows stay in order."""
    far = NOON + TOLERANCE + 1
    found = timed(
        [trip(far), None, b"{", trip(far), None, trip(far - 1)],
        [None, punctuation(far), None, None, punctuation(far), None],
        [NOON, NOON, NOON, NOON + 1, NOON + 1, NOON + 1],
    )
    assert found.trips["row"].to_list() == [3, 5]
    assert found.punctuations.rows() == [(4, far)]
    assert found.rejected.rows() == [
        (0, "in_future", "event time is 300 s after the timestamp of the message"),
        (1, "in_future", "event time is 300 s after the timestamp of the message"),
        (2, "not_json", found.rejected["detail"][2]),
    ]


def test_trips_in_several_chunks_are_rejected() -> None:
    """A batch is decoded in chunks, some of which have no trip in the future."""
    far = NOON + TOLERANCE + 1
    batches = [decode_trips([trip(time)], TripRules()) for time in (far, NOON, far)]
    trips = pl.concat([each.trips for each in batches], rechunk=False)
    rows = trips.with_columns(row=pl.Series([0, 1, 2]))
    decoded = Decoded(rows, batches[0].rejected, ())
    found = apply_time_rules(decoded, lambda _: None, lambda: [NOON] * 3, TOLERANCE)
    assert found.trips["row"].to_list() == [1]
    assert found.rejected.select("row", "error").rows() == [(0, "in_future"), (2, "in_future")]


def test_schemas_are_always_the_same() -> None:
    """For an empty batch, one without punctuations, and one with times in the future."""
    for values in ([], [trip(NOON)], [trip(NOON + 60 * MINUTE), None]):
        found = timed(values)
        assert found.trips.schema == TRIP_SCHEMA
        assert found.punctuations.schema == PUNCTUATION_SCHEMA
        assert found.rejected.schema == REJECTED_SCHEMA


def test_what_is_in_the_future_does_not_depend_on_the_batch() -> None:
    """Timestamps need not ascend: producers set them, or a new leader's clock is behind."""
    stamps = [NOON + 60 * MINUTE, NOON, NOON + 60 * MINUTE, NOON - MINUTE]
    far = NOON + TOLERANCE + 1
    values = [trip(far), trip(far), None, None]
    headers = [None, None, punctuation(far), punctuation(far)]
    assert timed(values, headers, stamps).rejected["row"].to_list() == [1, 3]
    for row, (value, marks, stamp) in enumerate(zip(values, headers, stamps, strict=True)):
        assert timed([value], [marks], [stamp]).rejected.height == row % 2
