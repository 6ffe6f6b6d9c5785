"""Runs the system's own commands one after the other, and shows progress meanwhile."""

import shlex
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from rich.console import Console

from audit.api_client import ApiClient

_SHOWN_LINES: Final = 60
"""How many lines of a failed command's output are shown."""

_POLL_SECONDS: Final = 0.5
_STOP_SECONDS: Final = 20.0
_API_START_SECONDS: Final = 60.0

ShowProgress = Callable[[str], None]
"""Shows how far a step is, next to its title on a terminal."""


class CommandError(RuntimeError):
    """A command of the system that failed; the message has the last lines of its output."""


@dataclass(frozen=True, slots=True)
class CommandRunner:
    """Runs commands in an environment; their output goes to `<module>.log` in a folder."""

    environ: dict[str, str]
    folder: Path
    console: Console

    @contextmanager
    def step(self, title: str) -> Iterator[ShowProgress]:
        """Show the title of a step while it runs, and its seconds when it has ended."""
        started = time.monotonic()
        with self.console.status(title) as status:
            yield lambda text: status.update(f"{title}  {text}")
        seconds = time.monotonic() - started
        self.console.print(f"{title:<62}{seconds:>7.1f} s", markup=False, highlight=False)

    def run(self, *arguments: str, on_poll: Callable[[], None] = lambda: None) -> None:
        """Run `python -m <arguments>` until it exits; `on_poll` is called twice a second.

        Raises CommandError if the exit code is not 0.
        """
        with self._start(arguments) as process:
            while True:
                try:
                    code = process.wait(_POLL_SECONDS)
                except subprocess.TimeoutExpired:
                    on_poll()
                    continue
                break
        if code:
            raise self._error(arguments, code)

    @contextmanager
    def run_api(self, port: int) -> Iterator[ApiClient]:
        """Run the API on a port; yield a client once it is healthy.

        Raises CommandError if that takes more than a minute or the API exits before.
        """
        arguments = ("api",)
        client = ApiClient("127.0.0.1", port)
        with self._start(arguments) as process:
            deadline = time.monotonic() + _API_START_SECONDS
            while not client.is_healthy():
                code = process.poll()
                if code is not None or time.monotonic() > deadline:
                    raise self._error(arguments, code)
                time.sleep(_POLL_SECONDS / 5)
            yield client

    @contextmanager
    def _start(self, arguments: tuple[str, ...]) -> Iterator[subprocess.Popen[bytes]]:
        """Start a command; stop it when the block ends, with an exception or without."""
        with self._log(arguments).open("wb") as log:
            process = subprocess.Popen(  # noqa: S603 - the project's own modules
                [sys.executable, "-m", *arguments],
                env=self.environ,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        try:
            yield process
        finally:
            stop_process(process, _STOP_SECONDS)

    def _log(self, arguments: tuple[str, ...]) -> Path:
        return self.folder / f"{arguments[0]}.log"

    def _error(self, arguments: tuple[str, ...], code: int | None) -> CommandError:
        what = "did not become ready" if code is None else f"ended with exit code {code}"
        command = ["python", "-m", *arguments]
        return CommandError(describe_failure(command, what, self._log(arguments)))


def stop_process(process: subprocess.Popen[bytes], seconds: float) -> bool:
    """Stop a process; return False if it had to be killed after so many seconds."""
    process.terminate()
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
        return False
    return True


def describe_failure(command: list[str], what: str, log: Path) -> str:
    """Return a message with the command, what failed, and the last lines of its output."""
    lines = log.read_text("utf-8", "replace").splitlines()[-_SHOWN_LINES:]
    return "\n".join([f"{shlex.join(command)} {what}. Its last output:", *lines])


def find_free_port() -> int:
    """Return a port of 127.0.0.1 that no process listens on."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port
