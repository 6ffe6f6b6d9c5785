"""Letters become trips that count, or are refused."""

import json
from typing import Any

import pytest

from corrections.trips import correct
from mobility.settings import Settings
from mobility.validation import Rejection
from tests.corrections.test_lines import letter
from tests.strategies import MINUTE, NOON

SETTINGS = Settings()
GOOD: dict[str, Any] = {"start_time": NOON, "duration_min": 1, "distance_km": 2, "price": 3}


def message(**fields: object) -> bytes:
    """Return a trip with further fields."""
    return json.dumps(GOOD | fields).encode()


def test_a_trip_id_is_kept() -> None:
    """The message stays as it is, byte for byte; the key is the driver's."""
    value = b" " + message(trip_id="t", driver_id="d") + b"\n"
    made = correct(letter(b"{"), value, SETTINGS, NOON)
    assert (made.value, made.key, made.recognisable) == (value, b"d", True)
    assert correct(letter(b"{"), message(trip_id="t"), SETTINGS, NOON).key == b"t"


@pytest.mark.parametrize("value", [message(), b"\n" + message(trip_id=None, note="{")])
def test_a_trip_without_one_is_named_after_its_letter(value: bytes) -> None:
    """So a second replay is a repeat, and all else is as it was written."""
    made = correct(letter(b"{"), value, SETTINGS, NOON)
    assert (made.key, made.recognisable) == (b"t/2/17", False)
    assert made.value == value.replace(b"{", b'{"trip_id":"t/2/17",', 1)
    again = correct(letter(b"{"), made.value, SETTINGS, NOON)
    assert (again.value, again.key) == (made.value, made.key)


def test_its_window_is_found_by_the_settings() -> None:
    """Event time is what the settings say it is."""
    value = message(end_time=NOON + 12 * MINUTE)
    assert correct(letter(b"{"), value, SETTINGS, NOON).window_start == NOON
    by_end = correct(letter(b"{"), value, Settings(event_time="end"), NOON + 60 * MINUTE)
    assert (by_end.event_time, by_end.window_start) == (NOON + 12 * MINUTE, NOON + 10 * MINUTE)


@pytest.mark.parametrize(
    ("value", "reason"),
    [(None, "tombstone"), (b"{", "not_json"), (message(price=-1), "negative")],
)
def test_what_would_be_dead_again_is_refused(value: bytes | None, reason: str) -> None:
    """By the rules of the flow."""
    with pytest.raises(Rejection) as caught:
        correct(letter(b"{"), value, SETTINGS, NOON)
    assert caught.value.reason == reason


def test_what_lies_in_the_future_is_refused() -> None:
    """Until the clock has got there."""
    value, tolerance = message(start_time=NOON + 6 * MINUTE), 5 * MINUTE
    with pytest.raises(Rejection) as caught:
        correct(letter(b"{"), value, SETTINGS, NOON + MINUTE - 1)
    assert caught.value.reason == "in_future"
    assert correct(letter(b"{"), value, SETTINGS, NOON + 6 * MINUTE - tolerance).key
