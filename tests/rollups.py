"""Compares the rollups in Postgres with the ledger, computed on their own."""

from datetime import UTC, datetime, timedelta
from typing import Any, LiteralString

import psycopg
from psycopg import sql
from psycopg.rows import dict_row

LENGTHS = {"hours": timedelta(hours=1), "days": timedelta(days=1)}
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

SUMS = ("trip_count", "total_duration", "total_distance", "total_revenue")
COUNTS = ("distance_count", "revenue_count")
LOWEST = ("start_time",)
HIGHEST = ("last_start_time", "max_price", "max_distance")

Key = tuple[str, datetime]


def ms(time: datetime) -> int:
    """Return a time in epoch ms."""
    return (time - EPOCH) // timedelta(milliseconds=1)


def time_of(epoch_ms: int) -> datetime:
    """Return epoch ms as a time."""
    return EPOCH + timedelta(milliseconds=epoch_ms)


def interval_of(time: datetime, length: timedelta, offset: timedelta) -> datetime:
    """Return the start of the interval of a time: not before the Monday of its week."""
    start = EPOCH + offset + (time - EPOCH - offset) // length * length
    midnight = time.replace(hour=0, minute=0, second=0, microsecond=0)
    return max(start, midnight - timedelta(days=time.weekday()))


def added_up(windows: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the measures of windows as those of one."""
    found: dict[str, Any] = {}
    for name in SUMS:
        found[name] = sum(each[name] for each in windows)
    for name in COUNTS:
        known = [each["trip_count"] if each[name] is None else each[name] for each in windows]
        found[name] = sum(known)
    for name in LOWEST:
        found[name] = min(each[name] for each in windows)
    for name in HIGHEST:
        values = [each[name] for each in windows if each[name] is not None]
        found[name] = max(values, default=None)
    return found


def whole(row: dict[str, Any]) -> dict[str, Any]:
    """Return the measures of a rollup, whose sums may have a carry."""
    found = {name: row[name] for name in (*COUNTS, *LOWEST, *HIGHEST, "trip_count")}
    for name in SUMS[1:]:
        found[name] = (row[f"{name}_carry"] or 0) * 10**18 + row[name]
    return found


def check_rollups(url: str, entity: str) -> dict[str, int]:
    """Fail where a rollup is not what the windows of its interval add up to.

    All is read at one moment. Returns how many rollups were compared, by name; those of intervals
    with stale hours, or with windows that were dropped, are not.
    """
    compared = {}
    with psycopg.connect(url, row_factory=dict_row) as connection:
        connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ

        def rows(statement: LiteralString, **names: str) -> list[dict[str, Any]]:
            values = {name: sql.Identifier(each) for name, each in names.items()}
            text = sql.SQL(statement).format(entity=sql.Literal(entity), **values)
            return connection.execute(text).fetchall()

        windows = rows("SELECT * FROM {table} WHERE trip_count > 0", table=f"{entity}_ledger")
        (numbers,) = rows("SELECT * FROM sequence_numbers WHERE entity = {entity}") or [{}]
        stale = [
            time_of(row["hour"]) + timedelta(minutes=minute)
            for row in rows("SELECT hour FROM stale_hours WHERE entity = {entity}")
            for minute in range(0, 60, 15)
        ]
        for state in rows("SELECT * FROM rollups WHERE entity = {entity}"):
            length = LENGTHS[state["name"]]
            offset = timedelta(milliseconds=state["offset_ms"])
            skipped = {interval_of(time, length, offset) for time in stale}
            dropped = [state["kept_from"], numbers.get("kept_from")]
            first = max((each for each in dropped if each is not None), default=-(10**15))
            by_interval: dict[Key, list[dict[str, Any]]] = {}
            for window in windows:
                start = interval_of(time_of(window["window_start"]), length, offset)
                if first <= ms(start) < state["rolled_up_to"] and start not in skipped:
                    by_interval.setdefault((window["id"], start), []).append(window)
            expected = {key: added_up(each) for key, each in by_interval.items()}
            found = {}
            for row in rows("SELECT * FROM {table}", table=f"{entity}_{state['name']}"):
                start = time_of(row["interval_start"])
                if first <= ms(start) < state["rolled_up_to"] and start not in skipped:
                    found[row["id"], start] = whole(row)
            assert found == expected
            compared[state["name"]] = len(found)
    return compared
