"""A log of trips on the broker, and the results that the oracle computes for it."""

import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Final

import msgspec

from audit.command_runner import CommandRunner, ShowProgress
from audit.log_messages import read_log_messages
from audit.oracle import OracleResult, ValidatedLog, run_oracle, validate_log
from audit.validation import LogMessage
from benchmarks.timed_command import BenchmarkError, environ_for, run_timed
from benchmarks.workload import Workload, write_trips
from broker.clients import ANSWER_SECONDS, admin_client
from broker.topic_setup import ensure_topics
from mobility.settings import Settings
from mobility.topics import topic_table, trips_topic

_DELETE_SECONDS: Final = 30.0


@dataclass(frozen=True)
class BenchmarkLog:
    """A topic with the trips of a workload, under its own prefix."""

    settings: Settings
    workload: Workload
    runner: CommandRunner

    @classmethod
    def of(cls, settings: Settings, workload: Workload, runner: CommandRunner) -> "BenchmarkLog":
        """Name the log after its workload; nothing is written yet."""
        named = msgspec.structs.replace(
            settings,
            topic_prefix=f"{settings.topic_prefix}bench_{workload.name}.",
            partitions=workload.partitions,
        )
        return cls(named, workload, runner)

    @property
    def rows(self) -> int:
        """The number of trips."""
        return self.workload.rows

    @property
    def topic(self) -> str:
        """The name of the topic of trips."""
        return trips_topic(self.settings)

    def fill(self) -> None:
        """Create the topics, or recreate them, and send the trips with the producer."""
        file = self.runner.folder / f"trips_{self.workload.name}.parquet"
        with self.runner.step(f"log of {self.rows:,} trips"):
            write_trips(file, self.workload)
            delete_topics(self.settings, [self.topic])
            self.reset_output()
            command = [sys.executable, "-m", "producer", str(file), "--speed", "max"]
            run_timed(command, self._log("producer"), environ=self.environ(self.settings))
            file.unlink()

    def environ(self, settings: Settings) -> dict[str, str]:
        """Return the environment of a command with these settings."""
        return environ_for(self.runner, settings)

    def reset_output(self) -> None:
        """Recreate the topics that a run of the flow writes, empty."""
        topics = topic_table(self.settings)
        delete_topics(self.settings, [topic.name for topic in topics if topic.name != self.topic])
        ensure_topics(self.settings, topics)

    @cached_property
    def messages(self) -> ValidatedLog:
        """Every message, validated by the oracle."""
        with self.runner.step(f"oracle: {self.rows:,} trips in one batch") as show_progress:
            return validate_log(self._read(show_progress), self.settings)

    @cached_property
    def expected(self) -> OracleResult:
        """The results that every system must have for the log."""
        return run_oracle(self.messages, self.settings)

    def _read(self, show_progress: ShowProgress) -> Iterator[list[LogMessage]]:
        number = 0
        for batch in read_log_messages(self.settings, self.topic):
            number += len(batch)
            show_progress(f"{number:,} messages")
            yield batch

    def _log(self, name: str) -> Path:
        return self.runner.folder / f"{name}.log"


def delete_topics(settings: Settings, names: list[str]) -> None:
    """Delete the topics that exist and wait until they are gone. Raises BenchmarkError."""
    admin = admin_client(settings)
    present = set(admin.list_topics(timeout=ANSWER_SECONDS).topics)
    existing = [name for name in names if name in present]
    if not existing:
        return
    for deletion in admin.delete_topics(existing).values():
        deletion.result()
    deadline = time.monotonic() + _DELETE_SECONDS
    while left := sorted(present & set(existing)):
        if time.monotonic() > deadline:
            msg = f"{settings.kafka} did not delete {', '.join(left)}"
            raise BenchmarkError(msg)
        time.sleep(0.1)
        present = set(admin.list_topics(timeout=ANSWER_SECONDS).topics)
