"""`python -m benchmarks`: run the benchmarks and write the results.

Runs inside `python -m stack run -- ...`, which provides Kafka, Redis and Postgres.
"""

import os
import shlex
import signal
import sys
import tempfile
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import psycopg
import redis
from confluent_kafka import KafkaException
from rich.console import Console

from audit.command_runner import CommandRunner
from benchmarks import quick
from benchmarks.benchmark_run import BenchmarkRun
from benchmarks.machine import machine, versions
from benchmarks.options import BenchmarkOptions, parse_options
from benchmarks.plot import draw
from benchmarks.report import document, lines
from benchmarks.results import merged, record
from benchmarks.subjects import SUBJECTS
from benchmarks.timed_command import BenchmarkError
from broker.errors import BrokerError, DeliveryError
from mobility.settings import SettingsError, read_settings
from stack.checkout import module_environ

_FAILURES: Final = (
    BenchmarkError,
    BrokerError,
    DeliveryError,
    KafkaException,
    TimeoutError,
    psycopg.Error,
    redis.RedisError,
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run; return 0, 1 if a measurement or the regression check fails, 2 for invalid arguments."""
    arguments = sys.argv[1:] if arguments is None else arguments
    options = parse_options(arguments)
    errors = Console(stderr=True, soft_wrap=True, markup=False, highlight=False)
    try:
        settings = read_settings(os.environ)
    except SettingsError as error:
        errors.print(str(error))
        return 2
    with tempfile.TemporaryDirectory(prefix="mobility-bench-") as scratch:
        runner = CommandRunner(module_environ(), Path(scratch), Console(stderr=True))
        benchmark = BenchmarkRun(settings, runner, options.trips, options.repeat, options.systems)
        try:
            if options.quick:
                line, passes = quick.check_ratios(benchmark)
                sys.stdout.write(f"{line}\n")
                return 0 if passes else 1
            _measure_all(benchmark, options, f"just bench {shlex.join(arguments)}".strip())
        except _FAILURES as error:
            errors.print(f"benchmark stopped: {error}")
            return 1
        except KeyboardInterrupt:
            errors.print("benchmark interrupted")
            return 130
    return 0


def _measure_all(benchmark: BenchmarkRun, options: BenchmarkOptions, command: str) -> None:
    options.out.mkdir(parents=True, exist_ok=True)
    circumstances = {
        "command": command,
        "date": f"{datetime.now(UTC):%Y-%m-%d}",
        "repeat": benchmark.repeat,
        "machine": machine(),
        "versions": versions(),
    }
    for subject in options.subjects:
        section = record(SUBJECTS[subject](benchmark), **circumstances)
        # After each, so that a later failure loses nothing.
        sections = merged(options.out, section)
        (options.out / "RESULTS.md").write_text(document(sections))
        if section["name"] == "throughput":
            draw(section, options.out / "throughput.png")
        sys.stdout.write(f"\n{lines(section)}\n\n")


if __name__ == "__main__":
    # SIGTERM stops the commands and removes the scratch folder, as Ctrl-C does.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    sys.exit(main())
