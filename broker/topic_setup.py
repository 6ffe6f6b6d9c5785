"""`python -m broker.topic_setup`: create the declared topics, report those that differ."""

import os
import sys
import time
from collections.abc import Mapping, Sequence
from typing import Final

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import (  # type: ignore[attr-defined] # its imports are its exports
    AdminClient,
    ClusterMetadata,
    ConfigResource,
    NewTopic,
    ResourceType,
)
from rich.console import Console
from rich.table import Table

from broker.clients import ANSWER_SECONDS, admin_client, reason_of
from mobility.settings import Settings, SettingsError, read_settings
from mobility.topics import Topic, topic_table

_SECONDS_TO_APPEAR: Final = 15.0
_WIDTH_WITHOUT_TERMINAL: Final = 120

Findings = dict[str, list[str]]
"""For each topic that was there before: what is not as declared."""


def main() -> int:
    """Create what is missing; return 0, 1 where a topic is not as declared, 2 without Kafka."""
    errors = Console(stderr=True, highlight=False)
    try:
        settings = read_settings(os.environ)
        declared = topic_table(settings)
        findings = ensure_topics(settings, declared)
    except SettingsError as error:
        errors.print(str(error), style="red", markup=False, soft_wrap=True)
        return 2
    except KafkaException as error:
        errors.print(
            f"Kafka at {settings.kafka} (MOBILITY_KAFKA): {reason_of(error)}", markup=False
        )
        return 2
    output = Console(highlight=False)
    if not output.is_terminal:
        output.width = _WIDTH_WITHOUT_TERMINAL
    output.print(_as_table(declared, findings))
    for name, found in findings.items():
        for difference in found:
            output.print(f"{name}: {difference}", style="red", markup=False, soft_wrap=True)
    return 1 if any(findings.values()) else 0


def ensure_topics(settings: Settings, declared: Sequence[Topic]) -> Findings:
    """Create the topics that don't exist, change none, and return what is not as declared.

    Returns when every topic can be written to. Raises KafkaException.
    """
    admin = admin_client(settings)
    there = admin.list_topics(timeout=ANSWER_SECONDS)
    present = [topic for topic in declared if topic.name in there.topics]
    present += _create(admin, [topic for topic in declared if topic.name not in there.topics])
    there = _when_all_have_leaders(admin, declared)
    configs = _configs(admin, present)
    return {
        topic.name: _differences(
            topic, len(there.topics[topic.name].partitions), configs[topic.name]
        )
        for topic in present
    }


def _create(admin: AdminClient, missing: Sequence[Topic]) -> list[Topic]:
    """Create topics; return those that somebody else has just created."""
    if not missing:
        return []
    creations = admin.create_topics(
        [
            NewTopic(
                topic.name,
                num_partitions=topic.partitions,
                replication_factor=topic.replication,
                config=topic.config,
            )
            for topic in missing
        ]
    )
    overtaken = []
    for topic in missing:
        try:
            creations[topic.name].result()
        except KafkaException as error:
            if error.args[0].code() != KafkaError.TOPIC_ALREADY_EXISTS:
                raise
            overtaken.append(topic)
    return overtaken


def _when_all_have_leaders(admin: AdminClient, declared: Sequence[Topic]) -> ClusterMetadata:
    """Return metadata that knows a leader for every partition of every topic."""
    deadline = time.monotonic() + _SECONDS_TO_APPEAR
    while True:
        there = admin.list_topics(timeout=ANSWER_SECONDS)
        if all(_has_leaders(there, topic.name) for topic in declared):
            return there
        if time.monotonic() > deadline:
            raise KafkaException(KafkaError(KafkaError.LEADER_NOT_AVAILABLE))
        time.sleep(0.1)


def _has_leaders(there: ClusterMetadata, name: str) -> bool:
    topic = there.topics.get(name)
    return topic is not None and all(part.leader >= 0 for part in topic.partitions.values())


def _configs(admin: AdminClient, topics: Sequence[Topic]) -> dict[str, dict[str, str]]:
    if not topics:
        return {}
    resources = [ConfigResource(ResourceType.TOPIC, topic.name) for topic in topics]
    return {
        resource.name: {name: entry.value for name, entry in described.result().items()}
        for resource, described in admin.describe_configs(resources).items()
    }


def _differences(topic: Topic, partitions: int, config: Mapping[str, str]) -> list[str]:
    found = [
        f"{name} is {config.get(name)}, declared {wanted}"
        for name, wanted in topic.required.items()
        if config.get(name) != wanted
    ]
    if partitions < topic.partitions:
        found.insert(0, f"{partitions} partitions, declared {topic.partitions}")
    return found


def _as_table(declared: Sequence[Topic], findings: Findings) -> Table:
    table = Table(box=None)
    for heading in ("topic", "layer"):
        table.add_column(heading, no_wrap=True)
    for heading in ("partitions", "replicas", "hours"):
        table.add_column(heading, justify="right")
    table.add_column("state")
    for topic in declared:
        found = findings.get(topic.name)
        state = "created" if found is None else "[red]differs[/red]" if found else "as declared"
        sizes = (topic.partitions, topic.replication, topic.retention_ms // 3_600_000)
        table.add_row(topic.name, topic.layer, *map(str, sizes), state)
    return table


if __name__ == "__main__":
    sys.exit(main())
