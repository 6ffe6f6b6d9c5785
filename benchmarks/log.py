"""A log of trips on the broker, and what the batch computation says about it."""

import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Final

import msgspec
from confluent_kafka.admin import AdminClient

from audit.command_runner import CommandRunner, ShowProgress
from audit.log_messages import read_log_messages
from audit.oracle import OracleResult, ValidatedLog, run_oracle, validate_log
from audit.validation import LogMessage
from benchmarks.running import BenchmarkError, environ_with, timed
from benchmarks.workload import Load, write_trips
from broker.topic_setup import ensure_topics
from mobility.settings import Settings
from mobility.topics import topic_table, trips_topic

_PATIENCE: Final = 30.0
_ANSWER_SECONDS: Final = 15.0


@dataclass(frozen=True)
class TripLog:
    """A topic with the trips of a load, under a prefix of its own."""

    settings: Settings
    load: Load
    commands: CommandRunner

    @classmethod
    def of(cls, settings: Settings, load: Load, commands: CommandRunner) -> "TripLog":
        """Name the log after its load; nothing is written yet."""
        named = msgspec.structs.replace(
            settings, topic_prefix=f"{settings.topic_prefix}bench_{load.name}."
        )
        return cls(named, load, commands)

    @property
    def rows(self) -> int:
        """How many trips it has."""
        return self.load.rows

    @property
    def topic(self) -> str:
        """The name of the topic of trips."""
        return trips_topic(self.settings)

    def fill(self) -> None:
        """Make the topics, new where they exist, and send the trips through the producer."""
        file = self.commands.folder / f"trips_{self.load.name}.parquet"
        with self.commands.step(f"log of {self.rows:,} trips"):
            write_trips(file, self.load)
            forget_topics(self.settings.kafka, [self.topic])
            self.forget_output()
            command = [sys.executable, "-m", "producer", str(file), "--speed", "max"]
            timed(command, self._log("producer"), environ=self.environ(self.settings))
            file.unlink()

    def environ(self, settings: Settings) -> dict[str, str]:
        """Return the environment of a command that is to have these settings."""
        return environ_with(self.commands, settings)

    def forget_output(self) -> None:
        """Delete what a run of the flow wrote, and make its topics again, empty."""
        ours = topic_table(self.settings)
        forget_topics(
            self.settings.kafka, [topic.name for topic in ours if topic.name != self.topic]
        )
        ensure_topics(self.settings, ours)

    @cached_property
    def messages(self) -> ValidatedLog:
        """Every message, validate_messages by the oracle one at a time."""
        with self.commands.step(f"oracle: {self.rows:,} trips in one batch") as update:
            return validate_log(self._watched(update), self.settings)

    @cached_property
    def answer(self) -> OracleResult:
        """What every system has to say about the log."""
        return run_oracle(self.messages, self.settings)

    def _watched(self, update: ShowProgress) -> Iterator[list[LogMessage]]:
        number = 0
        for batch in read_log_messages(self.settings, self.topic):
            number += len(batch)
            update(f"{number:,} messages")
            yield batch

    def _log(self, name: str) -> Path:
        return self.commands.folder / f"{name}.log"


def forget_topics(brokers: str, names: list[str]) -> None:
    """Delete topics that exist and wait until they are gone. Raises BenchmarkError."""
    admin = AdminClient({"bootstrap.servers": brokers, "log_level": 2})
    present = set(admin.list_topics(timeout=_ANSWER_SECONDS).topics)
    doomed = [name for name in names if name in present]
    if not doomed:
        return
    for removal in admin.delete_topics(doomed).values():
        removal.result()
    deadline = time.monotonic() + _PATIENCE
    while present & set(doomed):
        if time.monotonic() > deadline:
            msg = f"{brokers} did not delete {', '.join(sorted(present & set(doomed)))}"
            raise BenchmarkError(msg)
        time.sleep(0.1)
        present = set(admin.list_topics(timeout=_ANSWER_SECONDS).topics)
