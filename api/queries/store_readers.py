"""The stores that are configured: Redis is fast, Postgres remembers.

An id is asked for in that order. One that Redis has lost, or is being given back, is absent there
and so is answered by Postgres; what Redis does hold of an id is never less than what it was given.
Lists come from Postgres where there is one.
"""

import time
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Generic, TypeVar

from api.errors import BeyondLedger, NeedsPostgres
from api.queries.circuit_breaker import Line
from api.queries.contract import (
    Analyst,
    Asked,
    Batch,
    Order,
    Page,
    Place,
    Reader,
    Series,
    StoreDown,
    Told,
    Totals,
)
from mobility.entities import Entity
from mobility.settings import Store

ORDER: Final[tuple[Store, ...]] = ("redis", "postgres")

T = TypeVar("T")


class StoresDown(Exception):  # noqa: N818 - a state of the stores, not a fault of the request
    """No store could answer; `failures` says why each did not, and is empty where there is none."""

    def __init__(self, failures: Iterable[StoreDown]) -> None:
        self.failures = tuple(failures)
        super().__init__("; ".join(str(failure) for failure in self.failures) or "no store")


@dataclass(frozen=True, slots=True)
class Answer(Generic[T]):
    """An answer and the store that gave it."""

    store: Store
    value: T


class Readers:
    """Asks the first store that answers; a store that failed is not asked again for a moment."""

    def __init__(
        self,
        readers: Iterable[Reader],
        *,
        analyst: Analyst | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Ask these; all are these readers' to close."""
        ordered = sorted(readers, key=lambda reader: ORDER.index(reader.store))
        self._lines = tuple(Line(reader, clock) for reader in ordered)
        # A line of its own: that a long question was given up says nothing about short ones.
        self._analyst = None if analyst is None else Line(analyst, clock)

    async def totals(self, entity: Entity, entity_id: str) -> Answer[Totals] | None:
        """Return an id's totals, None where no store knows it; raises StoresDown."""
        return await self._first(lambda reader: reader.totals(entity, entity_id))

    async def series(
        self, entity: Entity, entity_id: str, edges: Sequence[int]
    ) -> Answer[Series] | None:
        """Return an id's trips in the spans between edges, None where no store knows it.

        Raises StoresDown, and BeyondLedger where no store remembers that long.
        """
        return await self._first(lambda reader: reader.series(entity, entity_id, edges))

    async def batch(self, entity: Entity, ids: Sequence[str]) -> Answer[Batch]:
        """Return the totals of many ids, all from one store; raises StoresDown.

        Those that no store knows are left out, which as for one id only the last store can say.
        """
        wanted = set(ids)

        async def whole(reader: Reader) -> Batch | None:
            found = await reader.batch(entity, ids)
            is_last = reader.store == self._lines[-1].store
            return found if is_last or wanted <= found.totals.keys() else None

        answer = await self._first(whole)
        if answer is None:
            raise StoresDown([])
        return answer

    async def page(
        self, entity: Entity, order: Order, after: Place | None, limit: int
    ) -> Answer[Page]:
        """Return a page of ids; raises StoresDown, and NeedsPostgres for an order Redis lacks.

        Only the last store is asked: a list from Redis can lack ids that it has lost and not yet
        got back from Postgres, and nothing in the list would show it.
        """
        if order.by is not None:
            return await self.analysis(
                "Sorted lists", lambda store: store.page(entity, order, after, limit)
            )
        last_id = after.last_id if after else ""
        return await self._last(lambda store: store.page(entity, order.prefix, last_id, limit))

    async def count(self, entity: Entity, prefix: str) -> int:
        """Return how many ids begin with a prefix, from where the lists come; raises StoresDown."""
        return (await self._last(lambda reader: reader.count(entity, prefix))).value

    async def analysis(self, what: str, question: Callable[[Analyst], Awaitable[T]]) -> Answer[T]:
        """Ask about all ids at once; raises StoresDown, and NeedsPostgres for `what` without it."""
        if not self._lines:
            raise StoresDown([])
        if self._analyst is None:
            raise NeedsPostgres(what)
        return await _only(self._analyst, question)

    async def statuses(self) -> Answer[Sequence[Told]]:
        """Return what the processes have said of themselves; raises StoresDown.

        A Redis that was emptied hears of them again within a second, so it can lack them: the last
        store is asked then.
        """
        failures: list[StoreDown] = []
        answer: Answer[Sequence[Told]] | None = None
        for line in self._lines:
            try:
                answer = Answer(line.store, await line.ask(lambda reader: reader.statuses()))
            except StoreDown as down:
                failures.append(down)
            else:
                if answer.value:
                    return answer
        if answer is None:
            raise StoresDown(failures)
        return answer

    async def freshness(self) -> Mapping[Store, Mapping[str, datetime | None] | StoreDown]:
        """Ask every configured store how far it has got; one that is down gives its failure."""
        answers: dict[Store, Mapping[str, datetime | None] | StoreDown] = {}
        for line in self._lines:
            try:
                answers[line.store] = await line.ask(lambda reader: reader.freshness())
            except StoreDown as down:
                answers[line.store] = down
        return answers

    async def close(self) -> None:
        """Close every reader."""
        for line in self._lines:
            await line.close()
        if self._analyst is not None:
            await self._analyst.close()

    async def _first(self, question: Callable[[Reader], Awaitable[T | None]]) -> Answer[T] | None:
        """Return the first answer that is one.

        What Redis has forgotten Postgres may still know. So only the last store can say that there
        is no answer, and while it is down nobody can.
        """
        failures: list[StoreDown] = []
        refusal: BeyondLedger | None = None
        certain = False
        for line in self._lines:
            try:
                found = await line.ask(question)
            except StoreDown as down:
                failures.append(down)
                certain = False
            except BeyondLedger as beyond:
                refusal = beyond
            else:
                certain = True
                refusal = None
                if found is not None:
                    return Answer(line.store, found)
        if refusal is not None and not failures:
            raise refusal
        if certain:
            return None
        raise StoresDown(failures)

    async def _last(self, question: Callable[[Reader], Awaitable[T]]) -> Answer[T]:
        if not self._lines:
            raise StoresDown([])
        return await _only(self._lines[-1], question)


R = TypeVar("R", bound=Asked)


async def _only(line: Line[R], question: Callable[[R], Awaitable[T]]) -> Answer[T]:
    try:
        return Answer(line.store, await line.ask(question))
    except StoreDown as down:
        raise StoresDown([down]) from down
