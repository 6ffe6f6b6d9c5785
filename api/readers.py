"""The stores that are configured: Redis is fast, Postgres remembers.

An id is asked for in that order. One that Redis has lost, or is being given back, is absent there
and so is answered by Postgres; what Redis does hold of an id is never less than what it was given.
Lists come from Postgres where there is one.
"""

import logging
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Generic, TypeVar

from api.reader import Page, Reader, StoreDown, Told, Totals
from mobility.entities import Entity
from mobility.settings import Store, masked

ORDER: Final[tuple[Store, ...]] = ("redis", "postgres")

REST: Final = 1.0
"""Seconds that a store which failed is left alone."""

T = TypeVar("T")

_log = logging.getLogger(__name__)


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
        self, readers: Iterable[Reader], clock: Callable[[], float] = time.monotonic
    ) -> None:
        ordered = sorted(readers, key=lambda reader: ORDER.index(reader.store))
        self._lines = tuple(_Line(reader, clock) for reader in ordered)

    async def totals(self, entity: Entity, entity_id: str) -> Answer[Totals] | None:
        """Return an id's totals, None where no store knows it; raises StoresDown.

        What Redis has forgotten Postgres may still know. So only the last store can say that there
        is no such id, and while it is down nobody can.
        """
        failures: list[StoreDown] = []
        certain = False
        for line in self._lines:
            try:
                found = await line.ask(lambda reader: reader.totals(entity, entity_id))
            except StoreDown as down:
                failures.append(down)
                certain = False
            else:
                certain = True
                if found is not None:
                    return Answer(line.store, found)
        if certain:
            return None
        raise StoresDown(failures)

    async def page(self, entity: Entity, after: str, limit: int) -> Answer[Page]:
        """Return a page of ids; raises StoresDown.

        Only the last store is asked: a list from Redis can lack ids that it has lost and not yet
        got back from Postgres, and nothing in the list would show it.
        """
        if not self._lines:
            raise StoresDown([])
        line = self._lines[-1]
        try:
            page = await line.ask(lambda reader: reader.page(entity, after, limit))
        except StoreDown as down:
            raise StoresDown([down]) from down
        return Answer(line.store, page)

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


class _Line:
    """A reader, and whether it answered when it was last asked."""

    def __init__(self, reader: Reader, clock: Callable[[], float]) -> None:
        self._reader = reader
        self._clock = clock
        self._failure: StoreDown | None = None
        self._rests_until = 0.0

    @property
    def store(self) -> Store:
        return self._reader.store

    async def ask(self, question: Callable[[Reader], Awaitable[T]]) -> T:
        if self._failure is not None and self._clock() < self._rests_until:
            raise StoreDown(self.store, self._failure.reason)
        try:
            answer = await question(self._reader)
        except StoreDown as down:
            if self._failure is None:
                cause = " ".join(masked(str(down.__cause__)).split())
                _log.warning("%s (%s)", down, cause or type(down.__cause__).__name__)
            self._failure = down
            self._rests_until = self._clock() + REST
            raise
        if self._failure is not None:
            _log.warning("%s answers again", self.store)
            self._failure = None
        return answer

    async def close(self) -> None:
        await self._reader.close()
