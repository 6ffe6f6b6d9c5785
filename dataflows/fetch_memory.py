"""The memory for messages that are fetched and not yet processed: one budget for a process."""

import threading
from typing import Final

_MIB: Final = 1024 * 1024

_OBJECT_BYTES: Final = 400
"""What a message costs in Python beside its value: objects for itself, value, key and topic."""

_LARGEST_RESPONSE: Final = 8 * _MIB
_SMALLEST_RESPONSE: Final = 1 * _MIB
_SMALLEST_OF_PARTITION: Final = 64 * 1024
_PARTS_OF_RESPONSE: Final = 8
_LARGEST_QUEUE_MB: Final = 1024
_LARGEST_BATCH: Final = 32 * _MIB
"""A quarter of a second of work where messages are large."""

_SMALLEST_BATCH: Final = 1 * _MIB


class FetchMemory:
    """What waits, of all partitions together, and the parts of the budget in bytes.

    Up to half of the budget waits here: as messages, and as batches that are decoded and that no
    worker has taken yet. Then fetching stops. Where all of that is of partitions that no worker
    reads now, as they are ahead of others, those others use a further eighth. The client's queue
    has an eighth. The rest is for its responses, which it decompresses as a whole, and for the
    columns of decoded batches.
    """

    def __init__(self, megabytes: int) -> None:
        self._budget = megabytes * _MIB
        self._limit = self._budget // 2
        self._lock = threading.Lock()
        self._wakened = threading.Event()
        self._used = 0
        self._releases = 0
        self._asked: dict[object, int] = {}
        self.has_stalled = False

    @property
    def is_full(self) -> bool:
        """Whether half of the budget is used."""
        return self._used >= self._limit

    @property
    def batch(self) -> int:
        """How many bytes a batch has at most, or one message."""
        return max(min(self._budget // 8, _LARGEST_BATCH), _SMALLEST_BATCH)

    @property
    def queue_mb(self) -> int:
        """How much waits in the queue of the client, in MiB of values as they are decompressed."""
        return max(min(self._budget // 8 // _MIB, _LARGEST_QUEUE_MB), 1)

    @property
    def response(self) -> int:
        """How many bytes a response of a broker has at most, or one batch of a producer."""
        return max(min(self._budget // 64, _LARGEST_RESPONSE), _SMALLEST_RESPONSE)

    def share(self, partitions: int) -> int:
        """Return the share of one of so many partitions of what waits."""
        return self._limit // max(partitions, 1)

    def share_of_stalled(self, partitions: int) -> int:
        """Return how much is consumed at once where workers have nothing to do."""
        return self._budget // 8 // max(partitions, 1)

    def share_of_response(self, partitions: int) -> int:
        """Return how many bytes of one of so many partitions a response has at most."""
        part = self.response // min(max(partitions, 1), _PARTS_OF_RESPONSE)
        return max(min(part, self.share(partitions)), _SMALLEST_OF_PARTITION)

    def add(self, size: int) -> None:
        """Record messages that wait from now on."""
        with self._lock:
            self._used += size

    def release(self, size: int) -> None:
        """Record that messages do not wait any more."""
        with self._lock:
            self._used -= size
            self._releases += 1
            self.has_stalled = False
        self._wakened.set()

    def end_stall(self) -> None:
        """Record that there are batches for workers."""
        self.has_stalled = False

    def record_empty_poll(self, reader: object) -> None:
        """Record that a worker has polled a reader that has no batch.

        Two such polls, with nothing released in between, say that workers have nothing to do: all
        that fills the memory is of partitions that are held back, so fetching must go on.
        """
        if not self.is_full:
            return
        if self._asked.get(reader) == self._releases:
            self.has_stalled = True
            self._wakened.set()
        self._asked[reader] = self._releases

    def wake(self) -> None:
        """End a wait."""
        self._wakened.set()

    def wait(self, seconds: float) -> None:
        """Wait until messages are released, or a worker has nothing to do; at most so long."""
        self._wakened.wait(seconds)
        self._wakened.clear()


def size_of(messages: int, values: int) -> int:
    """Return the memory of so many messages whose values have so many bytes together."""
    return messages * _OBJECT_BYTES + values
