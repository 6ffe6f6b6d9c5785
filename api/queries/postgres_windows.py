"""Reads the windows of a range from Postgres at one moment: from the ledger and its rollups."""

from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final

from psycopg import sql

from api.queries.local_times import Part
from api.queries.measure_lists import MEASURE_LISTS
from api.queries.postgres_client import Database, Fetch, Row, entity_query
from api.queries.window_tables import (
    LEDGER,
    LedgerState,
    RollupState,
    choose_tables,
)
from mobility.entities import Entity
from mobility.rollups import DAY, ROLLUPS
from mobility.sketched_measures import Sketch

_ROLLUPS: Final = frozenset(each.name for each in ROLLUPS)


@dataclass(frozen=True, slots=True)
class Windows:
    """The query of windows, whose columns are those of windows_in_part.sql, and its values."""

    query: sql.Composable
    values: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class LedgerSnapshot:
    """The ledger and the rollups of an entity at one moment, for parts of a range."""

    entity: Entity
    parts: Sequence[Part]
    state: LedgerState
    fetch: Fetch

    def windows(
        self,
        cuts: Iterable[int] = (),
        *,
        longest: int = DAY,
        sketches: Sequence[Sketch] = (),
    ) -> Windows:
        """Return the query of the windows in the parts, as `windows_in`."""
        return windows_in(
            self.entity, self.state, self.parts, cuts, longest=longest, sketches=sketches
        )


@asynccontextmanager
async def ledger_snapshot(
    database: Database, entity: Entity, parts: Sequence[Part]
) -> AsyncIterator[LedgerSnapshot]:
    """Yield what the ledger of an entity is at this moment, also if a week is dropped meanwhile.

    The parts are those of a range, in order. Raises StoreUnavailableError.
    """
    span = (parts[0][0], parts[-1][1]) if parts else (0, 0)
    async with database.snapshot(ledger_state_query(entity, span)) as (rows, fetch):
        yield LedgerSnapshot(entity, parts, to_ledger_state(rows), fetch)


def ledger_state_query(entity: Entity, span: Part) -> sql.Composed:
    """Return the query of what the ledger has, which no dropped week is missing from.

    Of stale hours it has those of a span, and of the days that this begins and ends in: after an
    import of years they are many.
    """
    return entity_query(
        entity,
        "ledger_state.sql",
        entity_name=sql.Literal(entity.name),
        start=sql.Literal(span[0] - DAY),
        end=sql.Literal(span[1] + DAY),
    )


def to_ledger_state(rows: Sequence[Row]) -> LedgerState:
    """Return the rows of ledger_state.sql as what the ledger has."""
    found = {row["name"]: row for row in rows}
    return LedgerState(
        rows[0]["oldest_window"],
        rows[0]["kept_from"],
        [
            RollupState(
                each,
                found[each.name]["offset_ms"],
                found[each.name]["rollup_kept_from"],
                found[each.name]["rolled_up_to"],
            )
            for each in ROLLUPS
            if each.name in found
        ],
        rows[0]["stale_hours"],
    )


def windows_in(
    entity: Entity,
    state: LedgerState,
    parts: Sequence[Part],
    cuts: Iterable[int] = (),
    *,
    longest: int = DAY,
    sketches: Sequence[Sketch] = (),
) -> Windows:
    """Return the query of the windows in parts; those of an interval of a rollup are one.

    The parameters are those of `choose_tables`. Rollups have no sketches. Raises BeyondLedgerError.
    """
    tables = choose_tables(state, parts, cuts, longest=0 if sketches else longest)
    # Without any part it reads none, from the ledger.
    tables = tables or {LEDGER: [(0, 0)]}
    queries = [_windows_in(entity, name, each, sketches) for name, each in tables.items()]
    values: dict[str, Any] = {"oldest_window": state.oldest_window}
    for name, each in tables.items():
        values[f"{name}_start"] = min(start for start, _ in each)
        values[f"{name}_end"] = max(end for _, end in each)
        values[f"{name}_starts"] = [start for start, _ in each]
        values[f"{name}_ends"] = [end for _, end in each]
    return Windows(sql.SQL("\nUNION ALL\n").join(queries), values)


def _windows_in(
    entity: Entity, name: str, parts: Sequence[Part], sketches: Sequence[Sketch]
) -> sql.Composed:
    """Return the query of the windows in parts of one table; a single part needs no join."""
    is_rollup = name in _ROLLUPS
    time = sql.Identifier("interval_start" if is_rollup else "window_start")
    # The interval of the oldest window can begin before the range.
    first = sql.SQL("greatest({}, %(oldest_window)s)").format(time) if is_rollup else time
    names = sql.Composed([sql.SQL(", {}").format(sql.Identifier(each.name)) for each in sketches])
    return entity_query(
        entity,
        "windows_in_part.sql" if len(parts) == 1 else "windows_in_parts.sql",
        table=sql.Identifier(f"{entity.name}_{name}"),
        time=time,
        window_start=first,
        measures=sql.SQL(MEASURE_LISTS[f"measures_of_{'rollup' if is_rollup else 'ledger'}"]),
        sketches=names,
        start=sql.Placeholder(f"{name}_start"),
        end=sql.Placeholder(f"{name}_end"),
        starts=sql.Placeholder(f"{name}_starts"),
        ends=sql.Placeholder(f"{name}_ends"),
    )
