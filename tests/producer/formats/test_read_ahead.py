"""Batches that are made while others are used."""

import threading
from collections.abc import Iterator

import pytest

from producer.formats.read_ahead import read_ahead


def test_the_next_item_is_made_while_one_is_used() -> None:
    """All come in their order, and no more than one ahead."""
    made: list[int] = []
    is_made = [threading.Event() for _ in range(4)]

    def source() -> Iterator[int]:
        for number in range(4):
            made.append(number)
            is_made[number].set()
            yield number

    used = []
    with read_ahead(source()) as numbers:
        for number in numbers:
            used.append(number)
            if number < 3:
                assert is_made[number + 1].wait(10)
            assert made == list(range(min(number + 2, 4)))
    assert used == [0, 1, 2, 3]


def test_an_error_comes_after_the_items_before_it() -> None:
    """As without reading ahead."""

    def source() -> Iterator[int]:
        yield 1
        msg = "the disk"
        raise OSError(msg)

    with read_ahead(source()) as items:
        assert next(items) == 1
        with pytest.raises(OSError, match="the disk"):
            next(items)


def test_no_thread_is_left_where_reading_ends_early() -> None:
    """The item that is being made is waited for."""
    with read_ahead([1, 2, 3]) as items:
        assert next(items) == 1
    assert not [each for each in threading.enumerate() if each.name.startswith("read-ahead")]
