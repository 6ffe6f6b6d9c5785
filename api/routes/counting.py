"""What was counted in a range: for one id from whichever store has it, or for all from Postgres."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from api.queries.contract import NOTHING, Sums
from api.queries.store_readers import Readers
from api.queries.time_range import Range, Windows
from api.representation.amounts import shown
from mobility.entities import Entity
from mobility.settings import Store


@dataclass(frozen=True, slots=True)
class Count:
    """Sums over a range, and when its earliest and its latest trip started.

    `newest` is the start of the newest window there is (epoch ms).
    """

    over: Range
    sums: Sums
    start_time: datetime | None
    last_start_time: datetime | None
    newest: int | None
    as_of: datetime | None
    store: Store

    def shown(self, windows: Windows) -> dict[str, Any]:
        """Return the fields of `answers.Counted`."""
        complete = windows.is_range_complete(self.over, self.newest, self.as_of)
        return {**shown(self.sums), **self.over.shown, "complete": complete}


async def count_id(readers: Readers, entity: Entity, entity_id: str, over: Range) -> Count | None:
    """Count one id, None where no store knows it."""
    known = await readers.totals(entity, entity_id)
    if known is None:
        return None
    totals = known.value
    if over.is_open:
        return Count(
            over,
            totals.sums,
            totals.start_time,
            totals.last_start_time,
            totals.newest,
            totals.as_of,
            known.store,
        )
    found = await readers.series(entity, entity_id, over.edges)
    if found is None:
        return None
    # A span between two edges is the only one, and is left out without trips.
    part = next(iter(found.value.parts), None)
    sums = NOTHING if part is None else part.sums
    start = None if part is None else part.start_time
    last = None if part is None else part.last_start_time
    return Count(over, sums, start, last, totals.newest, found.value.as_of, found.store)


async def count_all(readers: Readers, entity: Entity, over: Range) -> Count:
    """Count all ids of an entity together."""
    answer = await readers.analysis("Sums of all ids", lambda store: store.total(entity, over))
    total = answer.value
    return Count(over, total.sums, None, None, total.newest, total.as_of, answer.store)
