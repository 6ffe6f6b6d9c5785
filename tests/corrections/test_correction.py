"""Rejected messages become trips that the flow counts, or are refused."""

import dataclasses
import json
from typing import Any

import pytest

from corrections.correction import make_correction
from mobility.settings import Settings
from mobility.validation import Rejection
from mobility.values import FORMATS, JSON
from tests.corrections.test_json_lines import rejected_message
from tests.strategies import MINUTE, NOON

SETTINGS = Settings()
GOOD: dict[str, Any] = {"start_time": NOON, "duration_min": 1, "distance_km": 2, "price": 3}


def message(**fields: object) -> bytes:
    """Return the message of a trip with other fields."""
    return json.dumps(GOOD | fields).encode()


def test_a_trip_id_is_kept() -> None:
    """The value stays as it is, byte for byte; the key is the driver's id, else the trip's."""
    value = b" " + message(trip_id="t", driver_id="d") + b"\n"
    made = make_correction(rejected_message(b"{"), value, JSON, SETTINGS, NOON)
    assert (made.value, made.key, made.has_trip_id) == (value, b"d", True)
    assert (
        make_correction(rejected_message(b"{"), message(trip_id="t"), JSON, SETTINGS, NOON).key
        == b"t"
    )


@pytest.mark.parametrize("value", [message(), b"\n" + message(trip_id=None, note="{")])
def test_a_trip_id_is_made_of_the_source_position(value: bytes) -> None:
    """A second replay is then a duplicate; everything else stays as it was written."""
    made = make_correction(rejected_message(b"{"), value, JSON, SETTINGS, NOON)
    assert (made.key, made.has_trip_id) == (b"t/2/17", False)
    assert made.value == value.replace(b"{", b'{"trip_id":"t/2/17",', 1)
    again = make_correction(rejected_message(b"{"), made.value, JSON, SETTINGS, NOON)
    assert (again.value, again.key) == (made.value, made.key)


def test_the_window_follows_from_the_settings() -> None:
    """By the start of the trip, or by its end."""
    value = message(end_time=NOON + 12 * MINUTE)
    assert make_correction(rejected_message(b"{"), value, JSON, SETTINGS, NOON).window_start == NOON
    by_end = make_correction(
        rejected_message(b"{"), value, JSON, Settings(event_time="end"), NOON + 60 * MINUTE
    )
    assert (by_end.event_time, by_end.window_start) == (NOON + 12 * MINUTE, NOON + 10 * MINUTE)


@pytest.mark.parametrize(("value", "reason"), [(b"{", "not_json"), (message(price=-1), "negative")])
def test_what_the_flow_would_reject_is_refused(value: bytes, reason: str) -> None:
    """With the reason that the flow would give, whether it is corrected or sent as it was."""
    for original, corrected in ((b"", value), (value, None)):
        with pytest.raises(Rejection) as caught:
            make_correction(rejected_message(original), corrected, JSON, SETTINGS, NOON)
        assert caught.value.reason == reason


def test_a_message_without_a_value_is_refused() -> None:
    """Unless it is corrected."""
    with pytest.raises(Rejection) as caught:
        make_correction(rejected_message(None), None, JSON, SETTINGS, NOON)
    assert caught.value.reason == "tombstone"
    assert make_correction(rejected_message(None), message(), JSON, SETTINGS, NOON).key == b"t/2/17"


def test_the_trip_in_an_envelope_is_taken_out_and_its_correction_is_plain() -> None:
    """A late trip goes to a backfill as it is there; what a person corrects is JSON already."""
    settings, form = Settings(value="connect-json"), FORMATS["connect-json"]
    late = rejected_message(b'{"schema":null,"payload":' + message(trip_id="t") + b"}")
    assert make_correction(late, None, form, settings, NOON).value == message(trip_id="t")
    corrected = message(trip_id="u")
    assert make_correction(late, corrected, form, settings, NOON).value == corrected


def test_an_event_time_in_the_future_is_refused() -> None:
    """Until the clock is within the tolerance of it."""
    value, tolerance = message(start_time=NOON + 6 * MINUTE), 5 * MINUTE
    with pytest.raises(Rejection) as caught:
        make_correction(rejected_message(b"{"), value, JSON, SETTINGS, NOON + MINUTE - 1)
    assert caught.value.reason == "in_future"
    assert make_correction(
        rejected_message(b"{"), value, JSON, SETTINGS, NOON + 6 * MINUTE - tolerance
    ).key


def test_a_trip_over_the_largest_message_size_is_refused() -> None:
    """The setting of the flow decides, below and above its default."""
    value = message(trip_id="t", note="x" * 1024 * 1024)
    small, large = Settings(max_message_bytes=100), Settings(max_message_bytes=2 * 1024 * 1024)
    for refused, settings in ((value, SETTINGS), (message(trip_id="t", note="x" * 100), small)):
        with pytest.raises(Rejection) as caught:
            make_correction(rejected_message(b"{"), refused, JSON, settings, NOON)
        assert caught.value.reason == "oversized"
    assert make_correction(rejected_message(b"{"), value, JSON, large, NOON).value == value


def test_the_trip_id_that_is_added_counts_for_the_size() -> None:
    """The flow checks the value that is sent; a late trip is not sent, so nothing is added."""
    value = message()
    settings = Settings(max_message_bytes=len(value))
    with pytest.raises(Rejection) as caught:
        make_correction(rejected_message(b"{"), value, JSON, settings, NOON)
    assert caught.value.reason == "oversized"
    late = dataclasses.replace(rejected_message(value), reason=None, detail=None)
    assert not make_correction(late, value, JSON, settings, NOON).has_trip_id
