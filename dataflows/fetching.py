"""Fetching a partition's messages and decoding them, one batch ahead of the worker."""

from concurrent.futures import Executor, Future
from dataclasses import dataclass
from datetime import datetime

from confluent_kafka import Message

from dataflows.intake import PartitionIntake
from dataflows.partition_reader import PartitionReader
from mobility.trips import Decoded


@dataclass(frozen=True, slots=True)
class Fetched:
    """The next messages of a partition, and how its reader stood after them."""

    messages: list[Message]
    decoded: Decoded
    lag: int
    behind: bool
    finished: bool
    next_poll: datetime | None


class Fetcher:
    """Fetches the next batch while the last one is being counted.

    Kafka's client and Polars leave Python's lock to others while they work, so that a thread beside
    the worker uses a second core. There is one batch ahead at most, as it is memory that waits, and
    none where there may be no full one: what waits would be late by one poll.
    """

    def __init__(
        self, reader: PartitionReader, intake: PartitionIntake, executor: Executor
    ) -> None:
        """Fetch on a thread of the executor. The reader is this fetcher's to close."""
        self._reader = reader
        self._intake = intake
        self._executor = executor
        self._ahead: Future[Fetched] | None = None

    def take(self) -> Fetched:
        """Return the next batch; raise what reading or decoding it raised."""
        fetched = self._fetch() if self._ahead is None else self._ahead.result()
        self._ahead = self._executor.submit(self._fetch) if fetched.behind else None
        return fetched

    def close(self) -> None:
        """Leave the broker; a batch that was fetched ahead is as if it had not been."""
        if self._ahead is not None and not self._ahead.cancel():
            self._ahead.exception()
        self._reader.close()

    def _fetch(self) -> Fetched:
        reader = self._reader
        messages = reader.poll()
        return Fetched(
            messages,
            self._intake.decode(messages),
            reader.lag,
            reader.behind,
            reader.finished,
            reader.next_poll(),
        )
