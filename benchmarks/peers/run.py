"""Runs a peer over a log and compares its output."""

import re
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import polars as pl
import psycopg
from confluent_kafka.admin import NewTopic  # type: ignore[attr-defined] # exported

from audit.command_runner import ShowProgress
from benchmarks.benchmark_log import BenchmarkLog, delete_topics
from benchmarks.figures import RunFigures
from benchmarks.peers.environments import jar, python_with
from benchmarks.peers.output import describe, read_stored_windows, read_windows
from benchmarks.peers.table import Peer
from benchmarks.tenant import empty_tenant, tenant_settings
from benchmarks.timed_command import BenchmarkError, run_timed
from broker.clients import admin_client
from mobility.settings import Settings

_SCRIPTS: Final = Path(__file__).parent

_TABLE: Final = """
    CREATE TABLE windows (
        entity text,
        id text,
        window_start timestamptz,
        trip_count bigint,
        total_duration float8,
        total_distance float8,
        total_revenue float8,
        PRIMARY KEY (entity, id, window_start)
    )
"""
"""Where a peer writes that has `stores`."""


@dataclass(slots=True)
class PeerRunner:
    """A peer that is ready to run; `check` is the result of comparing its last output."""

    peer: Peer
    python: Path
    jars: tuple[Path, ...]
    check: str = ""

    @classmethod
    def ready(cls, peer: Peer) -> "PeerRunner":
        """Create the peer's environment. Raises BenchmarkError if the peer can't run here."""
        if peer.jars and shutil.which("java") is None:
            msg = f"{peer.name} is skipped: it needs Java 17 or later on PATH"
            raise BenchmarkError(msg)
        return cls(peer, python_with(peer.packages), tuple(jar(each) for each in peer.jars))

    @property
    def name(self) -> str:
        """The peer's name."""
        return self.peer.name

    def run(self, log: BenchmarkLog, update: ShowProgress) -> RunFigures:
        """Run over a log from its beginning to its end, and compare the output."""
        run = self._run_into_stores if self.peer.stores else self._run_into_topics
        measured, found = run(log, update)
        self.check = describe(log.expected, found, self.peer.entities)
        if self.check.startswith("differs") and not self.peer.drops:
            msg = f"{self.peer.name} {self.check}"
            raise BenchmarkError(msg)
        return measured

    def _run_into_topics(
        self, log: BenchmarkLog, update: ShowProgress
    ) -> tuple[RunFigures, pl.DataFrame]:
        prefix = f"{log.settings.topic_prefix}{self.peer.name}."
        topics = [prefix + entity for entity in self.peer.entities]
        update("topics")
        delete_topics(log.settings, topics)
        _create_topics(log.settings, topics)
        measured = self._measure(log, log.settings, prefix, update)
        return measured, read_windows(log.settings, prefix, self.peer.entities)

    def _run_into_stores(
        self, log: BenchmarkLog, update: ShowProgress
    ) -> tuple[RunFigures, pl.DataFrame]:
        name = re.sub(r"\W", "_", f"{log.settings.topic_prefix}{self.peer.name}".lower())
        settings = tenant_settings(log.settings, name)
        with empty_tenant(log.settings, name):
            with psycopg.connect(settings.postgres) as connection:
                connection.execute(_TABLE)
            measured = self._measure(log, settings, "", update)
            return measured, read_stored_windows(settings)

    def _measure(
        self, log: BenchmarkLog, settings: Settings, prefix: str, update: ShowProgress
    ) -> RunFigures:
        update("running")
        measured = run_timed(
            self._command(log, prefix),
            log.runner.folder / f"{self.peer.name}.log",
            environ=self._environ(log, settings),
        )
        update("comparing")
        return measured

    def _command(self, log: BenchmarkLog, prefix: str) -> list[str | Path]:
        jars = [text for each in self.jars for text in ("--jar", str(each))]
        return [
            self.python,
            _SCRIPTS / self.peer.script,
            *("--brokers", log.settings.kafka),
            *("--source", log.topic),
            *("--prefix", prefix),
            *("--trips", str(log.rows)),
            *jars,
            *self.peer.arguments,
        ]

    def _environ(self, log: BenchmarkLog, settings: Settings) -> dict[str, str]:
        environ = log.environ(settings)
        # A peer has its own packages, and must not import this project's modules.
        environ.pop("PYTHONPATH", None)
        environ.pop("PYTHONSAFEPATH", None)
        environ["TMPDIR"] = str(log.runner.folder)
        return environ


def _create_topics(settings: Settings, topics: list[str]) -> None:
    admin = admin_client(settings)
    new = [NewTopic(topic, settings.partitions, 1) for topic in topics]
    for creation in admin.create_topics(new).values():
        creation.result()
