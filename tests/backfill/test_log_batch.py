"""Messages of `trips_late` stand at their source positions."""

import pytest
from confluent_kafka import Message

from backfill.log_batch import late_batch, logged_batch
from tests.backfill.recounting import TOPIC, Headers, to_late, to_message


def test_a_late_trip_is_where_it_was_in_the_log() -> None:
    """With its value; the flow has compared its time with the clock already."""
    message = to_message(2, 7, b"{}")
    logged, late = logged_batch([message]), late_batch([to_late(message)], TOPIC)
    assert late.positions.rows() == logged.positions.rows() == [(2, 7)]
    assert late.values == logged.values == [b"{}"]
    assert late.timestamps() == logged.timestamps()


@pytest.mark.parametrize(
    "headers",
    [
        [],
        [("topic", b"another"), ("partition", b"0"), ("offset", b"1")],
        [("topic", TOPIC.encode()), ("partition", b"0")],
        [("topic", TOPIC.encode()), ("partition", b"-1"), ("offset", b"1")],
        [("topic", TOPIC.encode()), ("partition", b"0"), ("offset", b"1" * 40)],
        [("topic", TOPIC.encode()), ("partition", None), ("offset", b"\xff")],
    ],
)
def test_what_names_no_position_is_left_out(headers: Headers) -> None:
    """A message that somebody else has written, or of another log."""
    message = Message(topic="trips_late", value=b"{}", headers=headers)
    assert late_batch([message], TOPIC).positions.is_empty()
