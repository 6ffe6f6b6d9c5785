"""What the tests draw from: messages of every kind, logs, and ways to read them.

The profile `fast` is for every day; HYPOTHESIS_PROFILE=thorough looks longer.
"""

import itertools
import json
import math
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone
from typing import Any, Final, TypeVar

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

from tests.ids import ids
from tests.odd import Oddity, spoilt, written_oddly

T = TypeVar("T")

# Examples are whole batches and logs, so a few say much; two busy cores make times meaningless.
_SLOW_IS_FINE: Final = (HealthCheck.too_slow, HealthCheck.data_too_large)
settings.register_profile(
    "fast", max_examples=40, deadline=None, suppress_health_check=_SLOW_IS_FINE
)
settings.register_profile(
    "thorough", max_examples=1_000, deadline=None, suppress_health_check=_SLOW_IS_FINE
)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "fast"))

NOON: Final = 1_735_732_800_000
"""2025-01-01T12:00:00Z in epoch ms: a window's start, whatever its length may be."""

MINUTE: Final = 60_000

amounts = (
    st.floats(0, 1e9, allow_subnormal=False)
    | st.integers(0, 10**9)
    | st.sampled_from((0.5e-6, 1.5e-6, 2.5e-6, -0.0, 1e9))
)
"""Durations, distances and prices that are allowed, halves of a micro-unit among them."""

instants = st.integers(NOON - 600 * MINUTE, NOON + 600 * MINUTE)
"""Epoch ms of the days around NOON."""

_plain_values = st.none() | st.booleans() | st.integers() | st.text(max_size=8)
_json_values = (
    _plain_values
    | st.lists(_plain_values | st.lists(_plain_values, max_size=2), max_size=3)
    | st.dictionaries(st.sampled_from(("x", "trip_id", "price", "start_time")), _plain_values)
)


_zones = st.integers(-23 * 60, 23 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes)))

_TIME_FORMS: Final[tuple[Callable[[int, datetime, timezone], str | float], ...]] = (
    lambda ms, _time, _zone: ms,
    lambda ms, _time, _zone: ms + 0.75,
    lambda _ms, time, _zone: f"{time:%Y-%m-%dT%H:%M:%SZ}",
    lambda _ms, time, _zone: f"{time:%Y-%m-%dT%H:%M:%S}",
    lambda _ms, time, _zone: f"{time:%Y-%m-%d %H:%M:%S}",
    lambda _ms, time, _zone: f"{time:%Y-%m-%dT%H:%M}",
    lambda ms, time, _zone: f"{time:%Y-%m-%dT%H:%M:%S}.{ms % 1_000:03}Z",
    lambda ms, time, _zone: f"{time:%Y-%m-%dT%H:%M:%S}.{ms % 10}",
    lambda ms, time, _zone: f"{time:%Y-%m-%dT%H:%M:%S}.{ms % 1_000_000:06}+00:00",
    lambda _ms, time, zone: time.astimezone(zone).isoformat(),
    lambda _ms, time, zone: time.astimezone(zone).isoformat(" ", "microseconds"),
    lambda ms, time, _zone: f"{time:%Y-%m-%dT%H:%M:%S}.{ms % 1_000:03}1234Z",
    lambda ms, time, _zone: f"{time:%Y-%m-%dT%H:%M:%S}.{ms % 1_000:03}999999+00",
    lambda ms, time, zone: (
        f"{time.astimezone(zone):%Y-%m-%dT%H:%M:%S}.{ms % 1_000:03}{time.astimezone(zone):%z}"
    ),
    lambda _ms, time, zone: f"{time.astimezone(zone):%Y-%m-%d %H:%M:%S %z}",
    lambda ms, time, zone: (
        f"{time.astimezone(zone):%Y-%m-%dT%H%M%S},{ms % 100}{time.astimezone(zone):%z}"
    ),
    lambda _ms, time, zone: f"{time.astimezone(zone):%Y-%m-%dT%H:%M%z}",
    lambda _ms, time, _zone: f"{time:%Y-%m-%dT%H}Z",
    lambda _ms, time, _zone: f"{time:%Y-%m-%dT%H:%M:%S}-00:53:28",
)

# Strategies are made once: to make and check one in each draw takes longer than to draw from it.
_time_forms = st.sampled_from(_TIME_FORMS)


@st.composite
def _times(draw: st.DrawFn) -> str | float:
    ms = draw(instants)
    time = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=ms)
    return draw(_time_forms)(ms, time, draw(_zones))


times = _times()
"""Times that are allowed: ISO 8601 of every form, or epoch ms."""

