"""Corrections: rejected messages as trips that pass the flow's rules and count once."""

from dataclasses import dataclass

from mobility.rejected_messages import RejectedMessage
from mobility.settings import Settings
from mobility.trips import read_trip
from mobility.validation import IN_FUTURE, Rejection, TripRules, validate
from mobility.values import ValueFormat


@dataclass(frozen=True, slots=True)
class Correction:
    """A valid trip in the place of a rejected message, as it is sent to `trips_stream`.

    `has_trip_id` says whether the trip had a `trip_id` before one was added.
    """

    message: RejectedMessage
    key: bytes
    value: bytes
    event_time: int
    window_start: int
    has_trip_id: bool


def make_correction(
    message: RejectedMessage,
    corrected: bytes | None,
    form: ValueFormat,
    settings: Settings,
    now: int,
) -> Correction:
    """Return the correction of a rejected message; `now` is in epoch ms.

    `corrected` is the trip in plain JSON, None where that in the message itself, by its `form`, is
    right. The key is the driver's id, else the trip's, as the producer has it. A trip without a
    `trip_id` is given one made of the message's source position, so that a second replay is a
    duplicate. Raises Rejection where the flow would reject the trip.
    """
    rules = TripRules.of(settings)
    if corrected is None:
        value, trip = read_trip(message.value, rules, form)
    else:
        value, trip = corrected, validate(corrected, rules)
    event_time, trip_id = trip["event_time"], trip["trip_id"]
    ahead = event_time - now
    if ahead > settings.future_tolerance * 1_000:
        raise Rejection(IN_FUTURE, f"event time is {ahead // 1_000} s from now")
    if trip_id is None:
        trip_id = derived_trip_id(message)
        value = _with_trip_id(value, trip_id)
        if message.reason is not None:  # a late trip is not sent again
            validate(value, rules)
    return Correction(
        message=message,
        key=(trip["driver_id"] or trip_id).encode(),
        value=value,
        event_time=event_time,
        window_start=event_time // settings.window_ms * settings.window_ms,
        has_trip_id=trip["trip_id"] is not None,
    )


def derived_trip_id(message: RejectedMessage) -> str:
    """Return the `trip_id` for a trip that has none: the source position of its message."""
    return f"{message.topic}/{message.position.partition}/{message.position.offset}"


def _with_trip_id(value: bytes, trip_id: str) -> bytes:
    # At the front, as of equal keys the first counts: a later `"trip_id":null` does not. The rest
    # stays as it was written. Topic names need no JSON escapes. A comma follows, as a valid trip
    # has other fields.
    head, rest = value.split(b"{", 1)
    return head + b'{"trip_id":"' + trip_id.encode() + b'",' + rest
