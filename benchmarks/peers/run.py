"""Running a peer over a log, and checking what it wrote."""

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from confluent_kafka.admin import AdminClient, NewTopic  # type: ignore[attr-defined] # exported

from audit.command_runner import ShowProgress
from benchmarks.figures import Run
from benchmarks.log import TripLog, forget_topics
from benchmarks.peers.environments import flink_connector, python_with
from benchmarks.peers.output import read_windows, verdict
from benchmarks.peers.table import Peer
from benchmarks.running import BenchmarkError, timed

_SCRIPTS: Final = Path(__file__).parent


@dataclass(slots=True)
class PeerRunner:
    """A peer that is ready to run; `check` is what its last output was found to be."""

    peer: Peer
    python: Path
    jar: Path | None
    check: str = ""

    @classmethod
    def ready(cls, peer: Peer) -> "PeerRunner":
        """Make the peer's environment. Raises BenchmarkError, saying why, where it can't run."""
        if peer.java and shutil.which("java") is None:
            msg = f"{peer.name} is left out: it needs a Java of at least 17 on PATH"
            raise BenchmarkError(msg)
        return cls(peer, python_with(peer.packages), flink_connector() if peer.java else None)

    @property
    def name(self) -> str:
        """The peer's name."""
        return self.peer.name

    def run(self, log: TripLog, update: ShowProgress) -> Run:
        """Run over a log from its beginning to its end; note whether the output is right."""
        brokers = log.settings.kafka
        prefix = f"{log.settings.topic_prefix}{self.peer.name}."
        topics = [prefix + entity for entity in self.peer.entities]
        update("topics")
        forget_topics(brokers, topics)
        _create(brokers, topics, log.settings.partitions)
        update("running")
        measured = timed(
            self._command(log, prefix),
            log.commands.folder / f"{self.peer.name}.log",
            environ=self._environ(log),
        )
        update("comparing")
        found = read_windows(log.settings, prefix, self.peer.entities)
        self.check = verdict(log.answer, found, self.peer.entities)
        if self.check.startswith("differs") and not self.peer.drops:
            msg = f"{self.peer.name} {self.check}"
            raise BenchmarkError(msg)
        return measured

    def _command(self, log: TripLog, prefix: str) -> list[str | Path]:
        jar = [] if self.jar is None else ["--jar", str(self.jar)]
        return [
            self.python,
            _SCRIPTS / self.peer.script,
            *("--brokers", log.settings.kafka),
            *("--source", log.topic),
            *("--prefix", prefix),
            *("--trips", str(log.rows)),
            *jar,
            *self.peer.arguments,
        ]

    def _environ(self, log: TripLog) -> dict[str, str]:
        environ = log.environ(log.settings)
        # Its packages are its own: this project's modules are none of its business.
        environ.pop("PYTHONPATH", None)
        environ.pop("PYTHONSAFEPATH", None)
        environ["TMPDIR"] = str(log.commands.folder)
        return environ


def _create(brokers: str, topics: list[str], partitions: int) -> None:
    admin = AdminClient({"bootstrap.servers": brokers, "log_level": 2})
    for made in admin.create_topics([NewTopic(topic, partitions, 1) for topic in topics]).values():
        made.result()
