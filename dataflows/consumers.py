"""The consumers of a process, which share its partitions of the log."""

from itertools import cycle
from typing import Final

from broker.offsets import OffsetQuery
from dataflows.log_reader import Begin, LogReader
from dataflows.partition_reader import PartitionReader
from mobility.settings import Settings

_MOST: Final = 4
"""A partition with a consumer of its own costs half of the CPU time of one that shares a consumer:
there it also handles the messages of others. But each consumer has threads and connections."""


class Consumers:
    """At most four consumers. Each is created when it is needed; they share one memory budget."""

    def __init__(self, settings: Settings) -> None:
        offsets = OffsetQuery(settings)
        memory_mb = settings.fetch_memory_mb // _MOST
        # Round-robin: which of the partitions this process gets is not known here.
        self._readers = cycle([LogReader(settings, offsets, memory_mb) for _ in range(_MOST)])

    def open(
        self, topic: str, partition: int, partitions: tuple[int, ...], begin: Begin
    ) -> PartitionReader:
        """Return the reader of a partition; `partitions` are all of the topic.

        Raises BrokerError where Kafka does not answer, and what `begin` raises.
        """
        return next(self._readers).open(topic, partition, partitions, begin)
