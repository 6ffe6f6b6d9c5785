"""The consumer that people write first: an object per message, and both stores after each one.

The sums of each window are in a dict. After each message every entity has one `SET` in Redis and
one upsert in Postgres, in a transaction of its own. Windows are in the table `windows`.
"""

import json
import os
from collections.abc import Iterator
from datetime import UTC, datetime

import psycopg
import redis
from confluent_kafka import Consumer
from peer_options import ENTITIES, parse_options
from peer_totals import Totals, Trip, no_trips, with_trip

LENGTH = 300

UPSERT = """INSERT INTO windows VALUES (%s, %s, %s, %s, %s, %s, %s)
ON CONFLICT (entity, id, window_start) DO UPDATE SET
  trip_count = excluded.trip_count,
  total_duration = excluded.total_duration,
  total_distance = excluded.total_distance,
  total_revenue = excluded.total_revenue"""


def trips_of(brokers: str, topic: str, number: int) -> Iterator[Trip]:
    """Yield so many trips, from the beginning of the topic."""
    consumer = Consumer(
        {
            "bootstrap.servers": brokers,
            "group.id": f"consumer of {topic}",
            "auto.offset.reset": "earliest",
            "enable.auto.commit": False,
        }
    )
    consumer.subscribe([topic])
    while number:
        message = consumer.poll(1.0)
        if message is not None and message.error() is None:
            number -= 1
            yield json.loads(message.value() or b"")
    consumer.close()


def start_of(trip: Trip) -> datetime:
    """Return the start of the window of a trip."""
    at = int(datetime.fromisoformat(trip["start_time"]).timestamp())
    return datetime.fromtimestamp(at - at % LENGTH, UTC)


def main() -> None:
    """Count the trips."""
    options = parse_options()
    client = redis.Redis.from_url(os.environ["MOBILITY_REDIS"])
    prefix = os.environ["MOBILITY_REDIS_PREFIX"]
    windows: dict[tuple[str, str, datetime], Totals] = {}
    with psycopg.connect(os.environ["MOBILITY_POSTGRES"]) as database:
        for trip in trips_of(options.brokers, options.source, options.trips):
            start = start_of(trip)
            for entity, field in ENTITIES.items():
                key = entity, str(trip[field]), start
                totals = with_trip(windows.setdefault(key, no_trips()), trip)
                client.set(f"{prefix}{entity}:{trip[field]}", json.dumps(totals))
                database.execute(UPSERT, (*key, *totals.values()))
            database.commit()


if __name__ == "__main__":
    main()
