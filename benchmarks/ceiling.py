"""The upper bound for one process: consume the log, or consume and decode it, and nothing else."""

import argparse
import os
import sys
from typing import Any, Final

import polars as pl
from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, KafkaException, TopicPartition

from broker.clients import consumer_config
from broker.topics import find_topic
from mobility.settings import Settings, read_settings
from mobility.topics import trips_topic

_DESCRIPTION: Final = "Count the trips of the log, read or read and decoded by one process."
_BATCH: Final = 10_000
_MEMORY_MB: Final = 64
_POLL_SECONDS: Final = 0.05

_SCHEMA: Final = pl.Schema(
    {
        **dict.fromkeys(
            ("trip_id", "driver_id", "passenger_id", "vehicle_type", "start_time"), pl.String
        ),
        **dict.fromkeys(("start_location_id", "end_location_id"), pl.Int64),
        **dict.fromkeys(("duration_min", "distance_km", "price"), pl.Float64),
    }
)
"""The trips of the workload with their exact types: the fastest decoding."""

_FETCHING: Final[dict[str, Any]] = {
    "fetch.message.max.bytes": 8 << 20,
    "queued.min.messages": 100_000,
}


def count_trips(settings: Settings, *, decode: bool) -> int:
    """Read the trips topic to its end; return the number of messages, or with `decode` of trips."""
    topic = trips_topic(settings)
    config = consumer_config(settings, "benchmark-ceiling", memory_mb=_MEMORY_MB)
    consumer = Consumer(config | _FETCHING)
    partitions = set(find_topic(settings, topic).partitions)
    consumer.assign([TopicPartition(topic, number, OFFSET_BEGINNING) for number in partitions])
    count = 0
    while partitions:
        messages = consumer.consume(_BATCH, _POLL_SECONDS)
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
            count += _decode(values) if decode else len(values)
    consumer.close()
    return count


def _decode(values: list[bytes]) -> int:
    return pl.read_ndjson(b"\n".join(values), schema=_SCHEMA).height


def main() -> int:
    """Read the trips topic of the settings and print how many trips it has."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.ceiling", description=_DESCRIPTION)
    parser.add_argument("--decode", action="store_true", help="decode the trips, too")
    decode: bool = parser.parse_args().decode
    sys.stdout.write(f"{count_trips(read_settings(os.environ), decode=decode)}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
