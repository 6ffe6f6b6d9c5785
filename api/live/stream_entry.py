"""An entry of the stream of changes, and the events that it is sent as."""

import logging
from collections import defaultdict
from collections.abc import Container
from datetime import datetime
from functools import cached_property
from typing import Final, NamedTuple

import msgspec

from api.queries.time_range import known_time
from api.representation.responses import exact_units
from mobility.entities import Entity
from mobility.measures import MEANS, TOTALS
from mobility.records import MICRO

_log: Final = logging.getLogger(__name__)

_AVERAGED: Final = MEANS["avg_duration"]

HEARTBEAT: Final = b":\n\n"
"""A comment: it shows that the connection is open, and clients ignore it."""


class StreamId(NamedTuple):
    """The id of an entry: the time of Redis in ms, and a number. Later entries have greater ids."""

    ms: int
    number: int

    @classmethod
    def parse(cls, text: str) -> "StreamId":
        """Return the id in a text; raises ValueError.

        >>> StreamId.parse("1735689600000-2")
        StreamId(ms=1735689600000, number=2)
        """
        ms, _, number = text.partition("-")
        if not (ms.isdecimal() and number.isdecimal() and text.isascii()):
            msg = f"not the id of an event: {text!r}"
            raise ValueError(msg)
        return cls(int(ms), int(number))

    def __str__(self) -> str:
        return f"{self.ms}-{self.number}"


STREAM_START: Final = StreamId(0, 0)
"""Before every entry."""


class ChangedWindow(msgspec.Struct, frozen=True):
    """The totals of a window so far: they replace those of the previous pane."""

    id: str
    window_start: datetime | None
    window_end: datetime | None
    trip_count: int
    avg_duration: float
    __annotations__ |= dict.fromkeys(TOTALS, float)
    pane: str


class WindowsEvent(msgspec.Struct, frozen=True):
    """Windows of one entity that changed together."""

    entity: str
    windows: list[ChangedWindow]


class _Row(msgspec.Struct, array_like=True, frozen=True):
    """A window as the sinks write it: start in epoch ms, amounts in micro-units."""

    id: str
    window_start: int
    trip_count: int
    __annotations__ |= dict.fromkeys(TOTALS, int)
    pane: str


class StreamEntry:
    """An entry; its event is encoded when the first subscriber needs it, once for all of them.

    An entry without windows (`raw` is None) stands for changes that are missing: it is a gap, for
    every id.
    """

    def __init__(
        self, entity: Entity, window_ms: int, entry_id: StreamId, raw: bytes | None
    ) -> None:
        self.id = entry_id
        self.is_gap = raw is None
        self.size = len(raw or b"")
        self._entity = entity
        self._window_ms = window_ms
        self._raw = raw or b"[]"

    @cached_property
    def event(self) -> bytes:
        """The event with all windows of the entry."""
        if self.is_gap:
            return encode_event("gap", {"reason": "Redis was not told of all changes"}, self.id)
        return self._encode([self._to_window(row) for row in self._decode_rows()])

    def events_by_id(self, ids: Container[str]) -> dict[str, bytes]:
        """Return an event for each of these ids in the entry, with its own windows only."""
        found: dict[str, list[ChangedWindow]] = defaultdict(list)
        for row in self._decode_rows():
            if row.id in ids:
                found[row.id].append(self._to_window(row))
        return {entity_id: self._encode(windows) for entity_id, windows in found.items()}

    def event_for(self, entity_id: str | None) -> bytes | None:
        """Return the event for one id, None if it is not in the entry; without an id, for all."""
        if entity_id is None or self.is_gap:
            return self.event
        return self.events_by_id({entity_id}).get(entity_id)

    def _decode_rows(self) -> list[_Row]:
        try:
            # Amounts are text, as Lua would round numbers beyond 2^53.
            return msgspec.json.decode(self._raw, type=list[_Row], strict=False)
        except msgspec.MsgspecError:
            _log.exception(
                "entry %s of the changes of %s can't be read", self.id, self._entity.name
            )
            return []

    def _to_window(self, row: _Row) -> ChangedWindow:
        count = row.trip_count
        totals = {name: exact_units(getattr(row, name)) for name in TOTALS}
        return ChangedWindow(
            id=row.id,
            window_start=known_time(row.window_start),
            window_end=known_time(row.window_start + self._window_ms),
            trip_count=count,
            avg_duration=getattr(row, _AVERAGED) / (count * MICRO) if count else 0.0,
            pane=row.pane,
            **totals,
        )

    def _encode(self, windows: list[ChangedWindow]) -> bytes:
        return encode_event("windows", WindowsEvent(self._entity.name, windows), self.id)


def encode_event(name: str, data: object, event_id: StreamId | None = None) -> bytes:
    """Return a Server-Sent Event; its data is JSON, which contains no line ends."""
    id_line = b"" if event_id is None else b"id: %s\n" % str(event_id).encode()
    return b"%sevent: %s\ndata: %s\n\n" % (id_line, name.encode(), msgspec.json.encode(data))
