"""Pathway: JSON from Kafka, `windowby` and `reduce` per entity, two threads.

It reads what the topic holds and exits (`mode="static"`), so it writes only the last update of a
window: its fastest mode.
"""

import os
from datetime import timedelta

os.environ.setdefault("PATHWAY_THREADS", "2")  # read when the package is imported

import pathway as pw
from peer_options import ENTITIES, parse_options


class Trip(pw.Schema):  # type: ignore[misc] # its types are in another environment
    """The fields of a trip that windows need."""

    driver_id: str
    passenger_id: str
    vehicle_type: str
    start_location_id: int
    start_time: str
    duration_min: float
    distance_km: float
    price: float


def main() -> None:
    """Run to the end of the topic."""
    options = parse_options()
    kafka = {"bootstrap.servers": options.brokers}
    reading = {"group.id": f"{options.prefix}pathway", "auto.offset.reset": "earliest"}
    writing = {"compression.type": "lz4", "linger.ms": "20"}
    trips = pw.io.kafka.read(
        kafka | reading, topic=options.source, schema=Trip, format="json", mode="static"
    )
    run_timed = trips.with_columns(at=trips.start_time.dt.strptime("%Y-%m-%dT%H:%M:%S%.fZ"))
    for name, field in ENTITIES.items():
        windows = run_timed.windowby(
            run_timed.at,
            window=pw.temporal.tumbling(duration=timedelta(minutes=5)),
            instance=run_timed[field],
        ).reduce(
            entity_id=pw.cast(str, pw.this["_pw_instance"]),
            window_start=pw.this["_pw_window_start"].dt.strftime("%Y-%m-%dT%H:%M:%S"),
            trip_count=pw.reducers.count(),
            total_duration=pw.reducers.sum(pw.this.duration_min),
            total_distance=pw.reducers.sum(pw.this.distance_km),
            total_revenue=pw.reducers.sum(pw.this.price),
        )
        pw.io.kafka.write(windows, kafka | writing, topic_name=options.prefix + name, format="json")
    pw.run(monitoring_level=pw.MonitoringLevel.NONE)


if __name__ == "__main__":
    main()
