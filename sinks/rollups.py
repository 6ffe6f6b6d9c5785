"""Rollups in Postgres: made in the background, for all hours and days that are past their lateness.

A question reads a rollup in place of the windows of its interval, so it must be known of each
whether it has all of them. Three facts say so, which are read in the snapshot of the question:

1. All intervals before `rolled_up_to` were rolled up (table `rollups`).
2. Whoever changes windows before `rolling_to` (table `sequence_numbers`) records their hours in the
   same transaction (table `stale_hours`). `rolling_to` is raised before the first of these
   intervals is read, and by then no writer is left that has not heard of it: each holds the row
   that says so until its commit.
3. Intervals of stale hours are rolled up again, in one transaction with the end of their record.
"""

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final
from zoneinfo import ZoneInfo

from psycopg import sql
from psycopg.rows import class_row

from mobility.entities import Entity
from mobility.rollups import (
    DAY,
    FIRST_WEEK,
    HOUR,
    ROLLUPS,
    WEEK,
    Rollup,
    interval_end,
    interval_of,
    interval_start,
)
from mobility.settings import Settings
from postgres.connection import Connection
from sinks.measure_lists import MEASURE_LISTS
from sinks.partitions import Partition, read_partitions
from sinks.sql_files import entity_statement, sql_file

_FINEST_FIRST: Final = ROLLUPS[::-1]

_MOST_SPANS: Final = 1_000
"""Transactions at most that roll up a partition of the ledger. Each is of a day; of the partition
without a beginning, whose windows are of clocks that were never set, each may be of years."""

Pause = Callable[[float], bool]
"""Waits for some seconds; returns whether to end."""


@dataclass(frozen=True, slots=True)
class RollupState:
    """The row of a rollup in the table `rollups`: how far it is; times are in epoch ms."""

    name: str
    offset_ms: int
    kept_from: int | None
    rolled_up_to: int


@dataclass(frozen=True, slots=True)
class _Started:
    """The answer of start_rolling.sql."""

    rolling_to: int
    oldest_window: int
    kept_from: int | None


def make_rollups(
    connection: Connection, entity: Entity, settings: Settings, lowest: int, pause: Pause
) -> bool:
    """Roll up what is past its lateness, and again what has changed since; both by spans of time.

    `lowest` is the lowest watermark of the shards (epoch ms). After each span it pauses for as long
    as that took. Returns whether all was done, and not ended by `pause`. The connection is in
    autocommit mode, and READ COMMITTED. Raises psycopg.Error; the next call goes on from there.
    """
    rollups = _rollups_of(connection, entity, settings)
    started = _start(connection, entity, lowest - settings.open_ms) if rollups else None
    if started is None:
        return True
    partitions = read_partitions(connection, entity)
    for rollup in rollups:
        _begin(connection, entity, rollup, started, settings)
        states = read_rollups(connection, entity)
        state = states.get(rollup.name)
        if state is None:
            continue
        end = interval_start(started.rolling_to, rollup.length, state.offset_ms)
        for span in _spans(state.rolled_up_to, end, partitions):
            began = time.monotonic()
            with connection.transaction():
                _roll_up(connection, entity, rollup, states, span)
                connection.execute(
                    "UPDATE rollups SET rolled_up_to = %s WHERE entity = %s AND name = %s",
                    (span[1], entity.name, rollup.name),
                )
            if pause(time.monotonic() - began):
                return False
    for day in _stale_days(connection, entity):
        began = time.monotonic()
        with connection.transaction():
            refresh_rollups(connection, entity, (day, day + DAY))
        if pause(time.monotonic() - began):
            return False
    return True


