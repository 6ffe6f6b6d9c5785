"""One partition of the log: its fetched messages, its position, and batches decoded ahead."""

from bisect import bisect_left, bisect_right
from collections import deque
from collections.abc import Sequence
from concurrent.futures import Executor, Future
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import accumulate, islice
from typing import Final, Protocol

from confluent_kafka import Message

from dataflows.rules import Rules
from mobility.enrichment import Tables
from mobility.settings import Settings
from mobility.trips import Decoded, decode_trips
from mobility.values import ValueFormat

# Long enough for librdkafka to fill a batch, short enough for the other partitions.
_FILL_SECONDS: Final = 0.05
_LIVE_PAUSE: Final = timedelta(milliseconds=100)
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


class PartitionBuffer:
    """Messages of a partition that are fetched and not yet read, in offset order.

    `position` is the next offset to be read, `end` the end of the log when reading began.
    `reached_end` is the offset at which the broker has reported the end of the partition, None if
    messages were fetched after that.
    """

    def __init__(self, topic: str, partition: int, position: int, end: int) -> None:
        self.key = (topic, partition)
        self.position = position
        self.end = end
        self.reached_end: int | None = None
        self.is_paused = False
        self.is_end_confirmed = False
        self.size = 0
        self._messages: deque[Message] = deque()

    @property
    def name(self) -> str:
        """The name of the partition, for messages."""
        return f"{self.key[0]} partition {self.key[1]}"

    @property
    def messages(self) -> int:
        """The number of buffered messages."""
        return len(self._messages)

    @property
    def is_at_end(self) -> bool:
        """Whether everything up to the end of the partition is read.

        Control records and aborted transactions at the end have offsets and no messages (KIP-98).
        """
        return self.reached_end is not None and not self._messages

    def add(self, messages: list[Message]) -> None:
        """Append fetched messages."""
        if messages:
            self._messages.extend(messages)
            self.size += sum(map(len, messages))
            self.is_end_confirmed = False

    def take(self, most: int, most_bytes: int) -> list[Message]:
        """Return the next messages, at least one if there is any, and move the position."""
        if len(self._messages) <= most and self.size <= most_bytes:
            taken = list(self._messages)
            self._messages.clear()
            self.size = 0
        else:
            taken = self._take_some(most, most_bytes)
        if taken:
            self.position = max(self.position, offset_of(taken[-1]) + 1)
        if self.reached_end is not None and not self._messages:
            self.position = max(self.position, self.reached_end)
        return taken

    def _take_some(self, most: int, most_bytes: int) -> list[Message]:
        lengths = list(map(len, islice(self._messages, most)))
        if sum(lengths) > most_bytes:
            fitting = bisect_right(list(accumulate(lengths)), most_bytes)
            lengths = lengths[: max(fitting, 1)]
        self.size -= sum(lengths)
        return [self._messages.popleft() for _ in lengths]


class SharedConsumer(Protocol):
    """A consumer that fetches the messages of several partitions."""

    def poll(self, buffer: PartitionBuffer, seconds: float) -> list[Message]:
        """Return the next messages of a partition; wait at most so long for them."""
        ...

    def known_end(self, buffer: PartitionBuffer) -> int:
        """Return the end of a partition as the last fetch has seen it."""
        ...

    def close(self, buffer: PartitionBuffer) -> None:
        """Leave a partition."""
        ...


class PartitionReader:
    """One partition of the log, and its position.

    A bounded read (MOBILITY_READ=once) ends where the log ended when it began.
    """

    def __init__(
        self, consumer: SharedConsumer, buffer: PartitionBuffer, settings: Settings
    ) -> None:
        self._consumer = consumer
        self._buffer = buffer
        self._is_bounded = settings.read == "once"
        self._batch_size = settings.batch_size
        self._end = buffer.end

    @property
    def position(self) -> int:
        """The next offset to be read."""
        return self._buffer.position

    @property
    def end(self) -> int:
        """The offset after the last one known."""
        return max(self._end, self.position)

    @property
    def lag(self) -> int:
        """The number of offsets between the position and the known end.

        None at the end of what is committed, whatever an open transaction has written behind it.
        """
        return 0 if self._buffer.is_at_end else self.end - self.position

    @property
    def is_finished(self) -> bool:
        """Whether a bounded read has read everything."""
        return self._is_bounded and self.lag == 0

    @property
    def is_behind(self) -> bool:
        """Whether more than a batch is left, or, in a bounded read, anything."""
        return self.lag >= (1 if self._is_bounded else self._batch_size)

    @property
    def is_end_confirmed(self) -> bool:
        """Whether the broker has confirmed lately that there is nothing more to be read.

        Without that, a partition whose fetches fail would look as if it had no new messages.
        """
        return self._buffer.is_at_end and self._buffer.is_end_confirmed

    def poll(self) -> list[Message]:
        """Return the next messages, up to a batch; waits for them only while behind."""
        messages = self._consumer.poll(self._buffer, _FILL_SECONDS if self.is_behind else 0.0)
        if not self._is_bounded and not self._buffer.is_at_end:
            self._end = max(self._end, self._consumer.known_end(self._buffer))
        return messages

    def next_poll(self) -> datetime | None:
        """Return when to poll again: at once while behind, else at the next tenth of a second.

        All partitions at the same time, as a worker that wakes up for each costs more than they do.
        """
        if self.is_behind or self.is_finished:
            return None
        now = datetime.now(UTC)
        return now + _LIVE_PAUSE - (now - _EPOCH) % _LIVE_PAUSE

    def close(self) -> None:
        """Leave the partition."""
        self._consumer.close(self._buffer)


@dataclass(frozen=True, slots=True)
class Fetched:
    """The next messages of a partition, and the state of its reader after them.

    `position` is the next offset to be read, behind the messages and control records after them.
    `tables` are those that are in force for all of these messages.
    """

    messages: list[Message]
    decoded: Decoded
    tables: Tables
    position: int
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

    def __init__(
        self,
        reader: PartitionReader,
        rules: Sequence[Rules],
        form: ValueFormat,
        executor: Executor,
    ) -> None:
        """Fetch on a thread of the executor. The fetcher closes the reader.

        `rules` are those of the partition, in the order of their first offsets; `form` is where in
        a message its trip is.
        """
        self._reader = reader
        self._rules = deque(rules)
        self._form = form
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
        messages, self._rest = self._under_same_rules(self._rest or reader.poll())
        rules, rest = self._rules[0], len(self._rest)
        return Fetched(
            messages,
            decode_trips([message.value() for message in messages], rules.trips, self._form),
            rules.tables,
            offset_of(messages[-1]) + 1 if rest else reader.position,
            reader.lag + rest,
            reader.is_behind or rest > 0,
            reader.is_finished and rest == 0,
            reader.is_end_confirmed and rest == 0,
            None if rest else reader.next_poll(),
        )

    def _under_same_rules(self, messages: list[Message]) -> tuple[list[Message], list[Message]]:
        """Return the messages for which the rules of the first one are in force, and the rest.

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


def offset_of(message: Message) -> int:
    """Return the offset of a message in its partition."""
    return int(message.offset() or 0)
