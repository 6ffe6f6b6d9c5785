"""Event times of a batch: punctuations are found, and nothing from the future is taken."""

import json
from collections.abc import Sequence

import pytest

from mobility.event_time import (
    PUNCTUATION_SCHEMA,
    Headers,
    TimedBatch,
    apply_time_rules,
    event_time_of,
)
from mobility.trips import REJECTED_SCHEMA, TRIP_SCHEMA, decode_trips
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
    """Apply the rules to messages, without headers and appended at noon if nothing else is said."""
    every_header: Sequence[Headers | None] = headers or [None] * len(values)
    every_stamp = append_times or [NOON] * len(values)
    decoded = decode_trips(values, TripRules())
    return apply_time_rules(decoded, every_header.__getitem__, every_stamp.__getitem__, TOLERANCE)


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
    """In decimal digits; any other header is none of a punctuation."""
    assert event_time_of(headers) == expected


def test_punctuations_are_taken_out_of_the_rejected() -> None:
    """Only from messages without a value: another one with that header is what its value is."""
    found = timed(
        [trip(NOON), None, None, b"{", trip(NOON + 1)],
        [None, punctuation(NOON + 2), None, punctuation(NOON + 3), punctuation(NOON + 4)],
    )
    assert found.trips["row"].to_list() == [0, 4]
    assert found.punctuations.rows() == [(1, NOON + 2)]
    assert found.rejected.select("row", "error").rows() == [(2, "tombstone"), (3, "not_json")]


def test_what_lies_beyond_the_tolerance_is_rejected() -> None:
    """Trips and punctuations alike, each by its own append time; the rows stay in order."""
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


def test_schemas_are_the_same_whatever_is_found() -> None:
    """Of an empty batch, of one without punctuations, of one from the future."""
    for values in ([], [trip(NOON)], [trip(NOON + 60 * MINUTE), None]):
        found = timed(values)
        assert found.trips.schema == TRIP_SCHEMA
        assert found.punctuations.schema == PUNCTUATION_SCHEMA
        assert found.rejected.schema == REJECTED_SCHEMA


def test_no_stamp_is_read_where_the_first_clears_the_batch() -> None:
    """Stamps rise in a partition: an event time before the first is before all."""
    decoded = decode_trips([trip(NOON), trip(NOON)], TripRules())
    asked: list[int] = []

    def append_time(row: int) -> int:
        asked.append(row)
        return NOON

    apply_time_rules(decoded, lambda _row: None, append_time, TOLERANCE)
    assert asked == [0]
