"""Questions about single ids, asked together: what comes while one is out goes out as the next.

The more readers there are, the more ids a question has, and the less each of them costs.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Final, Generic, TypeVar

T = TypeVar("T")

MOST: Final = 200
"""Ids a question: few enough that nobody waits long for the others."""

_Waiting = list[tuple[str, asyncio.Future[T | None]]]


class Together(Generic[T]):
    """Answers for one id from a question about many; there is one out at a time."""

    def __init__(self, ask: Callable[[Sequence[str]], Awaitable[Mapping[str, T]]]) -> None:
        """Ask with `ask`, which leaves out what it does not know."""
        self._ask = ask
        self._waiting: _Waiting[T] = []
        self._asking: asyncio.Task[None] | None = None

    async def one(self, entity_id: str) -> T | None:
        """Return the answer for an id, None where there is none.

        Raises what the question did, also to those who only waited for its end: otherwise they
        would find out one after the other.
        """
        future: asyncio.Future[T | None] = asyncio.get_running_loop().create_future()
        self._waiting.append((entity_id, future))
        if self._asking is None or self._asking.done():
            self._asking = asyncio.create_task(self._ask_for_all())
        return await future

    async def close(self) -> None:
        """Ask no more; whoever waits is cancelled."""
        if self._asking is not None:
            self._asking.cancel()
            await asyncio.gather(self._asking, return_exceptions=True)
        for _, future in self._taken(len(self._waiting)):
            future.cancel()

    async def _ask_for_all(self) -> None:
        while self._waiting:
            asked = [entity_id for entity_id, _ in self._waiting[:MOST]]
            try:
                found = await self._ask(list(dict.fromkeys(asked)))
            except Exception as error:  # noqa: BLE001 - it is raised where each was asked for
                for _, future in self._taken(len(self._waiting)):
                    future.set_exception(error)
            else:
                for entity_id, future in self._taken(len(asked)):
                    future.set_result(found.get(entity_id))

    def _taken(self, number: int) -> _Waiting[T]:
        """Take the first off the list; return those of them whose asker has not gone."""
        taken, self._waiting = self._waiting[:number], self._waiting[number:]
        return [(entity_id, future) for entity_id, future in taken if not future.done()]
