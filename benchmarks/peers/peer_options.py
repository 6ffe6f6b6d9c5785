"""The command line of all peers, which run in environments without this project."""

import argparse

ENTITIES = {
    "driver": "driver_id",
    "passenger": "passenger_id",
    "vehicle_type": "vehicle_type",
    "h3": "start_location_id",
}
"""The entities, and the field of a trip that has their id."""


def parse_options() -> argparse.Namespace:
    """Parse the command line; windows are written to `<prefix><entity>`."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--brokers", required=True)
    parser.add_argument("--source", required=True, help="topic of trips")
    parser.add_argument("--prefix", required=True, help="prefix of the topics of windows")
    parser.add_argument("--trips", required=True, type=int, help="number of trips in the topic")
    parser.add_argument("--tuned", action="store_true")
    parser.add_argument("--jdbc", action="store_true", help="into MOBILITY_POSTGRES, no topics")
    parser.add_argument("--jar", action="append", default=[], help="a connector of Flink")
    return parser.parse_args()
