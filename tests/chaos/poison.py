"""Every kind of message that is not a trip, made of one that is, with the reason it must get."""

import json
import random
import time
from collections.abc import Callable
from typing import Any, Final

Trip = dict[str, Any]
Make = Callable[[Trip, random.Random], bytes | None]

_HOUR: Final = 3_600_000
_REQUIRED: Final = ("start_time", "duration_min", "distance_km", "price")
_AMOUNTS: Final = _REQUIRED[1:]
_IDS: Final = ("driver_id", "passenger_id")
_WRONG: Final = (True, "5", [1], {"a": 1})
_NO_TIMES: Final = ("yesterday", "2025-13-01T00:00:00Z", "2025-02-30T00:00:00Z", "", "12:00")
_NO_TEXT: Final = ("a\tb", "line\nfeed", "a\x7fb", "\x00", "\ufffe", "\ud800")


def _text(trip: Trip) -> bytes:
    return json.dumps(trip).encode()


def _replaced(fields: tuple[str, ...], values: tuple[object, ...]) -> Make:
    return lambda trip, draw: _text(trip | {draw.choice(fields): draw.choice(values)})


def _without(trip: Trip, draw: random.Random) -> bytes:
    field = draw.choice(_REQUIRED)
    rest = {name: value for name, value in trip.items() if name != field}
    return _text(draw.choice((rest, trip | {field: None})))


def _not_utf8(trip: Trip, draw: random.Random) -> bytes:
    good = _text(trip)
    at = draw.randrange(len(good))
    return good[:at] + draw.choice((b"\xff", b"\xc0\x80", b"\xed\xa0\x80")) + good[at:]


def _cut(trip: Trip, draw: random.Random) -> bytes:
    good = _text(trip)
    return draw.choice((b"", good[: draw.randrange(len(good))], good + good, good + b"}"))


def _no_object(trip: Trip, draw: random.Random) -> bytes:
    return draw.choice((b"[" + _text(trip) + b"]", b"5", b"null", b'"trip"', b"true"))


def _in_future(trip: Trip, draw: random.Random) -> bytes:
    ahead = draw.randrange(_HOUR, 48 * _HOUR)
    return _text(trip | {"start_time": round(time.time() * 1_000) + ahead})


KINDS: Final[dict[str, tuple[str, Make]]] = {
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
"""By what is wrong with it: the reason, and how such a message is made of a good trip."""
