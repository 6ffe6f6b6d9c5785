"""Single ids are asked for together, and each gets its own answer."""

import asyncio
from collections.abc import Mapping, Sequence

import pytest

from api.queries.lookup_batcher import MOST, Together


class Store:
    """Answers with an id's length, when it is let; ids that begin with `?` it does not know."""

    def __init__(self) -> None:
        self.asked: list[Sequence[str]] = []
        self.open = asyncio.Event()

    async def ask(self, ids: Sequence[str]) -> Mapping[str, int]:
        """Answer."""
        self.asked.append(ids)
        await self.open.wait()
        if "fail" in ids:
            msg = "down"
            raise ConnectionError(msg)
        return {one: len(one) for one in ids if not one.startswith("?")}


async def started(together: Together[int], *ids: str) -> list[asyncio.Task[int | None]]:
    """Ask for ids, each in a task of its own that has got as far as it can."""
    tasks = [asyncio.create_task(together.one(one)) for one in ids]
    for _ in range(5):
        await asyncio.sleep(0)
    return tasks


def test_what_comes_while_a_question_is_out_goes_out_together() -> None:
    """The first goes alone and at once; the others share one question, each id once."""

    async def ask() -> None:
        store = Store()
        together = Together(store.ask)
        tasks = await started(together, "a")
        tasks += await started(together, "bb", "bb", "?", "ccc")
        assert store.asked == [["a"]]
        store.open.set()
        assert await asyncio.gather(*tasks) == [1, 2, 2, None, 3]
        assert store.asked == [["a"], ["bb", "?", "ccc"]]

    asyncio.run(ask())


def test_a_failure_is_everybodys_who_waits() -> None:
    """What a question raised is raised to those behind it too; the next one is asked anew."""

    async def ask() -> None:
        store = Store()
        together = Together(store.ask)
        tasks = await started(together, "fail")
        tasks += await started(together, "a", "b")
        store.open.set()
        results = await asyncio.gather(*tasks, return_exceptions=True)
        assert [type(result) for result in results] == [ConnectionError] * 3
        assert store.asked == [["fail"]]
        assert await together.one("again") == 5

    asyncio.run(ask())


def test_nobody_waits_after_the_end() -> None:
    """Whoever is asking when the reader closes is cancelled."""

    async def ask() -> None:
        store = Store()
        together = Together(store.ask)
        tasks = await started(together, "a")
        tasks += await started(together, "b")
        await together.close()
        results = await asyncio.gather(*tasks, return_exceptions=True)
        assert [type(result) for result in results] == [asyncio.CancelledError] * 2

    asyncio.run(ask())


def test_whoever_leaves_takes_nobody_along() -> None:
    """A reader that is gone before its answer leaves those beside it theirs."""

    async def ask() -> None:
        store = Store()
        together = Together(store.ask)
        gone, stays = await started(together, "a", "bb")
        gone.cancel()
        store.open.set()
        assert await stays == 2
        with pytest.raises(asyncio.CancelledError):
            await gone

    asyncio.run(ask())


def test_a_crowd_is_divided() -> None:
    """No question has more ids than anybody should wait for."""

    async def ask() -> None:
        store = Store()
        together = Together(store.ask)
        ids = [f"{number:04}" for number in range(2 * MOST + 1)]
        tasks = await started(together, *ids)
        store.open.set()
        assert await asyncio.gather(*tasks) == [4] * len(ids)
        assert [len(asked) for asked in store.asked] == [MOST, MOST, 1]

    asyncio.run(ask())
