"""One partition of the log: its fetched messages, its position, and the batches for the worker."""

from bisect import bisect_right
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import accumulate, islice
from typing import Final, Generic, TypeVar

from confluent_kafka import Message

from broker.offsets import Partition
from dataflows.fetch_memory import FetchMemory, size_of
from mobility.settings import Settings

_LIVE_PAUSE: Final = timedelta(milliseconds=100)
_BEHIND_PAUSE: Final = timedelta(milliseconds=20)
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Batch:
    """The next messages of a partition, and what is known of its log after them.

    `size` is in bytes of memory. `position` is the next offset to be read, behind the messages and
    control records after them, `lag` the number of offsets from there to the known end. A batch
    without messages says that one of these has changed.
    """

    partition: Partition
    messages: list[Message]
    size: int
    position: int
    lag: int
    is_behind: bool
    is_finished: bool
    is_end_confirmed: bool


class PartitionBuffer:
    """Messages of a partition that are fetched and in no batch yet, in offset order.

    `position` is the next offset that a batch will have, `end` the end of the log as the last fetch
    has seen it; that of a bounded read (MOBILITY_READ=once) stays where it was when reading began.
    `reached_end` is the offset at which the broker has reported the end of the partition, None if
    messages were fetched after that. `size` is in bytes of memory.
    """

    def __init__(
        self, topic: str, partition: int, position: int, end: int, settings: Settings
    ) -> None:
        self.key = (topic, partition)
        self.position = position
        self.end = end
        self.reached_end: int | None = None
        self.is_end_confirmed = False
        self.size = 0
        self._is_bounded = settings.read == "once"
        self._batch_size = settings.batch_size
        self._messages: deque[Message] = deque()
        self._told: tuple[int, int, bool] | None = None

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
        """Whether everything up to the end of the partition is in batches.

        Control records and aborted transactions at the end have offsets and no messages (KIP-98).
        """
        return self.reached_end is not None and not self._messages

    @property
    def is_complete(self) -> bool:
        """Whether everything up to the known end is here or in batches."""
        return self.reached_end is not None or self.next_offset >= self.end

    @property
    def next_offset(self) -> int:
        """The offset after the last message that is here or in batches."""
        return offset_of(self._messages[-1]) + 1 if self._messages else self.position

    @property
    def lag(self) -> int:
        """The number of offsets between the position and the known end.

        0 at the end of what is committed, whatever an open transaction has written behind it.
        """
        return 0 if self.is_at_end else max(self.end - self.position, 0)

    @property
    def is_behind(self) -> bool:
        """Whether more than a batch is left, or, in a bounded read, anything."""
        return self.lag >= (1 if self._is_bounded else self._batch_size)

    @property
    def is_finished(self) -> bool:
        """Whether a bounded read has read everything."""
        return self._is_bounded and self.lag == 0

    @property
    def has_update(self) -> bool:
        """Whether there is something to say that the last batch did not say, and no message."""
        return not self._messages and self._told != self._state

    @property
    def _state(self) -> tuple[int, int, bool]:
        return self.position, self.lag, self.is_at_end and self.is_end_confirmed

    def add(self, messages: list[Message]) -> int:
        """Append fetched messages; return their size."""
        if not messages:
            return 0
        size = size_of(len(messages), sum(map(len, messages)))
        self._messages.extend(messages)
        self.size += size
        self.reached_end = None
        self.is_end_confirmed = False
        return size

    def move_end(self, end: int) -> None:
        """Record the end of the log as a fetch has seen it."""
        if not self._is_bounded:
            self.end = max(self.end, end)

    def reach_end(self, offset: int) -> None:
        """Record that the broker has reported the end of the partition."""
        self.reached_end = offset
        self._pass_control_records()

    def clear(self) -> int:
        """Drop all messages; return their size."""
        size, self.size = self.size, 0
        self._messages.clear()
        return size

    def take(self, most: int, most_bytes: int) -> Batch:
        """Return the next messages, at least one if there is any, and move the position."""
        if len(self._messages) <= most and self.size <= most_bytes:
            taken = list(self._messages)
            size = self.clear()
        else:
            taken, size = self._take_some(most, most_bytes)
        if taken:
            self.position = max(self.position, offset_of(taken[-1]) + 1)
        self._pass_control_records()
        return self._batch(taken, size)

    def update(self) -> Batch:
        """Return a batch without messages, with the position and the lag of now."""
        return self._batch([], 0)

    def _batch(self, messages: list[Message], size: int) -> Batch:
        position, lag, is_end_confirmed = self._told = self._state
        return Batch(
            self.key,
            messages,
            size,
            position,
            lag,
            self.is_behind,
            self.is_finished,
            is_end_confirmed,
        )

    def _take_some(self, most: int, most_bytes: int) -> tuple[list[Message], int]:
        lengths = list(map(len, islice(self._messages, most)))
        if size_of(len(lengths), sum(lengths)) > most_bytes:
            sizes = accumulate(size_of(1, length) for length in lengths)
            fitting = bisect_right(list(sizes), most_bytes)
            lengths = lengths[: max(fitting, 1)]
        size = size_of(len(lengths), sum(lengths))
        self.size -= size
        return [self._messages.popleft() for _ in lengths], size

    def _pass_control_records(self) -> None:
        if self.reached_end is not None and not self._messages:
            self.position = max(self.position, self.reached_end)


