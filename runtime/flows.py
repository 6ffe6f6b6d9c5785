"""The flows by name: their modules, and the topics that they read."""

from typing import Final, Literal

from mobility.entities import ENTITIES
from mobility.settings import Settings
from mobility.topics import aggregated_topic, trips_topic

FlowName = Literal["main", "serving"]

FLOW_IDS: Final[dict[FlowName, str]] = {"main": "mobility_hub", "serving": "mobility_serving"}
"""The first part of the id of every step: stored in recovery state."""

TRIPS_STEP_ID: Final = f"{FLOW_IDS['main']}.trips_stream"
"""The id of the source of trips: its recovery states are found by it."""


def input_topics(flow: FlowName, settings: Settings) -> tuple[str, ...]:
    """Return the topics that a flow reads."""
    if flow == "main":
        return (trips_topic(settings),)
    return tuple(aggregated_topic(settings, entity) for entity in ENTITIES)


def consumer_group(flow: FlowName, settings: Settings) -> str | None:
    """Return the consumer group that a flow commits its offsets to, None where it commits none."""
    name = settings.consumer_group.replace("{prefix}", settings.topic_prefix)
    return name.replace("{flow}", flow) or None
