"""The flow as a service: started, asked how far it is, and stopped, while something is measured."""

import json
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from audit.command_runner import CommandRunner
from audit.output_comparisons import read_flow_counters
from benchmarks.running import BenchmarkError, environ_with, failure
from mobility.settings import Settings

_PAUSE: Final = 0.05
_STOP_LIMIT: Final = 30.0


@contextmanager
def running(commands: CommandRunner, settings: Settings, *arguments: str) -> Iterator[int]:
    """Run `python -m <arguments>` while the body does; then stop it as a person would.

    It has these settings and no others; the body is given its process id.

    Raises BenchmarkError where it has ended by itself or does not stop.
    """
    command = [sys.executable, "-m", *arguments]
    log = commands.folder / f"{arguments[0]}.log"
    environ = environ_with(commands, settings)
    with log.open("wb") as output:
        process = subprocess.Popen(  # noqa: S603 - the project's own modules
            command, env=environ, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT
        )
    try:
        yield process.pid
        if process.poll() is not None:
            raise failure(command, f"ended with exit code {process.returncode}", log)
    finally:
        process.terminate()
        try:
            process.wait(_STOP_LIMIT)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            raise failure(command, f"did not stop in {_STOP_LIMIT:.0f} s", log) from None


def wait_until(happened: Callable[[], bool], what: str, limit: float) -> float:
    """Return the seconds until something happened; raise BenchmarkError where it does not."""
    began = time.monotonic()
    while not happened():
        if time.monotonic() - began > limit:
            msg = f"waited {limit:.0f} s in vain until {what}"
            raise BenchmarkError(msg)
        time.sleep(_PAUSE)
    return time.monotonic() - began


def listens(port: int) -> bool:
    """Tell whether something on this machine takes connections at a port."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def messages_read(status: Path) -> int:
    """Return how many messages the flow has read, 0 where it has not said yet."""
    try:
        return read_flow_counters(status).get("read", 0)
    except (OSError, json.JSONDecodeError):
        return 0
