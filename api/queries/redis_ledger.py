"""The ledger of an id in Redis: a hash from the start of each window to its values as JSON."""

import json
from collections.abc import Mapping, Sequence
from typing import Any, Final

from api.queries.buckets import bucket_index
from api.queries.contract import Bucket
from api.queries.redis_queries import stored_sum
from api.queries.time_range import to_datetime
from mobility.keys import BEFORE
from mobility.measures import EXTREMES, MEASURES, STARTS, SUMS

_BEST: Final = {each.name: min if each.kind == "min" else max for each in MEASURES}


def ledger_buckets(ledger: Mapping[str, str], bounds: Sequence[int]) -> list[Bucket]:
    """Return the buckets between bounds that have trips, in order."""
    found: dict[int, list[dict[str, Any]]] = {}
    for field, text in ledger.items():
        if field == BEFORE or not bounds[0] <= (window_start := int(field)) < bounds[-1]:
            continue
        window = json.loads(text)
        if window["trip_count"]:
            found.setdefault(bucket_index(bounds, window_start), []).append(window)
    return [
        Bucket(
            index,
            {name: sum(stored_sum(window, name) for window in windows) for name in SUMS},
            {name: _extreme(name, windows) for name in EXTREMES},
        )
        for index, windows in sorted(found.items())
    ]


def _extreme(name: str, windows: Sequence[Mapping[str, Any]]) -> Any:  # noqa: ANN401 - a time or an amount
    """Return the minimum or maximum of windows, of which earlier ones may lack it."""
    values = [value for window in windows if (value := window.get(name)) is not None]
    if not values:
        return None
    best = _BEST[name](values)
    return to_datetime(best) if name in STARTS else best
