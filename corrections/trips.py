"""Letters as trips that will count: checked by the rules, and recognisable when they come again."""

from dataclasses import dataclass

from corrections.letters import Letter
from mobility.settings import Settings
from mobility.validation import Rejection, TripRules, validate


@dataclass(frozen=True, slots=True)
class Correction:
    """A trip that makes a letter good, as its message will stand in `trips_stream`.

    `recognisable` says that the original had a `trip_id` of its own.
    """

    letter: Letter
    key: bytes
    value: bytes
    event_time: int
    window_start: int
    recognisable: bool


def correct(letter: Letter, value: bytes | None, settings: Settings, now: int) -> Correction:
    """Return the correction of a letter by a message; `now` is in epoch ms.

    The key is the producer's: the driver's id, else the trip's. A trip without a `trip_id` gets
    one made of the letter's position, so that a second replay of it is a repeat. Raises Rejection
    where the message would be dead again.
    """
    trip = validate(value, TripRules.of(settings))
    event_time, trip_id = trip["event_time"], trip["trip_id"]
    ahead = event_time - now
    if ahead > settings.future_tolerance * 1_000:
        raise Rejection("in_future", f"event time is {ahead // 1_000} s from now")  # noqa: EM101
    message = value or b""
    if trip_id is None:
        trip_id = derived_trip_id(letter)
        message = _with_trip_id(message, trip_id)
    return Correction(
        letter=letter,
        key=(trip["driver_id"] or trip_id).encode(),
        value=message,
        event_time=event_time,
        window_start=event_time // settings.window_ms * settings.window_ms,
        recognisable=trip["trip_id"] is not None,
    )


def derived_trip_id(letter: Letter) -> str:
    """Return the `trip_id` of a corrected trip that has none: where its letter came from."""
    return f"{letter.topic}/{letter.position.partition}/{letter.position.offset}"


def _with_trip_id(message: bytes, trip_id: str) -> bytes:
    # At the front, where it wins over a null; all else stays as it was written. The names of
    # topics need no escapes, and a trip has more fields.
    head, rest = message.split(b"{", 1)
    return head + b'{"trip_id":"' + trip_id.encode() + b'",' + rest
