"""Quix Streams: one entity, whose id is the key of the topic, with windows when they close."""

import tempfile
import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

import quixstreams.dataframe.windows.aggregations as agg
from peer_options import parse_options
from quixstreams import Application

# Long enough for the group to rebalance; the end of the topic is recognised by this timeout.
SILENCE_SECONDS = 10.0


def event_time(value: Any, *_: Any) -> int:  # noqa: ANN401 - of the library
    """Return a trip's start in epoch milliseconds."""
    return int(datetime.fromisoformat(value["start_time"]).timestamp() * 1_000)


def window_of(value: Any, key: Any, *_: Any) -> dict[str, Any]:  # noqa: ANN401 - of the library
    """Return a window as it is written."""
    start = datetime.fromtimestamp(value["start"] / 1_000, UTC)
    sums = {name: value[name] for name in value if name not in ("start", "end")}
    return {"entity_id": key, "window_start": start.isoformat(), **sums}


def main() -> None:
    """Run until the topic has been silent for a while."""
    options = parse_options()
    with tempfile.TemporaryDirectory() as state:
        app = Application(
            broker_address=options.brokers,
            # A new one each time: a group that has read the log would continue at its end.
            consumer_group=f"{options.prefix}{uuid.uuid4().hex}",
            auto_offset_reset="earliest",
            auto_create_topics=True,
            use_changelog_topics=False,
            state_dir=state,
            producer_extra_config={"compression.type": "lz4", "linger.ms": 20},
        )
        trips = app.topic(
            options.source,
            key_deserializer="str",
            value_deserializer="json",
            timestamp_extractor=event_time,
        )
        windows = app.topic(
            f"{options.prefix}driver", key_serializer="str", value_serializer="json"
        )
        totals = (
            app.dataframe(trips)
            .tumbling_window(timedelta(minutes=5), grace_ms=timedelta(seconds=30))
            .agg(
                trip_count=agg.Count(),
                total_duration=agg.Sum("duration_min"),
                total_distance=agg.Sum("distance_km"),
                total_revenue=agg.Sum("price"),
            )
            .final()
        )
        totals.apply(window_of, metadata=True).to_topic(windows)
        app.run(timeout=SILENCE_SECONDS, collect=False)


if __name__ == "__main__":
    main()