def refresh_rollups(connection: Connection, entity: Entity, span: tuple[int, int]) -> None:
    """Roll up again what has changed in whole hours of UTC, in the caller's transaction."""
    values = {"entity": entity.name, "start": span[0], "end": span[1]}
    found = connection.execute(sql_file("select_stale_hours.sql"), values).fetchall()
    stale = [(int(str(number)), int(str(hour))) for number, hour in found]
    if not stale:
        return
    hours = sorted({hour for _, hour in stale})
    states = read_rollups(connection, entity)
    for rollup in _FINEST_FIRST:
        if rollup.name in states:
            for each in _stale_spans(hours, rollup, states[rollup.name]):
                _roll_up(connection, entity, rollup, states, each)
    connection.execute(
        sql_file("delete_stale_hours.sql"),
        {
            "entity": entity.name,
            "numbers": [number for number, _ in stale],
            "hours": [hour for _, hour in stale],
        },
    )


def read_rollups(connection: Connection, entity: Entity) -> dict[str, RollupState]:
    """Return how far the rollups of an entity are, by name; those that were begun."""
    statement, values = sql_file("select_rollups.sql"), {"entity": entity.name}
    with connection.cursor(row_factory=class_row(RollupState)) as cursor:
        return {each.name: each for each in cursor.execute(statement, values).fetchall()}


def drop_old_rollups(connection: Connection, entity: Entity, rollup: Rollup, limit: int) -> None:
    """Delete the rollups of weeks that are wholly before a limit (epoch ms)."""
    state = read_rollups(connection, entity).get(rollup.name)
    if state is None:
        return
    week = interval_start(limit, WEEK, FIRST_WEEK)
    start = interval_end(week, rollup.length, state.offset_ms)
    delete = sql.SQL("DELETE FROM {} WHERE interval_start < {}")
    with connection.transaction():
        old = connection.execute(delete.format(_table(entity, rollup), sql.Literal(start)))
        if old.rowcount > 0:
            connection.execute(
                "UPDATE rollups SET kept_from = %s WHERE entity = %s AND name = %s",
                (start, entity.name, rollup.name),
            )


def _start(connection: Connection, entity: Entity, limit: int) -> _Started | None:
    """Let writers record what they change of before a limit (epoch ms).

    Returns None where there are no windows.
    """
    values = {"entity": entity.name, "limit": limit}
    with connection.cursor(row_factory=class_row(_Started)) as cursor:
        return cursor.execute(sql_file("start_rolling.sql"), values).fetchone()


def _rollups_of(connection: Connection, entity: Entity, settings: Settings) -> list[Rollup]:
    """Return the rollups of an entity, the finest first.

    Those are the ones that are worth it, that stand in for dropped windows, or were begun. One that
    is not longer than a window has nothing to add up.
    """
    begun = read_rollups(connection, entity).keys()
    in_place_of = {"panes": "days", "hours": "hours"}
    kept = {in_place_of[name] for name in settings.retention_ms}
    names = entity.rollups | kept | begun
    return [
        each for each in _FINEST_FIRST if each.name in names and each.length > settings.window_ms
    ]


def _begin(
    connection: Connection, entity: Entity, rollup: Rollup, started: _Started, settings: Settings
) -> None:
    """Let a rollup begin with the oldest window, unless it has begun.

    Nor while that window may still be late: nobody records yet what comes before it.
    """
    offset = _standard_offset(settings.timezone) % rollup.length
    kept_from = started.kept_from
    if kept_from is not None:
        kept_from = interval_end(kept_from, rollup.length, offset)
    oldest = started.oldest_window if kept_from is None else kept_from
    start = interval_start(oldest, rollup.length, offset)
    if start >= started.rolling_to:
        return
    values = {
        "entity": entity.name,
        "name": rollup.name,
        "offset": offset,
        "kept_from": kept_from,
        "start": start,
    }
    connection.execute(sql_file("create_rollup.sql"), values)


def _standard_offset(zone: str) -> int:
    """Return by how many ms the local midnights of a zone's winter come after those of UTC.

    >>> [_standard_offset(zone) // HOUR for zone in ("UTC", "America/New_York", "Europe/Berlin")]
    [0, 5, -1]
    """
    year = datetime.now(UTC).year
    both = (datetime(year, month, 1, tzinfo=ZoneInfo(zone)).utcoffset() for month in (1, 7))
    return -min(round(offset.total_seconds() * 1_000) for offset in both if offset is not None)


