"""Fetching and decoding a partition's messages, one batch ahead of the worker."""

from concurrent.futures import Executor, Future
from dataclasses import dataclass
from datetime import datetime

from confluent_kafka import Message

from dataflows.log_reader import PartitionReader
from mobility.trips import Decoded, decode_trips
from mobility.validation import TripRules


@dataclass(frozen=True, slots=True)
class Fetched:
    """The next messages of a partition, and the state of its reader after them."""

    messages: list[Message]
    decoded: Decoded
    lag: int
    is_behind: bool
    is_finished: bool
    is_end_confirmed: bool
    next_poll: datetime | None


class Fetcher:
    """Fetches and decodes the next batch while the worker processes the last one.

    Kafka's client and Polars release Python's lock while they work, so a thread beside the worker
    uses a second core. Decoding needs no state, so it may be done ahead. At most one batch waits,
    as it costs memory, and none where the next one may not be full: it would be late by one poll.
    """

    def __init__(self, reader: PartitionReader, rules: TripRules, executor: Executor) -> None:
        """Fetch on a thread of the executor. The fetcher closes the reader."""
        self._reader = reader
        self._rules = rules
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
        messages = reader.poll()
        return Fetched(
            messages,
            decode_trips([message.value() for message in messages], self._rules),
            reader.lag,
            reader.is_behind,
            reader.is_finished,
            reader.is_end_confirmed,
            reader.next_poll(),
        )
