"""The newest messages of a topic, read backwards in blocks, within bounds.

Kafka reads forwards only, and the last offsets of a partition may belong to control records or
aborted transactions. So blocks of offsets are read from the end on, each larger than the one after
it, and a block counts once all of it was read.
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final, Generic, TypeVar, cast

from confluent_kafka import Message

from broker.errors import BrokerError
from broker.topic_reader import TopicReader
from mobility.settings import Settings

T = TypeVar("T")

_FIRST_BLOCK: Final = 64
"""Offsets in the first block, of all partitions together: a message may have 15 MiB."""

_GROWTH: Final = 4
_BATCH: Final = 500
"""Messages in a call of the client, which keeps other threads of Python waiting."""

_MEMORY_MB: Final = 8
_CLIENT_ID: Final = "mobility-newest"


@dataclass(frozen=True, slots=True)
class ReadBounds:
    """How much is read at most.

    A block that would go beyond the bytes or the seconds is left out. The first one is read again
    in smaller parts, down to a message of each partition.
    """

    messages: int
    bytes: int
    seconds: float


@dataclass(slots=True)
class NewestMessages(Generic[T]):
    """What was read of each partition: everything committed from its start up to its end.

    `kept` has (offset, what was kept of the message), the newest first; `begins` are the first
    offsets that there are.
    """

    begins: dict[int, int]
    starts: dict[int, int]
    kept: dict[int, list[tuple[int, T]]] = field(default_factory=dict)


class _BeyondBoundsError(Exception):
    """A block is larger, or takes longer, than is allowed."""


def read_newest(
    settings: Settings,
    topic: str,
    keep: Callable[[Message], T],
    bounds: ReadBounds,
    before: Mapping[int, int] | None = None,
) -> NewestMessages[T]:
    """Read the newest messages, or those before these offsets; `keep` takes what is needed of each.

    It joins no group and commits nothing. Partitions that `before` lacks are not read. Raises
    MissingTopicError, AccessError, BrokerError.
    """
    with TopicReader(settings, topic, client_id=_CLIENT_ID, memory_mb=_MEMORY_MB) as reader:
        return _BackwardReader(reader, keep, bounds).read(before)


class _BackwardReader(Generic[T]):
    """One such read; its time begins once the topic is known."""

    def __init__(
        self, reader: TopicReader, keep: Callable[[Message], T], bounds: ReadBounds
    ) -> None:
        self._reader = reader
        self._keep = keep
        self._bounds = bounds
        self._deadline = time.monotonic() + bounds.seconds
        self._messages = 0
        self._bytes = 0

    def read(self, before: Mapping[int, int] | None) -> NewestMessages[T]:
        ends = {each: self._reader.bounds(each) for each in self._reader.partitions}
        begins = {partition: begin for partition, (begin, _) in ends.items()}
        # Retention may have deleted what was before, and a topic that was made again is shorter.
        starts = {
            partition: end if before is None else min(max(before.get(partition, 0), begin), end)
            for partition, (begin, end) in ends.items()
        }
        found: NewestMessages[T] = NewestMessages(begins, starts, {each: [] for each in begins})
        size, is_first = max(1, _FIRST_BLOCK // max(1, len(begins))), True
        while size and any(starts[each] > begins[each] for each in begins):
            try:
                self._read_block(found, size)
            except _BeyondBoundsError:
                if not is_first:
                    break
                if size == 1 or self._is_over():
                    raise self._too_slow() from None
                size = max(1, size // _GROWTH**2)
                continue
            is_first = False
            size = self._next_size(size, len(begins))
        return found

    def _next_size(self, size: int, partitions: int) -> int:
        """Return how many offsets of each partition to read next; 0 where it is enough."""
        if self._is_over():
            return 0
        left = self._bounds.messages - self._messages
        mean = max(1, self._bytes // max(1, self._messages))
        left = min(left, (self._bounds.bytes - self._bytes) // mean)
        return max(0, min(size * _GROWTH, left // partitions))

    def _read_block(self, found: NewestMessages[T], size: int) -> None:
        ends = {each: end for each, end in found.starts.items() if end > found.begins[each]}
        starts = {each: max(found.begins[each], end - size) for each, end in ends.items()}
        offsets = sum(ends[each] - starts[each] for each in starts)
        block: dict[int, list[tuple[int, T]]] = {each: [] for each in starts}
        # A single message may be larger than the bound; it is shown all the same.
        most = self._bounds.bytes if size > 1 else float("inf")
        read = 0
        for batch in self._reader.read(
            starts, ends, batch_size=min(offsets, _BATCH), on_progress=self._check_time
        ):
            for message in batch:
                read += len(message.value() or b"") + len(message.key() or b"")
                place = cast("int", message.partition()), cast("int", message.offset())
                block[place[0]].append((place[1], self._keep(message)))
            if read > most:
                raise _BeyondBoundsError
        for partition, messages in block.items():
            found.kept[partition] += reversed(messages)
        found.starts |= starts
        # Offsets without a message cost time as well.
        self._messages += offsets
        self._bytes += read

    def _is_over(self) -> bool:
        return time.monotonic() > self._deadline

    def _check_time(self, _done: int, _total: int) -> None:
        if self._is_over():
            raise _BeyondBoundsError

    def _too_slow(self) -> BrokerError:
        return BrokerError(
            f"Kafka sent too little of {self._reader.topic} within {self._bounds.seconds:.0f} s. "
            "Is it overloaded?"
        )
