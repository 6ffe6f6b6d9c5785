"""Fetching and decoding a partition's messages, one batch ahead of the worker."""

from bisect import bisect_left
from collections import deque
from collections.abc import Sequence
from concurrent.futures import Executor, Future
from dataclasses import dataclass
from datetime import datetime

from confluent_kafka import Message

from dataflows.partition_reader import PartitionReader, offset_of
from dataflows.rules import Rules
from mobility.enrichment import Tables
from mobility.trips import Decoded, decode_trips


@dataclass(frozen=True, slots=True)
class Fetched:
    """The next messages of a partition, and the state of its reader after them.

    `tables` are those that are in force for all of these messages.
    """

    messages: list[Message]
    decoded: Decoded
    tables: Tables
    lag: int
    is_behind: bool
    is_finished: bool
    next_poll: datetime | None


class Fetcher:
    """Fetches and decodes the next batch while the worker processes the last one.

    Kafka's client and Polars release Python's lock while they work, so a thread beside the worker
    uses a second core. Decoding needs no state, so it may be done ahead. At most one batch waits,
    as it costs memory, and none where the next one may not be full: it would be late by one poll.
    """

    def __init__(self, reader: PartitionReader, rules: Sequence[Rules], executor: Executor) -> None:
        """Fetch on a thread of the executor. The fetcher closes the reader.

        `rules` are those of the partition, in the order of their first offsets.
        """
        self._reader = reader
        self._rules = deque(rules)
        self._rest: list[Message] = []
        self._executor = executor
        self._next: Future[Fetched] | None = None

    def fetch(self) -> Fetched:
        """Return the next batch; raise what reading or decoding it raised."""
        fetched = self._read() if self._next is None else self._next.result()
        self._next = self._executor.submit(self._read) if fetched.is_behind else None
        return fetched

    def close(self) -> None:
        """Leave the broker; a batch that was fetched ahead is dropped, and read again next time."""
        if self._next is not None and not self._next.cancel():
            self._next.exception()
        self._reader.close()

    def _read(self) -> Fetched:
        reader = self._reader
        messages, self._rest = self._judged_alike(self._rest or reader.poll())
        rules, rest = self._rules[0], len(self._rest)
        return Fetched(
            messages,
            decode_trips([message.value() for message in messages], rules.trips),
            rules.tables,
            reader.lag + rest,
            reader.is_behind or rest > 0,
            reader.is_finished and rest == 0,
            None if rest else reader.next_poll(),
        )

    def _judged_alike(self, messages: list[Message]) -> tuple[list[Message], list[Message]]:
        """Return the first messages, which the first of the rules are in force for, and the rest.

        Rules that are not in force any more are dropped.
        """
        rules = self._rules
        if len(rules) == 1 or not messages:
            return messages, []
        while len(rules) > 1 and rules[1].first_offset <= offset_of(messages[0]):
            rules.popleft()
        end = rules[1].first_offset if len(rules) > 1 else offset_of(messages[-1]) + 1
        count = bisect_left(messages, end, key=offset_of)
        return messages[:count], messages[count:]
