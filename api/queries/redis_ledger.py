"""An id's windows as Redis keeps them: a hash from window start to a line of text."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from operator import add
from typing import Final

from api.queries.buckets import span_at
from api.queries.contract import Part, Sums

STATE: Final = "totals"
"""The field beside the windows: numbers about all of them, the 9th is the newest window's start."""

_NEWEST: Final = 8


def newest_of(state: str) -> int:
    """Return the start of the newest window (epoch ms)."""
    return int(state.split(" ", _NEWEST + 1)[_NEWEST])


def parts_of(ledger: Mapping[str, str], edges: Sequence[int]) -> list[Part]:
    """Return the spans between edges that have trips, in order.

    A window is `generation trip_count duration distance revenue start pane last`, amounts in
    millionths. The first release left out the start of its latest trip.
    """
    found: dict[int, tuple[list[int], datetime, datetime]] = {}
    for field, window in ledger.items():
        if field == STATE or not edges[0] <= (window_start := int(field)) < edges[-1]:
            continue
        _, count, duration, distance, revenue, start_text, _, *last_text = window.split(" ")
        if count == "0":
            continue
        span = span_at(edges, window_start)
        sums = [int(count), int(duration), int(distance), int(revenue)]
        start = datetime.fromisoformat(start_text)
        last = datetime.fromisoformat(last_text[0]) if last_text else start
        if span in found:
            others, earliest, latest = found[span]
            sums = list(map(add, sums, others))
            start, last = min(start, earliest), max(last, latest)
        found[span] = (sums, start, last)
    return [
        Part(span, Sums(*sums), start, last) for span, (sums, start, last) in sorted(found.items())
    ]
