"""What recovery costs with many open keys, and how soon a restart goes on."""

import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

import msgspec
from confluent_kafka import Consumer, TopicPartition

from audit.command_runner import ShowProgress
from benchmarks.bench import Bench
from benchmarks.flow import Flow
from benchmarks.log import TripLog
from benchmarks.running import timed
from benchmarks.section import Section, Target, ratio
from benchmarks.service import messages_read, running, wait_until
from benchmarks.workload import Load, trips
from mobility.entities import ENTITIES
from mobility.settings import Settings
from mobility.topics import aggregated_topic

_PASSENGERS: Final = 1_000_000
_SECONDS: Final = 500
"""Of event time that the whole log spans: two windows, none of which is dropped."""

_LEAST: Final = 0.95
_MOST_RESTART: Final = 5.0
_LIMIT: Final = 300.0
_NEWS: Final = 1_000

_TEXT: Final = (
    "A log whose windows all stay open, of a million passengers, with snapshots every 10 s and "
    "without any; and the time from starting the flow again on such a state to its first message "
    "in `aggregated.driver`."
)


def measure(bench: Bench) -> Section:
    """Measure both."""
    load = Load(bench.trips, _PASSENGERS, max(1, bench.trips // _SECONDS))
    log = bench.log(load)
    with_it, without = Flow("with recovery"), Flow("without recovery", recovery=False)
    measured = bench.in_turn([(with_it, log, ""), (without, log, "")])
    keys = log.answer.windows.height
    with bench.commands.step(f"restart with {keys:,} open keys") as update:
        seconds = restart(log, update)
    targets = (
        Target(
            f"throughput with recovery / without, {keys:,} open keys",
            ratio(measured, with_it.name, without.name) or 0.0,
            _LEAST,
        ),
        Target("restart to the first output, s", seconds, _MOST_RESTART, most=True),
    )
    return Section("recovery", "Recovery", _TEXT, tuple(measured), targets=targets)


def restart(log: TripLog, update: ShowProgress) -> float:
    """Return the seconds from starting the flow again to its first output."""
    log.forget_output()
    with TemporaryDirectory(prefix="mobility-bench-") as folder:
        status = Path(folder) / "status"
        settings = msgspec.structs.replace(log.settings, status_dir=str(status))
        command = ("dataflows", "-r", str(Path(folder) / "recovery"))
        with running(log.commands, settings, *command):
            update("reading the log")
            wait_until(lambda: messages_read(status) >= log.rows, "the log was read", _LIMIT)
        update("new trips")
        _send_news(log)
        first = _first_output(settings)
        update("restarting")
        with running(log.commands, settings, *command):
            return wait_until(lambda: next(first), "the flow wrote a window", _LIMIT)


def _send_news(log: TripLog) -> None:
    """Send the trips that follow on those of the log."""
    file = log.commands.folder / "news.parquet"
    longer = replace(log.load, rows=log.rows + _NEWS)
    trips(longer).tail(_NEWS).write_parquet(file)
    command = [sys.executable, "-m", "producer", str(file), "--speed", "max"]
    timed(command, log.commands.folder / "producer.log", environ=log.environ(log.settings))


def _first_output(settings: Settings) -> Iterator[bool]:
    """Yield, each time asked, whether there is a new message in the first entity's topic."""
    topic = aggregated_topic(settings, ENTITIES[0])
    consumer = Consumer({"bootstrap.servers": settings.kafka, "group.id": "bench"})
    ends = []
    for number in consumer.list_topics(topic, timeout=_LIMIT).topics[topic].partitions:
        _, end = consumer.get_watermark_offsets(TopicPartition(topic, number), timeout=_LIMIT)
        ends.append(TopicPartition(topic, number, end))
    consumer.assign(ends)
    found = False
    while not found:
        found = consumer.poll(0.0) is not None
        yield found
    consumer.close()
