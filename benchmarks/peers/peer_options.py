"""The command line that all peers share. Each runs in an environment without this project."""

import argparse

ENTITIES = {
    "driver": "driver_id",
    "passenger": "passenger_id",
    "vehicle_type": "vehicle_type",
    "h3": "start_location_id",
}
"""The entities, and the field of the workload's trips that their id is taken from."""


def parse() -> argparse.Namespace:
    """Read the command line; windows go to `<prefix><entity>`."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--brokers", required=True)
    parser.add_argument("--source", required=True, help="topic of trips")
    parser.add_argument("--prefix", required=True, help="of the topics of windows")
    parser.add_argument("--trips", required=True, type=int, help="how many the topic holds")
    parser.add_argument("--tuned", action="store_true")
    parser.add_argument("--jar", help="Flink's connector for Kafka")
    return parser.parse_args()
