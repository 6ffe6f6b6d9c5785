"""Topics of a test on real Kafka, and their messages."""

import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import pytest
from confluent_kafka import Consumer, KafkaError, Message, TopicPartition
from confluent_kafka.admin import AdminClient

from broker.topic_setup import ensure_topics
from mobility.settings import Settings, to_environ
from mobility.topics import topic_table, trips_topic
from stack.checkout import clean_environ
from tests.waiting import DEADLINE

HERE = Path(__file__).parents[2]

Log = list[list[Message]]
Command = Callable[..., subprocess.Popen[str]]


@pytest.fixture
def tenant(services: Settings) -> Iterator[Settings]:
    """Return settings with a unique topic prefix; its topics are deleted in the end."""
    settings = msgspec.structs.replace(services, topic_prefix=f"test-{uuid.uuid4().hex[:8]}.")
    yield settings
    admin = AdminClient({"bootstrap.servers": settings.kafka})
    there = admin.list_topics(timeout=DEADLINE).topics
    names = [name for name in there if name.startswith(settings.topic_prefix)]
    if names:
        for removal in admin.delete_topics(names).values():
            removal.result()


@pytest.fixture
def trips_log(tenant: Settings) -> Callable[[], Log]:
    """Create the trips topic; return a function that reads it, one list per partition."""
    ensure_topics(tenant, topic_table(tenant)[:1])
    return lambda: read(tenant.kafka, trips_topic(tenant), tenant.partitions)


@pytest.fixture
def command(tenant: Settings) -> Iterator[Command]:
    """Return a function that starts `python -m <module> <arguments>` for the tenant."""
    started: list[subprocess.Popen[str]] = []

    def start(module: str, *arguments: object, **more: str) -> subprocess.Popen[str]:
        others = clean_environ()
        process = subprocess.Popen(
            [sys.executable, "-m", module, *map(str, arguments)],
            cwd=HERE,
            env=others | to_environ(tenant) | more,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        started.append(process)
        return process

    yield start
    for process in started:
        with process:
            process.kill()


def read(brokers: str, topic: str, partitions: int) -> Log:
    """Return all messages of a topic."""
    consumer = Consumer(
        {
            "bootstrap.servers": brokers,
            "group.id": "tests",
            "enable.auto.commit": False,
            "enable.partition.eof": True,
        }
    )
    consumer.assign([TopicPartition(topic, partition, 0) for partition in range(partitions)])
    log: Log = [[] for _ in range(partitions)]
    ended = 0
    while ended < partitions:
        for message in consumer.consume(10_000, timeout=0.2):
            error = message.error()
            if error is None:
                log[message.partition() or 0].append(message)
            else:
                assert error.code() == KafkaError._PARTITION_EOF, error.str()
                ended += 1
    consumer.close()
    return log
