"""`python -m audit.replay FILE`: send a file through the whole system and compare every result.

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
from rich.console import Console

from audit import export, output_comparisons
from audit.api_client import ApiError
from audit.command_runner import CommandError, CommandRunner, ShowProgress, find_free_port
from audit.comparison import OutputComparison
from audit.log_messages import read_log_messages
from audit.oracle import OracleResult, ValidatedLog, run_oracle, validate_log
from audit.replay_options import ReplayOptions, check_files, command_environ, parse_options
from audit.report import ReplayReport, print_report
from audit.system_comparison import compare_system
from audit.validation import LogMessage
from broker.errors import BrokerError, MissingTopicError
from broker.topic_reader import count_messages
from mobility.settings import Settings, SettingsError, read_settings
from mobility.topics import trips_topic
from mobility.value_settings import unwritable

_FAILURES: Final = (
    ApiError,
    BrokerError,
    CommandError,
    TimeoutError,
    ValueError,
    pl.exceptions.PolarsError,
    psycopg.Error,
    redis.RedisError,
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a replay; return 0 without differences, 2 for invalid arguments, else 1."""
    options = parse_options(arguments)
    console, errors = Console(), Console(stderr=True, soft_wrap=True, markup=False, highlight=False)
    with tempfile.TemporaryDirectory(prefix="mobility-replay-") as scratch:
        environ = command_environ(os.environ, options, Path(scratch), find_free_port())
        try:
            check_files(options)
            settings = read_settings(environ)
            if faults := list(unwritable(settings, "a replay")):
                raise SettingsError(faults)  # noqa: TRY301 - as any other fault of the settings
        except (OSError, SettingsError) as error:
            errors.print(str(error))
            return 2
        try:
            runner = CommandRunner(environ, Path(scratch), console)
            report = SystemReplay(options, settings, runner).run()
        except _FAILURES as error:
            errors.print(f"replay stopped: {error}")
            return 1
        except KeyboardInterrupt:
            errors.print("replay interrupted")
            return 130
    print_report(report, console)
    return 1 if report.differences else 0


@dataclass(frozen=True, slots=True)
class SystemReplay:
    """One replay of a file, from the producer to the comparison of all outputs."""

    options: ReplayOptions
    settings: Settings
    runner: CommandRunner

    def run(self) -> ReplayReport:
        """Send the trips, run the flow and compare; raises one of `_FAILURES`."""
        step, file = self.runner.step, self.options.file
        self._refuse_used_log()
        with step("topics"):
            self.runner.run("broker.topic_setup")
        with step(f"producer: {file.name} to {trips_topic(self.settings)}"):
            order = ["--as-is"] if self.options.as_is else []
            self.runner.run("producer", str(file), "--speed", "max", *order)
        with step("dataflow: from the log to topics, Redis and Postgres") as show_progress:
            seconds = self._run_flow(show_progress)
        with step("oracle: the whole log in one batch") as show_progress:
            log = self._validate_log(show_progress)
            expected = run_oracle(log, self.settings)
        found = [
            *self._compare_input(log, expected),
            *compare_system(
                self.settings, log, expected, step=self.runner.step, on_read=self._write
            ),
            *self._compare_api(expected),
        ]
        return ReplayReport(expected, found, seconds)

    def _refuse_used_log(self) -> None:
        topic = trips_topic(self.settings)
        try:
            number = count_messages(self.settings, topic)
        except MissingTopicError:
            return
        if number:
            msg = (
                f"{topic} on {self.settings.kafka} already holds {number:,} messages. A replay "
                "needs empty services: unset MOBILITY_KAFKA, MOBILITY_REDIS and MOBILITY_POSTGRES."
            )
            raise CommandError(msg)

    def _run_flow(self, show_progress: ShowProgress) -> float:
        """Run the dataflow to the end of the log and return its seconds."""

        def on_poll() -> None:
            read = output_comparisons.read_flow_counters(folder).get("read", 0)
            show_progress(f"{read:,} messages read")

        folder, processes = self.runner.folder, str(self.options.processes)
        recovery = str(folder / "recovery")
        started = time.monotonic()
        self.runner.run("dataflows", "-r", recovery, "--processes", processes, on_poll=on_poll)
        return time.monotonic() - started

    def _validate_log(self, show_progress: ShowProgress) -> ValidatedLog:
        def batches() -> Iterator[list[LogMessage]]:
            number = 0
            for batch in read_log_messages(self.settings, trips_topic(self.settings)):
                number += len(batch)
                show_progress(f"{number:,} messages")
                yield batch

        return validate_log(batches(), self.settings)

    def _compare_input(
        self, log: ValidatedLog, expected: OracleResult
    ) -> Iterator[OutputComparison]:
        with self.runner.step("compare: the log and the counters of the flow"):
            yield output_comparisons.compare_log_with_file(log, self.options.file)
            yield output_comparisons.compare_flow_counters(expected, self.runner.folder)

    def _compare_api(self, expected: OracleResult) -> Iterator[OutputComparison]:
        with (
            self.runner.step("compare: API, every id") as show_progress,
            self.runner.run_api(self.settings.api_port) as api,
        ):
            listed = api.list_ids()
            yield output_comparisons.compare_api_ids(expected, listed)
            show_progress(f"{listed.height:,} ids")
            # Expected and listed ids, so that an id that is not listed is found too.
            ids = pl.concat([expected.totals.select("entity", "id"), listed.select("entity", "id")])
            totals = api.read_totals(ids.unique())
            yield output_comparisons.compare_api_totals(expected, totals)
        self._write("api", totals=totals)

    def _write(
        self,
        store: str,
        *,
        totals: pl.DataFrame | None = None,
        windows: pl.DataFrame | None = None,
    ) -> None:
        """Write what a store holds to the folder of `--out`, if there is one."""
        folder = self.options.out
        if folder is None:
            return
        folder.mkdir(parents=True, exist_ok=True)
        if totals is not None:
            export.write_totals(folder / f"{store}.totals.parquet", totals)
        if windows is not None:
            export.write_windows(folder / f"{store}.windows.parquet", windows)


if __name__ == "__main__":
    # SIGTERM stops the commands and removes the scratch folder, as Ctrl-C does.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    sys.exit(main())
