"""`python -m broker.topic_setup`: create the declared topics, report those that differ."""

import os
import sys
import time
from collections.abc import Mapping, Sequence
from typing import Final

from confluent_kafka import KafkaError, KafkaException, TopicCollection
from confluent_kafka.admin import (  # type: ignore[attr-defined] # its imports are its exports
    NewTopic,
    TopicDescription,
)
from rich.console import Console
from rich.table import Table

from broker.access import Access
from broker.admin import ClusterAdmin, is_missing
from broker.clients import ANSWER_SECONDS, reason_of
from broker.errors import BrokerError
from mobility.settings import Settings, SettingsError, read_settings
from mobility.topics import Topic, topic_table

_SECONDS_TO_APPEAR: Final = 15.0
_WIDTH_WITHOUT_TERMINAL: Final = 120

Findings = dict[str, list[str]]
"""For each topic that existed before: what is not as declared."""


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
    except BrokerError as error:
        errors.print(str(error), style="red", markup=False, soft_wrap=True)
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

    Returns when every topic can be written to. Raises AccessError, BrokerError.
    """
    admin = ClusterAdmin(settings)
    described = _described(admin, declared)
    existing = [topic for topic in declared if topic.name in described]
    existing += _create(admin, [topic for topic in declared if topic.name not in described])
    described = _when_all_have_leaders(admin, declared)
    return {
        topic.name: _differences(
            topic, len(described[topic.name].partitions), _config(admin, topic.name)
        )
        for topic in existing
    }


def _described(admin: ClusterAdmin, topics: Sequence[Topic]) -> dict[str, TopicDescription]:
    """Return the metadata of those that exist."""
    names = TopicCollection([topic.name for topic in topics])
    requests = admin.client.describe_topics(names, request_timeout=ANSWER_SECONDS)
    found = {}
    for name, request in requests.items():
        try:
            found[name] = admin.answer(request, Access("Describe", name))
        except KafkaException as error:
            # A topic that was just made may have no leader yet: it is asked for again later.
            if not is_missing(error) and error.args[0].code() != KafkaError.LEADER_NOT_AVAILABLE:
                raise admin.unavailable(reason_of(error)) from error
    return found


def _create(admin: ClusterAdmin, missing: Sequence[Topic]) -> list[Topic]:
    """Create topics; return those that another client has created meanwhile."""
    if not missing:
        return []
    creations = admin.client.create_topics(
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
    created_by_others = []
    for topic in missing:
        try:
            admin.answer(creations[topic.name], Access("Create", topic.name))
        except KafkaException as error:
            if error.args[0].code() != KafkaError.TOPIC_ALREADY_EXISTS:
                msg = f"The topic {topic.name} can't be created: {reason_of(error)}"
                raise BrokerError(msg) from error
            created_by_others.append(topic)
    return created_by_others


def _when_all_have_leaders(
    admin: ClusterAdmin, declared: Sequence[Topic]
) -> dict[str, TopicDescription]:
    """Return the metadata once every partition of every topic has a leader."""
    deadline = time.monotonic() + _SECONDS_TO_APPEAR
    while True:
        described = _described(admin, declared)
        without = [t.name for t in declared if not _has_leaders(described.get(t.name))]
        if not without:
            return described
        if time.monotonic() > deadline:
            msg = f"There is no leader for {', '.join(without)}: are all brokers running?"
            raise BrokerError(msg)
        time.sleep(0.1)


def _has_leaders(topic: TopicDescription | None) -> bool:
    return topic is not None and all(part.leader is not None for part in topic.partitions)


def _config(admin: ClusterAdmin, topic: str) -> dict[str, str]:
    try:
        return admin.topic_config(topic, Access("DescribeConfigs", topic))
    except KafkaException as error:
        raise admin.unavailable(reason_of(error)) from error


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
