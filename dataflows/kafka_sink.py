"""Output to Kafka that recovery can rely on: nothing is snapshot before it is delivered."""

from collections.abc import Callable, Iterable
from typing import Generic, TypeVar

from bytewax.outputs import FixedPartitionedSink, StatefulSinkPartition

from dataflows.deliveries import Deliveries
from dataflows.items import Columns, Records
from mobility.settings import Settings

X = TypeVar("X")

Encode = Callable[[X], Iterable[Records | Columns]]


class KafkaSink(FixedPartitionedSink[X, None], Generic[X]):
    """Writes what `encode` makes of each item: at least once, never silently lost.

    Items come keyed by shard, as `00`, `01` and so on. All partitions of a process share its
    deliveries; recovery waits until all that those were handed is delivered.
    """

    def __init__(self, settings: Settings, deliveries: Deliveries, encode: Encode[X]) -> None:
        self._shards = settings.shards
        self._deliveries = deliveries
        self._encode = encode

    def list_parts(self) -> list[str]:
        """Return one partition a shard."""
        return [shard_key(shard) for shard in range(self._shards)]

    def part_fn(self, item_key: str) -> int:
        """Return the shard: keys are of one width, so the sorted list is in their order."""
        return int(item_key)

    def build_part(
        self, step_id: str, for_part: str, resume_state: None
    ) -> "KafkaSinkPartition[X]":
        """Return a partition; the broker is met with the first record."""
        del step_id, for_part, resume_state
        return KafkaSinkPartition(self._deliveries, self._encode)


class KafkaSinkPartition(StatefulSinkPartition[X, None], Generic[X]):
    """Sends at once and lets the snapshot wait for the deliveries."""

    def __init__(self, deliveries: Deliveries, encode: Encode[X]) -> None:
        self._deliveries = deliveries
        self._encode = encode

    def write_batch(self, values: list[X]) -> None:
        """Send the records of the items."""
        for value in values:
            for records in self._encode(value):
                self._deliveries.send(records)

    def snapshot(self) -> None:
        """Return when everything written is delivered; raise DeliveryError where it is not."""
        self._deliveries.flush()

    def close(self) -> None:
        """Deliver what is left; a failure that was reported already is not reported twice."""
        # Bytewax closes while it unwinds, where a second error would hide the first.
        if not self._deliveries.reported:
            self._deliveries.flush()


def shard_key(shard: int) -> str:
    """Return the key of a shard, of one width so that sorting keeps the order."""
    return f"{shard:04}"
