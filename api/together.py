"""Questions about single ids, asked together: what comes while one is out goes out as the next.

The more readers there are, the more ids a question has, and the less each of them costs.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Final, Generic, TypeVar

T = TypeVar("T")

MOST: Final = 200
"""Ids a question: few enough that nobody waits long for the others."""


class Together(Generic[T]):
    """Answers for one id from a question about many; there is one out at a time."""

    def __init__(self, ask: Callable[[Sequence[str]], Awaitable[Mapping[str, T]]]) -> None:
        """Ask with `ask`, which leaves out what it does not know."""
        self._ask = ask
        self._waiting: list[tuple[str, asyncio.Future[T | None]]] = []
        self._asking: asyncio.Task[None] | None = None

    async def one(self, entity_id: str) -> T | None:
        """Return the answer for an id, None where there is none; raises what the question did."""
        future: asyncio.Future[T | None] = asyncio.get_running_loop().create_future()
        self._waiting.append((entity_id, future))
        if self._asking is None or self._asking.done():
            self._asking = asyncio.create_task(self._ask_for_all())
        return await future

    async def _ask_for_all(self) -> None:
        while self._waiting:
            asked, self._waiting = self._waiting[:MOST], self._waiting[MOST:]
            try:
                found = await self._ask(list(dict.fromkeys(entity_id for entity_id, _ in asked)))
            except Exception as error:  # noqa: BLE001 - it is raised where each was asked for
                for _, future in asked:
                    if not future.done():
                        future.set_exception(error)
            else:
                for entity_id, future in asked:
                    if not future.done():  # whoever asked may have gone
                        future.set_result(found.get(entity_id))
