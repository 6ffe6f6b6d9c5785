"""Every kind of poison message, made from a valid trip, with its dead-letter reason."""

import json
import random
import time
from collections.abc import Callable
from typing import Any, Final

Trip = dict[str, Any]
Make = Callable[[Trip, random.Random], bytes | None]

_HOUR: Final = 3_600_000
_REQUIRED: Final = ("start_time", "duration_min")
_AMOUNTS: Final = ("duration_min", "distance_km", "price")
_IDS: Final = ("driver_id", "passenger_id")
_WRONG: Final = (True, "5", [1], {"a": 1})
_NO_TIMES: Final = ("yesterday", "2025-13-01T00:00:00Z", "2025-02-30T00:00:00Z", "", "12:00")
_NO_TEXT: Final = ("a\tb", "line\nfeed", "a\x7fb", "\x00", "\ufffe", "\ud800")


def _text(trip: Trip) -> bytes:
    return json.dumps(trip).encode()


def _replaced(fields: tuple[str, ...], values: tuple[object, ...]) -> Make:
    return lambda trip, rng: _text(trip | {rng.choice(fields): rng.choice(values)})


def _without(trip: Trip, rng: random.Random) -> bytes:
    field = rng.choice(_REQUIRED)
    rest = {name: value for name, value in trip.items() if name != field}
    return _text(rng.choice((rest, trip | {field: None})))


def _not_utf8(trip: Trip, rng: random.Random) -> bytes:
    good = _text(trip)
    at = rng.randrange(len(good))
    return good[:at] + rng.choice((b"\xff", b"\xc0\x80", b"\xed\xa0\x80")) + good[at:]


def _cut(trip: Trip, rng: random.Random) -> bytes:
    good = _text(trip)
    return rng.choice((b"", good[: rng.randrange(len(good))], good + good, good + b"}"))


def _no_object(trip: Trip, rng: random.Random) -> bytes:
    return rng.choice((b"[" + _text(trip) + b"]", b"5", b"null", b'"trip"', b"true"))


def _in_future(trip: Trip, rng: random.Random) -> bytes:
    ahead = rng.randrange(_HOUR, 48 * _HOUR)
    return _text(trip | {"start_time": round(time.time() * 1_000) + ahead})


POISON_KINDS: Final[dict[str, tuple[str, Make]]] = {
    "not UTF-8": ("not_utf8", _not_utf8),
    "not JSON": ("not_json", _cut),
    "not an object": ("not_object", _no_object),
    "a tombstone": ("tombstone", lambda _trip, _draw: None),
    "a missing field": ("missing_field", _without),
    "a wrong-typed amount": ("wrong_type", _replaced(_AMOUNTS, _WRONG)),
    "a wrong-typed id": ("wrong_type", _replaced(_IDS, (7, False, [], {}))),
    "NaN": ("not_finite", _replaced(_AMOUNTS, (float("nan"),))),
    "infinity": ("not_finite", _replaced(_AMOUNTS, (float("inf"), float("-inf")))),
    "a negative amount": ("negative", _replaced(_AMOUNTS, (-1, -0.01, -1e-9))),
    "an absurd amount": ("too_large", _replaced(_AMOUNTS, (1.1e9, 10**300))),
    "an unparseable time": ("bad_time", _replaced(("start_time",), _NO_TIMES)),
    "a future time": ("in_future", _in_future),
    "a long id": ("bad_id", _replaced(_IDS, ("a" * 129, "é" * 200))),
    "an id with controls": ("bad_id", _replaced(_IDS, _NO_TEXT)),
    "no place on earth": ("bad_coordinates", _replaced(("start_lat", "end_lat"), (90.1, -91))),
}
"""By description: the dead-letter reason, and a function that makes the message from a trip."""
