"""`python -m audit.replay FILE...`: send files through the whole system, compare every result.

Runs inside `python -m stack run -- ...`, which provides Kafka, Redis and Postgres.
"""

import os
import signal
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
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
from audit.replay_options import ReplayOptions, command_environ, parse_options
from audit.report import ReplayReport, print_report
from audit.system_comparison import compare_system
from audit.trips_file import to_trips
from audit.validation import LogMessage
from broker.errors import BrokerError, MissingTopicError
from broker.topic_reader import count_messages
from mobility.settings import Settings, SettingsError, read_settings
from mobility.topics import trips_topic
from mobility.value_settings import unwritable
from producer.formats.errors import TripsFileError
from producer.formats.join_tables import prepare_tables
from producer.formats.reading_report import ReadingReport
from producer.formats.rejects import RejectsFile
from producer.formats.trip_reader import TripReader, open_trip_files

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
    with tempfile.TemporaryDirectory(prefix="mobility-replay-") as scratch, ExitStack() as opened:
        try:
            tables = prepare_tables(options.tables, Path(scratch) / "tables")
            options = replace(options, tables=tables)
            environ = command_environ(os.environ, options, Path(scratch), find_free_port())
            settings = read_settings(environ)
            if faults := list(unwritable(settings, "a replay")):
                raise SettingsError(faults)  # noqa: TRY301 - as any other fault of the settings
            reading = replace(options.reading, refunds=settings.refunds)
            reader = opened.enter_context(open_trip_files(options.files, reading))
            reader.check_amounts()
        except (OSError, SettingsError, TripsFileError) as error:
            errors.print(str(error))
            return 2
        try:
            runner = CommandRunner(environ, Path(scratch), console)
            report = SystemReplay(options, settings, runner, reader).run()
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
    """One replay of files, from the producer to the comparison of all outputs."""

    options: ReplayOptions
    settings: Settings
    runner: CommandRunner
    reader: TripReader

    def run(self) -> ReplayReport:
        """Send the trips, run the flow and compare; raises one of `_FAILURES`."""
        step = self.runner.step
        self._refuse_used_log()
        reading = self._read_files()
        with step("topics"):
            self.runner.run("broker.topic_setup")
        with step(f"producer: {_named(self.options.files)} to {trips_topic(self.settings)}"):
            self.runner.run("producer", *self._producer_arguments())
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
        return ReplayReport(reading, expected, found, seconds)

    def _read_files(self) -> ReadingReport:
        """Read the files once, and print what is found before anything is sent."""
        options, report = self.options, self.reader.new_report()
        rejects = None if options.rejects is None else RejectsFile(options.rejects)
        with self.runner.step("files: which rows are trips"):
            for _ in self.reader.batches(report, rejects):
                pass
        for line in (*self.reader.describe(), *report.lines()):
            self.runner.console.print(line, markup=False, highlight=False, soft_wrap=True)
        return report

    def _producer_arguments(self) -> Iterator[str]:
        yield from map(str, self.options.files)
        yield from ("--speed", "max")
        yield from ["--as-is"] if self.options.as_is else []
        yield from self.options.reading.arguments()

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
            trips = to_trips(self.reader.batches(self.reader.new_report()))
            yield output_comparisons.compare_log_with_files(log, trips)
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


def _named(files: Sequence[Path]) -> str:
    more = len(files) - 1
    return f"{files[0].name} and {more} more" if more else files[0].name


if __name__ == "__main__":
    # SIGTERM stops the commands and removes the scratch folder, as Ctrl-C does.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    sys.exit(main())
