"""Reading ahead: the next batch is made while the one before it is used."""

from collections.abc import Iterable, Iterator
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import contextmanager
from typing import TypeVar

_Item = TypeVar("_Item")


@contextmanager
def read_ahead(items: Iterable[_Item]) -> Iterator[Iterator[_Item]]:
    """Yield the items, each of which is made in another thread while the one before it is used.

    Most of the work on batches is Polars', which needs no lock of Python: two cores share it. At
    the end an item that is being made is waited for.
    """
    with ThreadPoolExecutor(1, "read-ahead") as executor:
        yield _one_ahead(iter(items), executor)


def _one_ahead(items: Iterator[_Item], executor: Executor) -> Iterator[_Item]:
    upcoming = executor.submit(next, items, None)
    while (item := upcoming.result()) is not None:
        upcoming = executor.submit(next, items, None)
        yield item
