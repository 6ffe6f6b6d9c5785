"""A tenant of its own for each test on real services, and the flow that runs for it."""

import os
import random
import subprocess
import sys
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import msgspec
import polars as pl
import psycopg
import pytest
import redis
from confluent_kafka import Consumer, KafkaError, Message, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic  # type: ignore[attr-defined] # exported
from psycopg import sql

from benchmarks.tenant import tenant_settings
from broker.topic_setup import ensure_topics
from mobility.entities import Entity
from mobility.messages import decode_windows
from mobility.records import PARTIAL_SCHEMA
from mobility.settings import Settings, to_environ
from mobility.topics import aggregated_topic, topic_table, trips_topic
from tests.process_tree import stop_or_kill
from tests.strategies import MINUTE, NOON, Entry
from tests.waiting import DEADLINE, until

ROOT = Path(__file__).parents[2]
PARTITIONS = 3


@dataclass(slots=True)
class Hub:
    """The topics of one tenant, and the flow started from the command line."""

    settings: Settings
    recovery: Path
    started: list[subprocess.Popen[str]] = field(default_factory=list)

    def make_topics(self, **configs: dict[str, str]) -> None:
        """Create the declared topics; `configs` are other settings of a topic by its name."""
        admin = AdminClient({"bootstrap.servers": self.settings.kafka})
        others = [
            NewTopic(self.settings.topic_prefix + name, PARTITIONS, 1, config=config)
            for name, config in configs.items()
        ]
        for made in admin.create_topics(others).values() if others else ():
            made.result()
        # It returns when every topic can be written to.
        ensure_topics(self.settings, topic_table(self.settings))

    def write(self, log: Sequence[Sequence[Entry | bytes]]) -> None:
        """Append to each partition of the log; bytes are messages as they are."""
        producer = Producer(
            {
                "bootstrap.servers": self.settings.kafka,
                "enable.idempotence": True,
                "max.in.flight.requests.per.connection": 1,
            }
        )
        failures: list[object] = []
        for partition, entries in enumerate(log):
            for entry in entries:
                mark: list[tuple[str, str | bytes | None]] | None = (
                    [("watermark", str(entry.time))]
                    if isinstance(entry, Entry) and entry.punctuation
                    else None
                )
                producer.produce(
                    trips_topic(self.settings),
                    entry if isinstance(entry, bytes) else entry.value,
                    key=f"key-{partition}",
                    partition=partition,
                    headers=mark,
                    on_delivery=lambda error, _message: failures.append(error) if error else None,
                )
        assert producer.flush(DEADLINE) == 0
        assert failures == []

    def produce(self, topic: str, value: bytes) -> None:
        """Write one message into a topic, by its name without the prefix."""
        producer = Producer({"bootstrap.servers": self.settings.kafka})
        producer.produce(self.settings.topic_prefix + topic, value)
        assert producer.flush(DEADLINE) == 0

    def start(self, *arguments: str, **settings: object) -> subprocess.Popen[str]:
        """Start `python -m dataflows` on the recovery folder, with these settings replaced."""
        process = subprocess.Popen(
            [sys.executable, "-m", "dataflows", "-r", str(self.recovery), *arguments],
            cwd=ROOT,
            env=self.environ(**settings),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.started.append(process)
        return process

    def environ(self, **settings: object) -> dict[str, str]:
        """Return the environment of a process with these settings replaced."""
        chosen = msgspec.structs.replace(self.settings, **settings)
        others = {k: v for k, v in os.environ.items() if not k.startswith("MOBILITY_")}
        return others | to_environ(chosen) | {"PYTHONPATH": str(ROOT)}

    def run(self, *arguments: str, **settings: object) -> subprocess.CompletedProcess[str]:
        """Run the flow over what the log holds now, to its end."""
        process = self.start(*arguments, **({"read": "once"} | settings))
        out, err = process.communicate(timeout=DEADLINE)
        return subprocess.CompletedProcess(process.args, process.returncode, out, err)

    def messages(self, topic: str) -> list[Message]:
        """Return all messages of a topic, by its name without the prefix, in order."""
        name = self.settings.topic_prefix + topic
        consumer = Consumer(
            {
                "bootstrap.servers": self.settings.kafka,
                "group.id": "tests",
                "enable.auto.commit": False,
                "enable.partition.eof": True,
            }
        )
        consumer.assign([TopicPartition(name, partition, 0) for partition in range(PARTITIONS)])
        found: list[Message] = []
        ended = 0
        while ended < PARTITIONS:
            for message in consumer.consume(10_000, timeout=0.2):
                error = message.error()
                if error is None:
                    found.append(message)
                else:
                    assert error.code() == KafkaError._PARTITION_EOF, error.str()
                    ended += 1
        consumer.close()
        return found

    def windows(self, entity: Entity) -> pl.DataFrame:
        """Return each window in its highest version, as a consumer of the topic does."""
        topic = aggregated_topic(self.settings, entity)[len(self.settings.topic_prefix) :]
        values = [message.value() or b"" for message in self.messages(topic)]
        rows = decode_windows(values, entity).sort("trip_count", maintain_order=True)
        best = rows.unique(["id", "window_start"], keep="last", maintain_order=True)
        return best.select(*PARTIAL_SCHEMA).sort("id", "window_start")

    def wait_for_windows(self, entity: Entity) -> None:
        """Wait until the running flow has sent windows."""
        until(lambda: self.windows(entity).height, f"windows of {entity.name}")


@pytest.fixture
def hub(services: Settings, tmp_path: Path) -> Iterator[Hub]:
    """Return a tenant without topics; remove its data and processes after the test."""
    name = f"flow_{uuid.uuid4().hex[:8]}"
    settings = msgspec.structs.replace(
        tenant_settings(services, name),
        topic_prefix=f"{name}.",
        partitions=PARTITIONS,
        shards=2,
        batch_size=100,
        snapshot_interval=1,
        delta=str(tmp_path / "lake"),
    )
    made = Hub(settings, tmp_path / "recovery")
    with psycopg.connect(services.postgres, autocommit=True) as connection:
        connection.execute(sql.SQL("CREATE SCHEMA {}").format(sql.Identifier(name)))
        yield made
        for process in made.started:
            stop_or_kill(process)
        connection.execute(sql.SQL("DROP SCHEMA {} CASCADE").format(sql.Identifier(name)))
    with redis.Redis.from_url(services.redis) as client:
        for key in client.scan_iter(f"{name}:*"):
            client.delete(key)
    admin = AdminClient({"bootstrap.servers": settings.kafka})
    topics = [t for t in admin.list_topics(timeout=DEADLINE).topics if t.startswith(f"{name}.")]
    for removal in admin.delete_topics(topics).values() if topics else ():
        removal.result()


def trips_log(seed: int, start: int = NOON, trips: int = 400) -> list[list[Entry]]:
    """Return two hours of trips in each partition: out of order, with duplicates and late trips."""
    draw = random.Random(seed)  # noqa: S311 - the same log each time
    log: list[list[Entry]] = []
    for partition in range(PARTITIONS):
        entries: list[Entry] = []
        for number in range(trips):
            at = start + number * 120 * MINUTE // trips
            if number % 40 == 39:
                entries.append(draw.choice([e for e in entries[-20:] if not e.punctuation]))
            elif number % 97 == 96:
                entries.append(Entry(at, punctuation=True))
            else:
                back = draw.choice((0, 0, 0, 20_000, 25 * MINUTE if number % 5 == 0 else 0))
                entries.append(
                    Entry(
                        at - back,
                        f"{seed}-{partition}-{number}",
                        draw.choice((None, "d1", "d2", f"d{number % 17}")),
                        draw.choice((None, "car", "bike")),
                        draw.randrange(10**9),
                    )
                )
        log.append(entries)
    return log
