"""The ledger of an id in Redis: a hash from the start of each window to its totals as text."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from operator import add
from typing import Final

from api.queries.buckets import bucket_index
from api.queries.contract import Bucket, Sums

STATE_FIELD: Final = "totals"
"""The field of the numbers about all windows; the 9th is the start of the newest window."""


def ledger_buckets(ledger: Mapping[str, str], bounds: Sequence[int]) -> list[Bucket]:
    """Return the buckets between bounds that have trips, in order.

    A window is `generation trip_count duration distance revenue start pane last`, amounts in
    millionths. The first release did not write `last`, the start of the latest trip.
    """
    found: dict[int, tuple[list[int], datetime, datetime]] = {}
    for field, window in ledger.items():
        if field == STATE_FIELD or not bounds[0] <= (window_start := int(field)) < bounds[-1]:
            continue
        _, count, duration, distance, revenue, start_text, _, *last_text = window.split(" ")
        if count == "0":
            continue
        index = bucket_index(bounds, window_start)
        sums = [int(count), int(duration), int(distance), int(revenue)]
        start = datetime.fromisoformat(start_text)
        last = datetime.fromisoformat(last_text[0]) if last_text else start
        if index in found:
            others, earliest, latest = found[index]
            sums = list(map(add, sums, others))
            start, last = min(start, earliest), max(last, latest)
        found[index] = (sums, start, last)
    return [
        Bucket(index, Sums(*sums), start, last)
        for index, (sums, start, last) in sorted(found.items())
    ]