trips: st.SearchStrategy[dict[str, Any]] = st.fixed_dictionaries(
    {"start_time": times, "duration_min": amounts},
    optional={
        "distance_km": st.none() | amounts,
        "price": st.none() | amounts,
        "trip_id": st.none() | ids | st.just("") | st.just("tab\tid"),
        "driver_id": st.none() | ids,
        "passenger_id": st.none() | ids,
        "vehicle_type": st.none() | st.sampled_from(("car", "bike")) | ids,
        "start_location_id": st.none() | ids | st.integers(-(10**18), 10**18),
        "end_location_id": st.none() | ids | st.integers(-(10**25), 10**25),
        "start_lat": st.none() | st.floats(-90, 90) | st.integers(-90, 90),
        "start_lng": st.none() | st.floats(-180, 180) | st.integers(-180, 180),
        "end_lat": st.none() | st.floats(-90, 90),
        "end_lng": st.none() | st.floats(-180, 180),
        "end_time": st.none() | times,
        "note": _json_values,
    },
)
"""Trips that are allowed, with some of the optional and of unknown fields."""

_pads = st.sampled_from(("", "", " ", "\n", "\r\n\t"))
_colons = st.sampled_from((":", " : "))
_booleans = st.booleans()


@st.composite
def written(draw: st.DrawFn, pairs: list[tuple[str, Any]]) -> bytes:
    """Draw a way to write an object: order, blanks, line ends and escapes are free in JSON."""
    pad, colon, ascii_only = draw(_pads), draw(_colons), draw(_booleans)
    members = (
        f"{pad}{json.dumps(key)}{colon}{json.dumps(value, ensure_ascii=ascii_only)}"
        for key, value in draw(st.permutations(pairs))
    )
    # Half a surrogate pair can be escaped, or be bytes that are not UTF-8.
    return f"{{{','.join(members)}{pad}}}{pad}".encode(errors="surrogatepass")


@st.composite
def _good_messages(draw: st.DrawFn) -> bytes:
    return draw(written(list(draw(trips).items())))


good_messages = _good_messages()
"""Messages that hold a trip."""


_WRONG: Final[dict[str, st.SearchStrategy[Any]]] = {
    "start_time": st.sampled_from(
        ("", "yesterday", "2025-13-01T00:00:00Z", "2025-02-30T00:00:00", "2025-01-01", "12:00:00")
    )
    | st.sampled_from(("1735732800000", "2025-01-01T00:00:00+25:00", "0000-01-01T00:00:00Z"))
    | st.sampled_from(("2025-01-01T12:00zZ", "2025-01-01T12.5Z", "2025-01-01T12:3456", "1.5"))
    | st.sampled_from(("2025-01-01T12:00:00Z\n", "2025-01-01T24:00:00Z", "2025-01-01T12:00:00.Z"))
    | st.sampled_from(("0000-12-31T23:30:00-01:00", "9999-12-31T23:30:00-01:00"))
    | st.sampled_from(("2025-01-01T12:00:00+05:3015", "2025-01-01T12:00:00.5 +0000 UTC"))
    | st.sampled_from((True, [], {}, math.nan, math.inf, 10**15, -(10**15))),
    "end_time": st.sampled_from(("soon", "2025-01-01T99:00:00Z", False, ["x"], math.nan, 1e300)),
    "duration_min": st.sampled_from(
        (None, "5", True, [], {}, -1, -1e-9, 1.1e9, math.nan, math.inf, -math.inf, 10**400)
    ),
    "distance_km": st.sampled_from(("2", True, [1.5], {}, -0.5, 1e300, math.nan, 10**400)),
    "price": st.sampled_from((None, "", False, [1], {"price": 1}, -0.01, 10**9 + 1, math.nan)),
    "trip_id": st.sampled_from((5, 1.5, True, ["x\ny"], {"a": "x\ny"}, "\ud800")),
    "driver_id": st.sampled_from(
        (
            "",
            "a" * 129,
            "a\tb",
            "a\x7fb",
            "a\x85b",
            "\ufdd0",
            "\U0010ffff",
            "\udc00",
            7,
            -7.5,
            False,
            [],
            {},
        )
    ),
    "passenger_id": st.sampled_from(("é" * 129, "\x00", "line\nfeed", 10**30)),
    "start_location_id": st.sampled_from(("", "b" * 129, "a\rb", True, [1], {"id": 1}, 0.5)),
    "start_lat": st.sampled_from((90.001, -91, "1", True, math.nan, math.inf, [])),
    "end_lng": st.sampled_from((180.5, -1e300, "x", {}, 10**400)),
}


_fields = st.sampled_from(sorted(_WRONG))
_required = st.sampled_from(("start_time", "duration_min"))