B = TypeVar("B", bound=Batch)


class PartitionReader(Generic[B]):
    """The batches of one partition, in order: a thread puts them here, and the worker takes them.

    The first batch says what is known before anything is read. `ensure_started` is called where
    the worker finds no batch, and may raise.
    """

    def __init__(
        self,
        buffer: PartitionBuffer,
        memory: FetchMemory,
        ensure_started: Callable[[], None],
        close: Callable[["PartitionReader[B]"], None],
    ) -> None:
        self.buffer = buffer
        self._first = buffer.position
        self._memory = memory
        self._ensure_started = ensure_started
        self._close = close
        self._is_closed = False
        self._batches: deque[B] = deque()
        self._put = 0
        self._taken = 0
        self._last: B | None = None

    @property
    def position(self) -> int:
        """The offset after the last batch that was taken, or where reading begins."""
        return self._first if self._last is None else self._last.position

    @property
    def is_finished(self) -> bool:
        """Whether the worker has the last batch of a bounded read."""
        return self._last is not None and self._last.is_finished

    @property
    def waiting(self) -> int:
        """The size of what was put and not yet taken."""
        return self._put - self._taken

    def put(self, batch: B) -> None:
        """Add a batch."""
        self._put += batch.size
        self._batches.append(batch)

    def fetch(self) -> B | None:
        """Return the next batch, None without one. Raises what reading has raised."""
        if not self._batches:
            self._ensure_started()
            if self._last is None or self._last.lag > 0:
                self._memory.record_empty_poll(self)
            return None
        batch = self._last = self._batches.popleft()
        if batch.size:
            self._taken += batch.size
            self._memory.release(batch.size)
        return batch

    def next_poll(self) -> datetime | None:
        """Return when to fetch again, None for at once: there is a batch, or the end is reached.

        All partitions at the same time, as a worker that wakes up for each costs more than they do.
        """
        if self._batches or self.is_finished:
            return None
        is_behind = self._last is None or self._last.is_behind
        pause = _BEHIND_PAUSE if is_behind else _LIVE_PAUSE
        now = datetime.now(UTC)
        return now + pause - (now - _EPOCH) % pause

    def close(self) -> None:
        """Leave the partition."""
        if not self._is_closed:
            self._is_closed = True
            self._close(self)


def offset_of(message: Message) -> int:
    """Return the offset of a message in its partition."""
    return int(message.offset() or 0)