def _spans(start: int, end: int, partitions: Iterable[Partition]) -> Iterator[tuple[int, int]]:
    """Yield the spans of whole days that are rolled up in a transaction each, one after the other.

    Time without a partition, which has no windows, is a part of the first span after it.

    >>> week = Partition("week", 0, WEEK)
    >>> list(_spans(HOUR, 2 * DAY, [week])) == [(HOUR, DAY + HOUR), (DAY + HOUR, 2 * DAY)]
    True
    >>> far = Partition("far", 100 * WEEK, 101 * WEEK)
    >>> next(_spans(HOUR, 101 * WEEK, [far])) == (HOUR, 100 * WEEK + HOUR)
    True
    >>> list(_spans(HOUR, DAY, [])) == [(HOUR, DAY)]
    True
    """
    for each in partitions:
        first = start if each.start is None else max(each.start, start)
        last = min(each.end, end)
        step = max(-(-(last - first) // (_MOST_SPANS * DAY)), 1) * DAY
        # Whole days from the start on: so each bound is that of an interval.
        stop = start + (first - start) // DAY * DAY
        while stop < last:
            stop = min(stop + step, end)
            yield start, stop
            start = stop
    if start < end:
        yield start, end


def _stale_days(connection: Connection, entity: Entity) -> list[int]:
    """Return the days of UTC that have hours to roll up again, earliest first (epoch ms)."""
    hours = connection.execute(
        "SELECT DISTINCT hour FROM stale_hours WHERE entity = %s", (entity.name,)
    ).fetchall()
    return sorted({interval_start(int(str(hour)), DAY, 0) for (hour,) in hours})


def _stale_spans(hours: list[int], rollup: Rollup, state: RollupState) -> Iterator[tuple[int, int]]:
    """Yield the spans to roll up again for stale hours of UTC, which are in order.

    They are cut where weeks end, as intervals are; what was not rolled up yet, or is not kept any
    more, is left out.
    """
    last: tuple[int, int] | None = None
    for hour in hours:
        start, _ = interval_of(hour, rollup.length, state.offset_ms)
        _, end = interval_of(hour + HOUR - 1, rollup.length, state.offset_ms)
        if state.kept_from is not None:
            start = max(start, state.kept_from)
        if start >= min(end, state.rolled_up_to):
            continue
        if last is not None and start <= last[1]:
            last = last[0], end
            continue
        if last is not None:
            yield last
        last = start, end
    if last is not None:
        yield last


def _roll_up(
    connection: Connection,
    entity: Entity,
    rollup: Rollup,
    states: Mapping[str, RollupState],
    span: tuple[int, int],
) -> None:
    """Roll up a span of windows; days are made of hours that divide them and have all of it."""
    start, end = span
    offset = states[rollup.name].offset_ms
    hours = states.get("hours")
    has_hours = (
        rollup.name == "days"
        and hours is not None
        and (offset - hours.offset_ms) % HOUR == 0
        and (hours.kept_from is None or hours.kept_from <= start)
        and end <= hours.rolled_up_to
    )
    merged = "merged_rollups" if has_hours else "merged_measures"
    statement = entity_statement(
        entity,
        "roll_up.sql",
        rollup=_table(entity, rollup),
        source=sql.Identifier(f"{entity.name}_{'hours' if has_hours else 'ledger'}"),
        time=sql.Identifier("interval_start" if has_hours else "window_start"),
        merged=sql.SQL(MEASURE_LISTS[merged]),
        start=sql.Literal(start),
        end=sql.Literal(end),
        offset=sql.Literal(offset),
        length=sql.Literal(rollup.length),
        first_week=sql.Literal(FIRST_WEEK),
        week=sql.Literal(WEEK),
    )
    connection.execute(statement)


def _table(entity: Entity, rollup: Rollup) -> sql.Identifier:
    return sql.Identifier(f"{entity.name}_{rollup.name}")
