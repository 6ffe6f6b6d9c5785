"""`python -m benchmarks`: measure, and write the results.

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
from benchmarks.bench import Bench
from benchmarks.machine import machine, versions
from benchmarks.options import Options, parse
from benchmarks.plot import draw
from benchmarks.report import document, lines
from benchmarks.results import merged, record
from benchmarks.running import BenchmarkError
from benchmarks.subjects import SUBJECTS
from mobility.settings import SettingsError, read_settings
from stack.checkout import module_environ

_FAILURES: Final = (
    BenchmarkError,
    KafkaException,
    TimeoutError,
    psycopg.Error,
    redis.RedisError,
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run; return 0, 1 where a measurement fails or the guard does, 2 for a wrong call."""
    arguments = sys.argv[1:] if arguments is None else arguments
    options = parse(arguments)
    errors = Console(stderr=True, soft_wrap=True, markup=False, highlight=False)
    try:
        settings = read_settings(os.environ)
    except SettingsError as error:
        errors.print(str(error))
        return 2
    with tempfile.TemporaryDirectory(prefix="mobility-bench-") as scratch:
        commands = CommandRunner(module_environ(), Path(scratch), Console(stderr=True))
        bench = Bench(settings, commands, options.trips, options.repeat, options.systems)
        try:
            if options.quick:
                line, passes = quick.guard(bench)
                sys.stdout.write(f"{line}\n")
                return 0 if passes else 1
            _measure_all(bench, options, f"just bench {shlex.join(arguments)}".strip())
        except _FAILURES as error:
            errors.print(f"bench stopped: {error}")
            return 1
        except KeyboardInterrupt:
            errors.print("bench interrupted")
            return 130
    return 0


def _measure_all(bench: Bench, options: Options, command: str) -> None:
    options.out.mkdir(parents=True, exist_ok=True)
    circumstances = {
        "command": command,
        "date": f"{datetime.now(UTC):%Y-%m-%d}",
        "repeat": bench.repeat,
        "machine": machine(),
        "versions": versions(),
    }
    for subject in options.subjects:
        section = record(SUBJECTS[subject](bench), **circumstances)
        # After each, so that a failure later on loses nothing.
        sections = merged(options.out, section)
        (options.out / "RESULTS.md").write_text(document(sections))
        if section["name"] == "throughput":
            draw(section, options.out / "throughput.png")
        sys.stdout.write(f"\n{lines(section)}\n\n")


if __name__ == "__main__":
    # Being told to stop ends the commands and the scratch folder, as Ctrl-C does.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    sys.exit(main())
