"""The expected result of a recount, computed one trip at a time."""

from collections.abc import Iterable, Sequence
from itertools import chain

import polars as pl

from mobility.measures import COUNTS, MEASURE_SCHEMA, NULLABLE, SUMS, TOTALS
from mobility.records import PARTIAL_SCHEMA
from mobility.settings import Settings
from tests.strategies import Entry
from tests.windows import window, window_frame

Trips = dict[object, Entry]


def counted_trips(
    log: Sequence[Sequence[Entry | bytes]], settings: Settings, *, with_late: bool
) -> list[Entry]:
    """Return the trips of a log that count: those that the flow counts, or the late ones too."""
    trips: Trips = {}
    for partition, entries in enumerate(log):
        latest = 0
        for offset, entry in enumerate(entries):
            if isinstance(entry, bytes):
                continue
            latest = max(latest, entry.time)
            slack = (settings.out_of_orderness + settings.allowed_lateness) * 1_000
            late = window_of(entry, settings) + settings.window_ms + slack < latest
            if entry.punctuation or (late and not with_late):
                continue
            # The flow finds duplicates in a partition, a recount in the whole log.
            scope = 0 if with_late else partition
            key = (scope, entry.trip_id, window_of(entry, settings))
            trips.setdefault((partition, offset) if entry.trip_id is None else key, entry)
    return list(trips.values())


def with_corrections(
    trips: Iterable[Entry], corrections: Sequence[Entry], start: int, end: int
) -> list[Entry]:
    """Return trips where corrections replace those of a range that have their trip_id."""
    named = {entry.trip_id: entry for entry in corrections if entry.trip_id is not None}
    kept = [t for t in trips if t.trip_id not in named or not start <= t.time < end]
    return [*kept, *named.values(), *(entry for entry in corrections if entry.trip_id is None)]


def windows(trips: Iterable[Entry], entity: str, settings: Settings) -> pl.DataFrame:
    """Return the windows (PARTIAL_SCHEMA) of trips for `driver` or `vehicle_type`."""
    found: dict[tuple[str, int], dict[str, int]] = {}
    for trip in trips:
        name = trip.driver if entity == "driver" else trip.vehicle or "unknown"
        if name is None:
            continue
        start = window_of(trip, settings)
        extremes = dict.fromkeys((each.name for each in NULLABLE), trip.micro)
        empty = window(name, start, 0, start_time=trip.time, last_start_time=trip.time, **extremes)
        row = found.setdefault((name, start), empty)
        row |= {count: row[count] + 1 for count in COUNTS}
        row |= {total: row[total] + trip.micro for total in TOTALS}
        row["start_time"] = min(row["start_time"], trip.time)
        row["last_start_time"] = max(row["last_start_time"], trip.time)
        for each in NULLABLE:
            best = min if each.kind == "min" else max
            row[each.name] = best(row[each.name], trip.micro)
    return window_frame(found.values(), PARTIAL_SCHEMA).sort("id", "window_start")


def with_range_replaced(
    before: Iterable[Entry], after: Iterable[Entry], start: int, end: int
) -> list[Entry]:
    """Return the trips after a recount of a range: those of `after` in it, else of `before`."""
    inside = (trip for trip in after if start <= trip.time < end)
    return list(chain((trip for trip in before if not start <= trip.time < end), inside))


def totals(found: pl.DataFrame) -> pl.DataFrame:
    """Return the totals of ids over windows."""
    starts = [pl.col("start_time").min(), pl.col("last_start_time").max()]
    added = [getattr(pl.col(each.name), each.kind)() for each in NULLABLE]
    sums = pl.col(*SUMS).sum()
    totals = found.group_by("id").agg(sums, *starts, *added)
    return totals.select("id", *MEASURE_SCHEMA).sort("id")


def window_of(trip: Entry, settings: Settings) -> int:
    """Return the start of a trip's window."""
    return trip.time - trip.time % settings.window_ms
