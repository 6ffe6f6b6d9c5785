"""Producers that write in transactions (KIP-98): committed, aborted, left open, abandoned."""

import json
import random
import subprocess
import sys
import time
from collections.abc import Iterable, Sequence
from itertools import islice
from typing import Final

from confluent_kafka import Producer

from mobility.settings import Settings
from mobility.topics import trips_topic
from tests.chaos.steady_producer import SteadyProducer
from tests.chaos.trip_stream import TripMessage

_SECONDS: Final = 60.0
_LARGEST: Final = 300
_ABORTED: Final = 0.25

_ABANDONED: Final = """
import json, sys
from confluent_kafka import Producer
config, topic, messages = json.loads(sys.stdin.readline())
producer = Producer(config)
producer.init_transactions()
producer.begin_transaction()
for partition, value in messages:
    producer.produce(topic, value, partition=partition)
assert producer.flush(60) == 0
print("written", flush=True)
sys.stdin.read()
"""


class TransactionalProducer(SteadyProducer):
    """Sends all messages in transactions of up to 300, a quarter of which are aborted.

    The messages of those are in the log, and neither in `digest` nor in `sent`.
    """

    def __init__(
        self, settings: Settings, messages: Iterable[TripMessage], rate: int, rng: random.Random
    ) -> None:
        config = {"transactional.id": f"{settings.topic_prefix}steady"}
        super().__init__(settings, messages, rate, config)
        self.committed = 0
        self.aborted = 0
        self._rng = rng
        self._producer.init_transactions(_SECONDS)

    def _run(self) -> None:
        while not self._leaving.wait(0):
            begun = time.monotonic()
            messages = list(islice(self._messages, self._rng.randint(1, _LARGEST)))
            self._producer.begin_transaction()
            for message in messages:
                self._produce(message)
            if self._rng.random() < _ABORTED:
                self._producer.flush(_SECONDS)  # or they would not be written at all
                self._producer.abort_transaction(_SECONDS)
                self.aborted += 1
            else:
                self._producer.commit_transaction(_SECONDS)
                self.committed += 1
                self._record(messages)
            time.sleep(max(0.0, begun + len(messages) / self._rate - time.monotonic()))


def open_transaction(settings: Settings, name: str, messages: Iterable[TripMessage]) -> Producer:
    """Write messages in a transaction, which the caller commits or aborts."""
    producer = Producer(_config(settings, name, seconds=600))
    producer.init_transactions(_SECONDS)
    producer.begin_transaction()
    for message in messages:
        producer.produce(trips_topic(settings), message.value, partition=message.partition)
    assert producer.flush(_SECONDS) == 0
    return producer


def abandon_transaction(settings: Settings, name: str, messages: Sequence[TripMessage]) -> None:
    """Write messages in a transaction with a process that is killed before the end.

    The coordinator aborts it after a second, when it next looks for such, every ten seconds.
    """
    values = [(each.partition, each.value.decode()) for each in messages if each.value]
    work = json.dumps([_config(settings, name, seconds=1), trips_topic(settings), values])
    with subprocess.Popen(
        [sys.executable, "-c", _ABANDONED],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(f"{work}\n")
        process.stdin.flush()
        assert process.stdout.readline() == "written\n"
        process.kill()


def _config(settings: Settings, name: str, seconds: int) -> dict[str, str | int]:
    return {
        "bootstrap.servers": settings.kafka,
        "transactional.id": settings.topic_prefix + name,
        "transaction.timeout.ms": seconds * 1_000,
    }
