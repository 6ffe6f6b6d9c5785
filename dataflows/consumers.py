"""The consumers of a process, which share its partitions of the log."""

from itertools import cycle
from typing import Final

from broker.offsets import OffsetQuery
from dataflows.log_reader import Begin, LogReader
from dataflows.partition_reader import PartitionReader
from mobility.settings import Settings
from runtime.open_files import require_open_files

_MOST: Final = 4
"""A partition with a consumer of its own costs half of the CPU time of one that shares a consumer:
there it also handles the messages of others. But each consumer has threads and connections."""

_FILES: Final = 100
"""Of everything else: Python's, those of the recovery folder, the stores, and clients to spare."""

_FILES_OF_CONSUMER: Final = 12
"""For each broker: a connection and the pipes of threads, and as much for clients that write."""


class Consumers:
    """At most four consumers. Each is created when it is needed; they share one memory budget."""

    def __init__(self, settings: Settings) -> None:
        self._offsets = OffsetQuery(settings)
        self._may_open = False
        memory_mb = max(settings.fetch_memory_mb // _MOST, 1)
        # Round-robin: which of the partitions this process gets is not known here.
        self._readers = cycle([LogReader(settings, self._offsets, memory_mb) for _ in range(_MOST)])

    def open(
        self, topic: str, partition: int, partitions: tuple[int, ...], begin: Begin
    ) -> PartitionReader:
        """Return the reader of a partition; `partitions` are all of the topic.

        Raises BrokerError where Kafka does not answer, RefusalError where this process may open too
        few files, and what `begin` raises.
        """
        if not self._may_open:
            self._require_open_files(topic, len(partitions))
            self._may_open = True
        return next(self._readers).open(topic, partition, partitions, begin)

    def _require_open_files(self, topic: str, partitions: int) -> None:
        brokers = self._offsets.count_brokers(topic)
        needed = _FILES + _FILES_OF_CONSUMER * min(partitions, _MOST) * brokers
        require_open_files(needed, f"reading {topic} ({partitions} partitions, {brokers} brokers)")
