"""`python -m audit.replay FILE`: a file once through the whole system, and every answer checked.

Runs inside `python -m stack run -- ...`, which provides Kafka, Redis and Postgres.
"""

import os
import signal
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import polars as pl
import psycopg
import redis
from confluent_kafka import KafkaException
from rich.console import Console

from audit import comparing, export, stores, topics
from audit.differences import Comparison
from audit.log import count_messages, read_topic
from audit.options import Options, check_files, environment, parse
from audit.oracle import Answer, Log, answer, read_log
from audit.report import Outcome, show
from audit.served import ApiError
from audit.steps import Commands, StepError, Update, free_port
from audit.verdicts import Message
from mobility.settings import Settings, SettingsError, read_settings
from mobility.topics import dead_topic, late_topic, trips_topic

_FAILURES: Final = (
    ApiError,
    KafkaException,
    StepError,
    TimeoutError,
    ValueError,
    pl.exceptions.PolarsError,
    psycopg.Error,
    redis.RedisError,
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a replay; return 0 where nothing differs, 2 for a wrong call, else 1."""
    options = parse(arguments)
    console, errors = Console(), Console(stderr=True, soft_wrap=True, markup=False, highlight=False)
    with tempfile.TemporaryDirectory(prefix="mobility-replay-") as scratch:
        environ = environment(os.environ, options, Path(scratch), free_port())
        try:
            check_files(options)
            settings = read_settings(environ)
        except (OSError, SettingsError) as error:
            errors.print(str(error))
            return 2
        try:
            replay = Replay(options, settings, Commands(environ, Path(scratch), console))
            outcome = replay.run()
        except _FAILURES as error:
            errors.print(f"replay stopped: {error}")
            return 1
        except KeyboardInterrupt:
            errors.print("replay interrupted")
            return 130
    show(outcome, console)
    return 1 if outcome.differences else 0


@dataclass(frozen=True, slots=True)
class Replay:
    """One run, from the file to the outcome."""

    options: Options
    settings: Settings
    commands: Commands

    def run(self) -> Outcome:
        """Send, process, ask, compare; raises one of many errors where a part does not work."""
        step, file = self.commands.step, self.options.file
        self._refuse_used_log()
        with step("topics"):
            self.commands.run("broker.topic_setup")
        with step(f"producer: {file.name} into {trips_topic(self.settings)}"):
            order = ["--as-is"] if self.options.as_is else []
            self.commands.run("producer", str(file), "--speed", "max", *order)
        with step("dataflow: from the log to topics, Redis and Postgres") as update:
            seconds = self._flow(update)
        with step("oracle: the log in one batch") as update:
            log = self._log(update)
            expected = answer(log, self.settings)
        found = [*self._topics(log, expected), *self._stores(expected), *self._api(expected)]
        return Outcome(expected, found, seconds)

    def _refuse_used_log(self) -> None:
        topic = trips_topic(self.settings)
        if number := count_messages(self.settings.kafka, topic):
            msg = (
                f"{topic} on {self.settings.kafka} already holds {number:,} messages. A "
                "replay needs services of its own: unset MOBILITY_KAFKA, _REDIS and _POSTGRES."
            )
            raise StepError(msg)

    def _flow(self, update: Update) -> float:
        """Run the dataflow to the end of the log and return its seconds."""

        def watch() -> None:
            update(f"{comparing.flow_counters(folder).get('read', 0):,} messages read")

        folder, processes = self.commands.folder, str(self.options.processes)
        recovery = folder / "recovery"
        started = time.monotonic()
        self.commands.run("dataflows", "-r", str(recovery), "--processes", processes, watch=watch)
        return time.monotonic() - started

    def _log(self, update: Update) -> Log:
        def watched() -> Iterator[list[Message]]:
            number = 0
            for batch in read_topic(self.settings.kafka, trips_topic(self.settings)):
                number += len(batch)
                update(f"{number:,} messages")
                yield batch

        return read_log(watched(), self.settings)

    def _topics(self, log: Log, expected: Answer) -> Iterator[Comparison]:
        settings = self.settings
        with self.commands.step("compare: the log and the flow's counters"):
            yield comparing.against_file(log, self.options.file)
            yield comparing.counters(expected, self.commands.folder)
        with self.commands.step("compare: topics") as update:
            windows = topics.read_windows(settings, update)
            yield comparing.windows_at("aggregated topics", expected, windows)
            late = topics.read_positions(settings, late_topic(settings))
            yield comparing.late_trips(expected, late, settings)
            dead = topics.read_positions(settings, dead_topic(settings))
            yield comparing.dead_letters(expected, log, dead, settings)
        self._write("kafka", windows=windows)

    def _stores(self, expected: Answer) -> Iterator[Comparison]:
        settings = self.settings
        with self.commands.step("compare: Postgres"):
            windows = stores.postgres_windows(settings)
            yield comparing.windows_at("Postgres windows", expected, windows)
            totals = stores.postgres_totals(settings)
            yield comparing.totals_at("Postgres totals", expected, totals)
        self._write("postgres", totals=totals, windows=windows)
        with self.commands.step("compare: Redis"):
            totals = stores.redis_totals(settings)
            yield comparing.totals_at("Redis totals", expected, totals)
            yield comparing.indexed(expected, stores.redis_index(settings))
        self._write("redis", totals=totals)

    def _api(self, expected: Answer) -> Iterator[Comparison]:
        with (
            self.commands.step("compare: API, every id") as update,
            self.commands.api(self.settings.api_port) as api,
        ):
            listed = api.listed()
            yield comparing.listed(expected, listed)
            update(f"{listed.height:,} ids")
            # Asked for is what either side knows, so that an unlisted id is found out too.
            ids = pl.concat([expected.totals.select("entity", "id"), listed.select("entity", "id")])
            totals = api.served(ids.unique())
            yield comparing.served(expected, totals)
        self._write("api", totals=totals)

    def _write(
        self,
        place: str,
        *,
        totals: pl.DataFrame | None = None,
        windows: pl.DataFrame | None = None,
    ) -> None:
        """Write what a place holds to the folder of `--out`, if there is one."""
        folder = self.options.out
        if folder is None:
            return
        folder.mkdir(parents=True, exist_ok=True)
        if totals is not None:
            export.write_totals(folder / f"{place}.totals.parquet", totals)
        if windows is not None:
            export.write_windows(folder / f"{place}.windows.parquet", windows)


if __name__ == "__main__":
    # Being told to stop ends the commands and the scratch folder, as Ctrl-C does.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    sys.exit(main())