@st.composite
def _wrong_fields(draw: st.DrawFn) -> bytes:
    field = draw(_fields)
    return draw(written(list((draw(trips) | {field: draw(_WRONG[field])}).items())))


@st.composite
def _fields_that_stand_twice(draw: st.DrawFn) -> bytes:
    field = draw(_fields)
    other = draw(_WRONG[field]) if draw(_booleans) else draw(trips).get(field)
    return draw(written([*draw(trips).items(), (field, other)]))


@st.composite
def _missing_fields(draw: st.DrawFn) -> bytes:
    trip = draw(trips)
    del trip[draw(_required)]
    return draw(written(list(trip.items())))


_no_objects = st.sampled_from(
    (None, b"", b" ", b"\n", b"\r\n", b"null", b"5", b"true", b'"x"', b"[]", b"{}", b"NaN", b"\xff")
)


@st.composite
def _changed(draw: st.DrawFn, oddities: st.SearchStrategy[Oddity]) -> bytes:
    return draw(oddities)(draw(good_messages))


odd_messages = _changed(written_oddly)
"""Messages that are written, or made, unlike most."""

poison = (
    _no_objects
    | _wrong_fields()
    | _fields_that_stand_twice()
    | _missing_fields()
    | _changed(spoilt)
)
"""Messages that something is wrong with; a few of the spoilt ones may still be trips."""

messages: st.SearchStrategy[bytes | None] = good_messages | good_messages | odd_messages | poison


@dataclass(frozen=True, slots=True)
class Entry:
    """What stands at one offset of a log: a trip of `driver` and `vehicle`, or a punctuation."""

    time: int
    trip_id: str | None = None
    driver: str | None = None
    vehicle: str | None = None
    micro: int = 0  # duration, distance and price, in micro-units
    punctuation: bool = False

    @property
    def value(self) -> bytes | None:
        """The message."""
        if self.punctuation:
            return None
        units = self.micro / 1_000_000
        fields = {"start_time": self.time, "duration_min": units, "distance_km": units}
        ids_ = {"trip_id": self.trip_id, "driver_id": self.driver, "vehicle_type": self.vehicle}
        return json.dumps(fields | ids_ | {"price": units}).encode()


_leaps = st.sampled_from((0, 1, MINUTE // 2, MINUTE, 6 * MINUTE))
_kinds = st.integers(0, 9)
_steps_back = st.sampled_from((0, 0, 1, 20_000, 4 * MINUTE, 11 * MINUTE, 20 * MINUTE))
_trip_ids = st.none() | st.sampled_from(("t1", "t2", "t3", "t4"))
_drivers = st.none() | st.sampled_from(("d1", "d2", "d3"))
_vehicles = st.none() | st.sampled_from(("car", "bike"))
_micros = st.integers(0, 10**9)


@st.composite
def partitions(draw: st.DrawFn, longest: int = 30) -> list[Entry]:
    """Draw one partition: event time goes on in leaps, in disorder, with repeats and late trips."""
    entries: list[Entry] = []
    now = NOON
    for _ in range(draw(st.integers(0, longest))):
        now += draw(_leaps)
        kind = draw(_kinds)
        if kind == 0:
            entries.append(Entry(now, punctuation=True))
        elif kind == 1 and any(not entry.punctuation for entry in entries):
            entries.append(draw(st.sampled_from([e for e in entries if not e.punctuation])))
        else:
            time = now - draw(_steps_back)
            fields = draw(_trip_ids), draw(_drivers), draw(_vehicles), draw(_micros)
            entries.append(Entry(time, *fields))
    return entries


def logs(most: int = 4, longest: int = 30) -> st.SearchStrategy[list[list[Entry]]]:
    """Return logs of up to `most` partitions."""
    return st.lists(partitions(longest), min_size=1, max_size=most)


@st.composite
def batches(draw: st.DrawFn, items: Sequence[T]) -> list[list[T]]:
    """Draw a way to cut a sequence into batches, empty ones among them."""
    cuts = sorted(draw(st.lists(st.integers(0, len(items)), max_size=5)))
    bounds = [0, *cuts, len(items)]
    return [list(items[a:b]) for a, b in itertools.pairwise(bounds)]


@st.composite
def interleaved(draw: st.DrawFn, lanes: Sequence[Sequence[T]]) -> list[tuple[int, T]]:
    """Draw an order in which lanes are read, each in its own order: (lane, item)."""
    turns = draw(st.permutations([i for i, lane in enumerate(lanes) for _ in lane]))
    left = [iter(lane) for lane in lanes]
    return [(lane, next(left[lane])) for lane in turns]


shard_counts = st.integers(1, 5)
