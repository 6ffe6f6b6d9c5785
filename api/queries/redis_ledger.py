"""The ledger of an id in Redis: a hash from the start of each window to its totals as text."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from operator import itemgetter
from typing import Final

from api.queries.buckets import bucket_index
from api.queries.contract import Bucket
from mobility.keys import LEDGER_FIELDS
from mobility.measures import MEASURES, SUMS

STATE_FIELD: Final = "totals"
"""The field of the numbers about all windows; the 9th is the start of the newest window."""

_LATER: Final = {each.name: each.kind == "max" for each in MEASURES if each.unit == "time"}
"""The starts of trips, and whether the later one of two counts."""

_SUMS_OF: Final = itemgetter(*map(LEDGER_FIELDS.index, SUMS))
_STARTS_OF: Final = itemgetter(*map(LEDGER_FIELDS.index, _LATER))


def ledger_buckets(ledger: Mapping[str, str], bounds: Sequence[int]) -> list[Bucket]:
    """Return the buckets between bounds that have trips, in order."""
    found: dict[int, tuple[dict[str, int], dict[str, datetime]]] = {}
    for field, text in ledger.items():
        if field == STATE_FIELD or not bounds[0] <= (window_start := int(field)) < bounds[-1]:
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
    """Return sums (amounts in millionths) and starts of a window (LEDGER_FIELDS)."""
    values = text.split(" ")
    if len(values) < len(LEDGER_FIELDS):  # of the first release, without the latest start
        values.append(values[LEDGER_FIELDS.index("start_time")])
    sums = dict(zip(SUMS, map(int, _SUMS_OF(values)), strict=True))
    starts = dict(zip(_LATER, map(datetime.fromisoformat, _STARTS_OF(values)), strict=True))
    return sums, starts
