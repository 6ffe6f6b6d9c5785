"""An entry of the stream of changes, and the event that it becomes."""

import logging
from collections import defaultdict
from collections.abc import Container
from datetime import datetime
from functools import cached_property
from typing import Final, NamedTuple

import msgspec

from api.queries.contract import as_time
from mobility.entities import Entity
from mobility.records import MICRO

_log: Final = logging.getLogger(__name__)

HEARTBEAT: Final = b":\n\n"
"""A comment: proves that the connection lives, and is no event."""


class StreamId(NamedTuple):
    """The id of an entry: Redis's time in ms, and a number. The later entry has the greater id."""

    ms: int
    number: int

    @classmethod
    def of(cls, text: str) -> "StreamId":
        """Return the id that a text names; raises ValueError where it names none.

        >>> StreamId.of("1735689600000-2")
        StreamId(ms=1735689600000, number=2)
        """
        ms, _, number = text.partition("-")
        if not (ms.isdecimal() and number.isdecimal() and text.isascii()):
            msg = f"not the id of an event: {text!r}"
            raise ValueError(msg)
        return cls(int(ms), int(number))

    def __str__(self) -> str:
        return f"{self.ms}-{self.number}"


NOTHING: Final = StreamId(0, 0)
"""Before every entry."""


class Window(msgspec.Struct, frozen=True):
    """A window's totals so far: they replace those of the pane before, and are never added."""

    id: str
    window_start: datetime | None
    window_end: datetime | None
    trip_count: int
    avg_duration: float
    total_duration: float
    total_distance: float
    total_revenue: float
    pane: str


class Changes(msgspec.Struct, frozen=True):
    """The windows that changed at once, of one entity."""

    entity: str
    windows: list[Window]


class _Row(msgspec.Struct, array_like=True, frozen=True):
    """A window as the sinks write it: start in epoch ms, amounts in micro-units."""

    id: str
    window_start: int
    trip_count: int
    duration: int
    distance: int
    revenue: int
    pane: str


class Entry:
    """An entry: what it says is worked out when somebody wants it, and once for all readers."""

    def __init__(self, entity: Entity, window_ms: int, at: StreamId, raw: bytes) -> None:
        self.at = at
        self.size = len(raw)
        self._entity = entity
        self._window_ms = window_ms
        self._raw = raw

    @cached_property
    def event(self) -> bytes:
        """The event with all its windows."""
        return self._event([self._window(row) for row in self._rows()])

    def events_of(self, ids: Container[str]) -> dict[str, bytes]:
        """Return an event for each of the ids that is in the entry, with its windows alone."""
        found: dict[str, list[Window]] = defaultdict(list)
        for row in self._rows():
            if row.id in ids:
                found[row.id].append(self._window(row))
        return {entity_id: self._event(windows) for entity_id, windows in found.items()}

    def event_for(self, entity_id: str | None) -> bytes | None:
        """Return the event with all windows, or with those of an id; None where it has none."""
        return self.event if entity_id is None else self.events_of({entity_id}).get(entity_id)

    def _rows(self) -> list[_Row]:
        try:
            # Amounts come as text: Lua would round those beyond 2^53.
            return msgspec.json.decode(self._raw, type=list[_Row], strict=False)
        except msgspec.MsgspecError:
            _log.exception(
                "entry %s of the changes of %s can't be read", self.at, self._entity.name
            )
            return []

    def _window(self, row: _Row) -> Window:
        count = row.trip_count
        return Window(
            id=row.id,
            window_start=as_time(row.window_start),
            window_end=as_time(row.window_start + self._window_ms),
            trip_count=count,
            avg_duration=row.duration / (count * MICRO) if count else 0.0,
            total_duration=row.duration / MICRO,
            total_distance=row.distance / MICRO,
            total_revenue=row.revenue / MICRO,
            pane=row.pane,
        )

    def _event(self, windows: list[Window]) -> bytes:
        return event("windows", Changes(self._entity.name, windows), self.at)


def event(name: str, data: object, at: StreamId | None = None) -> bytes:
    """Return an event on the wire; its data is JSON, in which a line end can't stand."""
    lead = b"" if at is None else b"id: %s\n" % str(at).encode()
    return b"%sevent: %s\ndata: %s\n\n" % (lead, name.encode(), msgspec.json.encode(data))
