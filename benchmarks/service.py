"""Services of this system that run while something is measured."""

import json
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from audit.command_runner import CommandRunner, stop_process
from audit.output_comparisons import read_flow_counters
from benchmarks.timed_command import BenchmarkError, command_error, environ_for
from mobility.settings import Settings

_POLL_SECONDS: Final = 0.05
_STOP_SECONDS: Final = 30.0


@contextmanager
def run_service(runner: CommandRunner, settings: Settings, *arguments: str) -> Iterator[int]:
    """Run `python -m <arguments>` with exactly these settings; yield its process id.

    It is stopped with SIGTERM. Raises BenchmarkError if it exits before, or does not stop.
    """
    command = [sys.executable, "-m", *arguments]
    log = runner.folder / f"{arguments[0]}.log"
    environ = environ_for(runner, settings)
    with log.open("wb") as output:
        process = subprocess.Popen(  # noqa: S603 - the project's own modules
            command, env=environ, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT
        )
    try:
        yield process.pid
        if process.poll() is not None:
            raise command_error(command, f"ended with exit code {process.returncode}", log)
    finally:
        is_stopped = stop_process(process, _STOP_SECONDS)
    if not is_stopped:
        raise command_error(command, f"did not stop in {_STOP_SECONDS:.0f} s", log)


def wait_until(condition: Callable[[], bool], what: str, limit: float) -> float:
    """Return the seconds until a condition is true; raise BenchmarkError after `limit` seconds."""
    began = time.monotonic()
    while not condition():
        if time.monotonic() - began > limit:
            msg = f"waited {limit:.0f} s until {what}, which did not happen"
            raise BenchmarkError(msg)
        time.sleep(_POLL_SECONDS)
    return time.monotonic() - began


def is_listening(port: int) -> bool:
    """Return whether a server on this machine accepts connections at a port."""
    with socket.socket() as client:
        return client.connect_ex(("127.0.0.1", port)) == 0


def messages_read(status_folder: Path) -> int:
    """Return how many messages the flow has read, 0 before its first status."""
    try:
        return read_flow_counters(status_folder).get("read", 0)
    except (OSError, json.JSONDecodeError):
        return 0
