"""Where the reading of a topic ends."""

from dataclasses import dataclass
from typing import cast

import confluent_kafka
from confluent_kafka import KafkaError

from audit.log import _finished


@dataclass(frozen=True, slots=True)
class Read:
    """What a consumer hands out: a message at an offset, or with an error the end of the log."""

    number: int
    at: int
    fault: KafkaError | None = None

    def partition(self) -> int:
        """Return the partition."""
        return self.number

    def offset(self) -> int:
        """Return the position."""
        return self.at

    def error(self) -> KafkaError | None:
        """Return what it is instead of a message."""
        return self.fault


def finished(*batch: Read) -> set[int]:
    """Return the partitions that end with this batch: 0 ends at offset 5, 1 at offset 3."""
    return _finished(cast("list[confluent_kafka.Message]", list(batch)), {0: 5, 1: 3})


def test_a_partition_that_keeps_growing_ends_where_it_ended_at_the_start() -> None:
    """Its consumer never gets to the end of the log, so the last offset wanted must do."""
    assert finished(Read(0, 3), Read(1, 1)) == set()
    assert finished(Read(0, 4), Read(1, 1)) == {0}
    assert finished(Read(0, 3), Read(1, 7)) == {1}


def test_a_partition_that_ends_without_a_message_ends_where_the_broker_says_so() -> None:
    """The last offsets may be control records, which nobody is shown."""
    end = KafkaError(KafkaError._PARTITION_EOF)
    assert finished(Read(0, 3), Read(0, 5, end)) == {0}
