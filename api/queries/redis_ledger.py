"""The ledger of an id in Redis: a hash from the start of each window to its values as JSON."""

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Final

from api.queries.buckets import bucket_index
from api.queries.contract import Bucket
from api.queries.time_range import to_datetime
from mobility.keys import BEFORE
from mobility.measures import MEASURES, SUMS

_LATER: Final = {each.name: each.kind == "max" for each in MEASURES if each.unit == "time"}
"""The starts of trips, and whether the later one of two counts."""


def ledger_buckets(ledger: Mapping[str, str], bounds: Sequence[int]) -> list[Bucket]:
    """Return the buckets between bounds that have trips, in order."""
    found: dict[int, tuple[dict[str, int], dict[str, datetime]]] = {}
    for field, text in ledger.items():
        if field == BEFORE or not bounds[0] <= (window_start := int(field)) < bounds[-1]:
            continue
        sums, starts = _parse_window(text)
        if sums["trip_count"] == 0:
            continue
        index = bucket_index(bounds, window_start)
        if index in found:
            other_sums, other_starts = found[index]
            sums = {name: value + other_sums[name] for name, value in sums.items()}
            starts = {
                name: (max if is_later else min)(starts[name], other_starts[name])
                for name, is_later in _LATER.items()
            }
        found[index] = sums, starts
    return [Bucket(index, sums, starts) for index, (sums, starts) in sorted(found.items())]


def _parse_window(text: str) -> tuple[dict[str, int], dict[str, datetime]]:
    """Return sums (amounts in millionths) and starts of a window; the starts if it has trips."""
    values = json.loads(text)
    starts = {name: to_datetime(values[name]) for name in _LATER if values[name] is not None}
    return {name: values[name] for name in SUMS}, starts
