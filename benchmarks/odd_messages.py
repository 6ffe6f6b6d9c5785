"""Messages in unusual forms, each made of a trip of the workload."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, Literal

import polars as pl

from benchmarks.workload import Workload, make_trips
from mobility.times import iso_text

Trip = dict[str, Any]
Make = Callable[[Trip], bytes]

_POINTS: Final = 1_000


def records(rows: int) -> list[Trip]:
    """Return trips of the workload, their start as ISO 8601 text in UTC."""
    frame = make_trips(Workload(rows)).with_columns(iso_text(pl.col("start_time").dt.epoch("ms")))
    return frame.to_dicts()


def plain(trip: Trip) -> bytes:
    """Return the message of a trip as the producer writes it."""
    return json.dumps(trip, separators=(",", ":")).encode()


@dataclass(frozen=True, slots=True)
class Kind:
    """A form of messages: how to make one, and the message that its cost is compared with.

    `target`: the kind has a limit of its own, one that it shares with others, or none, because
    there is more to parse, or because nobody writes such messages and each is validated by itself.
    """

    name: str
    make: Make
    target: Literal["own", "shared", "none"] = "shared"
    is_trip: bool = True
    ordinary: Make = plain


def _field(**fields: object) -> Make:
    return lambda trip: plain(trip | fields)


def _raw(member: str) -> Make:
    """Insert a member at the front: of equal keys the first one counts."""
    return lambda trip: b"{" + member.encode() + b"," + plain(trip)[1:]


def _start(form: str, **parts: str) -> Make:
    """Format the start: `{day}`, `{minute}` and `{second}` are times up to there, `{ms}` digits."""

    def make(trip: Trip) -> bytes:
        day, clock = trip["start_time"].rstrip("Z").split("T")
        second, _, ms = clock.partition(".")
        start = form.format(day=day, minute=second[:5], second=second, ms=ms or "000", **parts)
        return plain(trip | {"start_time": start})

    return make


def _number_start(trip: Trip) -> bytes:
    return plain(trip | {"start_time": 1_748_822_400_000.5 + int(trip["trip_id"])})


def _utf8(**fields: object) -> Make:
    return lambda trip: json.dumps(
        trip | fields, separators=(",", ":"), ensure_ascii=False
    ).encode()


_PAYMENT: Final = {"method": "card", "tip": 1.5, "lines": [1, 2]}
_TRACE: Final = [[40.7, -74.0]] * _POINTS

_OTHERS: Final = {f"f{number}": number for number in range(40)}

KINDS: Final = (
    Kind("a nested object", _field(payment=_PAYMENT), target="own"),
    Kind("a nested array", _field(tags=["a", "b"]), target="own"),
    Kind("20 levels", _raw(f'"x":{"[" * 20}{"]" * 20}'), target="none"),
    Kind(
        f"a trace of {_POINTS:,} points",
        _field(trace=_TRACE),
        target="none",
        ordinary=_field(trace=[degrees for point in _TRACE for degrees in point]),
    ),
    Kind("brackets in a string", _field(note="[{[{")),
    Kind("7 digits (.NET)", _start("{day}T{second}.{ms}1234Z"), target="own"),
    Kind("9 digits (Go, Java)", _start("{day}T{second}.{ms}123456Z"), target="own"),
    Kind("+0000 (Jackson)", _start("{day}T{second}.{ms}+0000"), target="own"),
    Kind("+02:00", _start("{day}T{second}.{ms}+02:00")),
    Kind("a blank for T (Python, Spark)", _start("{day} {second}.{ms}"), target="own"),
    Kind("a blank, then +0000 (Ruby)", _start("{day} {second} +0000")),
    Kind("no seconds", _start("{day}T{minute}Z"), target="own"),
    Kind("epoch ms with a fraction", _number_start),
    Kind("a line feed at the end", lambda trip: plain(trip) + b"\n", target="own"),
    Kind("CRLF at the end", lambda trip: plain(trip) + b"\r\n"),
    Kind("pretty-printed", lambda trip: json.dumps(trip, indent=2).encode(), target="own"),
    Kind("blanks around colons", lambda trip: json.dumps(trip, separators=(", ", " : ")).encode()),
    Kind("an escaped quote in an id", _field(driver_id='d"1')),
    Kind(r"\u00e9 in an id", _field(driver_id="dé")),
    Kind("an escaped emoji in an id", _field(driver_id="d🚕")),
    Kind("é in an id", _utf8(driver_id="dé")),
    Kind("a joiner in an id", _utf8(driver_id="\u0639\u200c\u0631")),
    Kind("é in another field", _utf8(note="dé")),
    Kind("half an emoji in another field", _raw(r'"note":"taxi \ud83d"'), target="none"),
    Kind("equal keys", _raw('"driver_id":"7"')),
    Kind("40 other fields", _field(**{f"f{n}": n for n in range(40)}), target="none"),
    Kind("another id that is a number", _field(user_id=5, payment_type=1)),
    Kind("ids of digits", lambda trip: plain(trip | {"driver_id": trip["driver_id"][1:]})),
    Kind("a location beyond 2^63", _field(start_location_id=2**63)),
    Kind("a location beyond 2^64", _field(start_location_id=2**64), target="none"),
    Kind("1e1 as a price", _raw('"price":1e1')),
    Kind("a number beyond doubles", _raw('"x":1e400'), target="none"),
    Kind("no value", lambda _trip: b"", is_trip=False),
    Kind("cut off", lambda trip: plain(trip)[:-9], is_trip=False),
    Kind("two objects", lambda trip: plain(trip) * 2, is_trip=False),
    Kind("an array", lambda trip: b"[" + plain(trip) + b"]", is_trip=False),
    Kind("not UTF-8", lambda trip: plain(trip).replace(b"d", b"\xff", 1), is_trip=False),
    Kind("a byte order mark", lambda trip: b"\xef\xbb\xbf" + plain(trip), is_trip=False),
    Kind("NaN", _field(price=float("nan")), is_trip=False),
    Kind("a price as text", _field(price="12"), is_trip=False),
    Kind("an id that is a number", _field(driver_id=7), is_trip=False),
    Kind("a control in an id", _field(driver_id="a\tb"), is_trip=False),
    Kind("no time", _field(start_time="yesterday"), is_trip=False),
    Kind("2,000 levels", _raw(f'"x":{"[" * 2_000}{"]" * 2_000}'), target="none", is_trip=False),
)
