"""Lookups of single ids are batched, and each gets its own result."""

import asyncio
from collections.abc import Mapping, Sequence

import pytest

from api.queries.redis_queries import MAX_LOOKUPS, LookupBatcher


class FakeStore:
    """Returns the length of each id once `open` is set; ids that begin with `?` are unknown."""

    def __init__(self) -> None:
        self.queries: list[Sequence[str]] = []
        self.open = asyncio.Event()

    async def query(self, ids: Sequence[str]) -> Mapping[str, int]:
        """Return the lengths of the ids."""
        self.queries.append(ids)
        await self.open.wait()
        if "fail" in ids:
            msg = "down"
            raise ConnectionError(msg)
        return {one: len(one) for one in ids if not one.startswith("?")}


async def start_lookups(batcher: LookupBatcher[int], *ids: str) -> list[asyncio.Task[int | None]]:
    """Look up ids in a task each, which runs until it waits."""
    tasks = [asyncio.create_task(batcher.get(one)) for one in ids]
    for _ in range(5):
        await asyncio.sleep(0)
    return tasks


def test_lookups_during_a_query_share_the_next_one() -> None:
    """The first lookup is a query of its own; the others share one, with each id once."""

    async def run() -> None:
        store = FakeStore()
        batcher = LookupBatcher(store.query)
        tasks = await start_lookups(batcher, "a")
        tasks += await start_lookups(batcher, "bb", "bb", "?", "ccc")
        assert store.queries == [["a"]]
        store.open.set()
        assert await asyncio.gather(*tasks) == [1, 2, 2, None, 3]
        assert store.queries == [["a"], ["bb", "?", "ccc"]]

    asyncio.run(run())


def test_a_failure_fails_all_waiting_lookups() -> None:
    """Those that wait for the next query fail, too; later lookups query again."""

    async def run() -> None:
        store = FakeStore()
        batcher = LookupBatcher(store.query)
        tasks = await start_lookups(batcher, "fail")
        tasks += await start_lookups(batcher, "a", "b")
        store.open.set()
        results = await asyncio.gather(*tasks, return_exceptions=True)
        assert [type(result) for result in results] == [ConnectionError] * 3
        assert store.queries == [["fail"]]
        assert await batcher.get("again") == 5

    asyncio.run(run())


def test_closing_cancels_waiting_lookups() -> None:
    """Lookups that run or wait at the time of closing are cancelled."""

    async def run() -> None:
        store = FakeStore()
        batcher = LookupBatcher(store.query)
        tasks = await start_lookups(batcher, "a")
        tasks += await start_lookups(batcher, "b")
        await batcher.close()
        results = await asyncio.gather(*tasks, return_exceptions=True)
        assert [type(result) for result in results] == [asyncio.CancelledError] * 2

    asyncio.run(run())


def test_a_cancelled_lookup_does_not_affect_others() -> None:
    """The other lookups of the same query get their results."""

    async def run() -> None:
        store = FakeStore()
        batcher = LookupBatcher(store.query)
        cancelled, waiting = await start_lookups(batcher, "a", "bb")
        cancelled.cancel()
        store.open.set()
        assert await waiting == 2
        with pytest.raises(asyncio.CancelledError):
            await cancelled

    asyncio.run(run())


def test_queries_have_a_maximum_size() -> None:
    """More lookups than the maximum are divided into several queries."""

    async def run() -> None:
        store = FakeStore()
        batcher = LookupBatcher(store.query)
        ids = [f"{number:04}" for number in range(2 * MAX_LOOKUPS + 1)]
        tasks = await start_lookups(batcher, *ids)
        store.open.set()
        assert await asyncio.gather(*tasks) == [4] * len(ids)
        assert [len(ids) for ids in store.queries] == [MAX_LOOKUPS, MAX_LOOKUPS, 1]

    asyncio.run(run())
