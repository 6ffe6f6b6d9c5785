"""What one process can do at most: consume the log, or consume and decode it, and nothing else."""

import argparse
import sys
from typing import Any, Final

import polars as pl
from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, KafkaException, TopicPartition

_BATCH: Final = 10_000
_TIMEOUT: Final = 15.0
_FILL_SECONDS: Final = 0.05

_SCHEMA: Final = pl.Schema(
    {
        **dict.fromkeys(
            ("trip_id", "driver_id", "passenger_id", "vehicle_type", "start_time"), pl.String
        ),
        **dict.fromkeys(("start_location_id", "end_location_id"), pl.Int64),
        **dict.fromkeys(("duration_min", "distance_km", "price"), pl.Float64),
    }
)
"""The trips of the workload with their own types: the cheapest decoding there is."""

_CONFIG: Final[dict[str, Any]] = {
    "group.id": "ceiling",
    "enable.auto.commit": False,
    "enable.partition.eof": True,
    "fetch.message.max.bytes": 8 << 20,
    "queued.min.messages": 100_000,
    "queued.max.messages.kbytes": 65_536,
}


def read(brokers: str, topic: str, *, decode: bool) -> int:
    """Read a topic to its end; return how many messages (with `decode`, trips) there were."""
    consumer = Consumer({"bootstrap.servers": brokers, **_CONFIG})
    partitions = set(consumer.list_topics(topic, timeout=_TIMEOUT).topics[topic].partitions)
    consumer.assign([TopicPartition(topic, number, OFFSET_BEGINNING) for number in partitions])
    count = 0
    while partitions:
        messages = consumer.consume(_BATCH, _FILL_SECONDS)
        values = []
        for message in messages:
            error = message.error()
            if error is None:
                values.append(message.value() or b"")
            elif error.code() == KafkaError._PARTITION_EOF:  # noqa: SLF001 - its public name is this
                partitions.discard(message.partition() or 0)
            else:
                raise KafkaException(error)
        if values:
            count += _decoded(values) if decode else len(values)
    consumer.close()
    return count


def _decoded(values: list[bytes]) -> int:
    return pl.read_ndjson(b"\n".join(values), schema=_SCHEMA).height


def main() -> int:
    """Read a topic and say how many trips it has."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.ceiling", description=__doc__)
    parser.add_argument("--brokers", required=True)
    parser.add_argument("--topic", required=True)
    parser.add_argument("--decode", action="store_true")
    options = parser.parse_args()
    count = read(options.brokers, options.topic, decode=options.decode)
    sys.stdout.write(f"{count}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
