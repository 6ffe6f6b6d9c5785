"""Reading the log: one thread fetches and decodes the messages of all partitions of a process.

Kafka's client and Polars release Python's lock while they work, so a thread beside the workers uses
a second core; decoding needs no state, so it may be done ahead.
"""

import threading
import time
from collections.abc import Callable
from typing import Final, Generic

from broker.offsets import OffsetQuery
from dataflows.end_check import EndCheck
from dataflows.fetch_loop import Decode, FetchLoop
from dataflows.fetch_memory import FetchMemory
from dataflows.partition_reader import B, PartitionBuffer, PartitionReader
from dataflows.shared_consumer import SharedConsumer
from mobility.settings import Settings
from runtime.open_files import require_open_files

_CLOSE_SECONDS: Final = 10.0

_FILES: Final = 100
"""Of everything else: Python's, those of the recovery folder, the stores, and clients to spare."""

_FILES_OF_BROKER: Final = 12
"""A connection and the pipes of threads, and as much for clients that write."""

ChooseStartOffset = Callable[[int, int], int]
"""Is given the first offset of a partition and the one after its last; returns where to start."""


class LogReader(Generic[B]):
    """The partitions that a process reads, from the first fetch on. Workers share it.

    `decode` is called in the thread. What it raises, and what reading raises, is raised by each
    fetch for which no batch is left.
    """

    def __init__(
        self,
        settings: Settings,
        decode: Decode[B],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._settings = settings
        self._decode = decode
        self._offsets = OffsetQuery(settings)
        self._memory = FetchMemory(settings.fetch_memory_mb)
        self._check = EndCheck(self._offsets, clock)
        self._bounds: dict[str, dict[int, tuple[int, int]]] = {}
        self._lock = threading.Lock()
        self._opened: list[PartitionReader[B]] = []
        self._closed: list[PartitionReader[B]] = []
        self._open = 0
        self._error: BaseException | None = None
        self._thread: threading.Thread | None = None

    def open(
        self, topic: str, partition: int, partitions: tuple[int, ...], begin: ChooseStartOffset
    ) -> PartitionReader[B]:
        """Return the reader of a partition; `partitions` are all of the topic.

        Raises BrokerError where Kafka does not answer, RefusalError where this process may open too
        few files, and what `begin` raises.
        """
        with self._lock:
            if topic not in self._bounds:
                self._require_open_files(topic, len(partitions))
                # All at once, before anything is fetched: a broker answers one request after the
                # other, and a fetch may wait at the end of the log.
                self._bounds[topic] = self._offsets.bounds(topic, partitions)
            low, end = self._bounds[topic][partition]
            buffer = PartitionBuffer(topic, partition, begin(low, end), end, self._settings)
            reader = PartitionReader[B](buffer, self._memory, self._require_thread, self._close)
            self._opened.append(reader)
            self._open += 1
            return reader

    def _require_thread(self) -> None:
        """Start the thread, once; raise what has ended it."""
        if self._error is not None:
            raise self._error
        if self._thread is None:
            with self._lock:
                if self._thread is None:
                    self._thread = threading.Thread(target=self._run, name="fetching", daemon=True)
                    self._thread.start()

    def _close(self, reader: PartitionReader[B]) -> None:
        """Leave a partition; with the last one, leave the brokers."""
        with self._lock:
            self._closed.append(reader)
            self._open -= 1
            is_last = not self._open
        if is_last and self._thread is not None:
            self._memory.wake()
            self._thread.join(_CLOSE_SECONDS)

    def _run(self) -> None:
        try:
            consumer = SharedConsumer(self._settings, self._offsets, self._memory, self._open)
            try:
                loop = FetchLoop(consumer, self._memory, self._check, self._decode, self._settings)
                while self._open:
                    with self._lock:
                        opened, closed = self._opened, self._closed
                        self._opened, self._closed = [], []
                    loop.update_partitions(opened, closed)
                    loop.turn()
            finally:
                consumer.close()
        except BaseException as error:  # noqa: BLE001 - also a panic of Polars; workers raise it
            self._error = error

    def _require_open_files(self, topic: str, partitions: int) -> None:
        brokers = self._offsets.count_brokers(topic)
        needed = _FILES + _FILES_OF_BROKER * brokers
        require_open_files(needed, f"reading {topic} ({partitions} partitions, {brokers} brokers)")
