"""Running the system's own commands, one after the other, with something to see meanwhile."""

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

from audit.served import Api

_TAIL: Final = 60
"""How many lines of a failed command's output are shown."""

_POLL: Final = 0.5
_GRACE: Final = 20.0
_API_START: Final = 60.0

Update = Callable[[str], None]


class StepError(RuntimeError):
    """A command of the system that failed; the message shows it and its last lines of output."""


@dataclass(frozen=True, slots=True)
class Commands:
    """How commands are run: in which environment, and where their output goes."""

    environ: dict[str, str]
    folder: Path
    console: Console

    @contextmanager
    def step(self, title: str) -> Iterator[Update]:
        """Show a step while it runs and its seconds when it has ended.

        Yields a function that adds a word on how far it is, for those who watch a terminal.
        """
        started = time.monotonic()
        with self.console.status(title) as status:
            yield lambda text: status.update(f"{title}  {text}")
        seconds = time.monotonic() - started
        self.console.print(f"{title:<62}{seconds:>7.1f} s", markup=False, highlight=False)

    def run(self, *arguments: str, watch: Callable[[], None] = lambda: None) -> None:
        """Run `python -m <arguments>` to its end; `watch` is called twice a second.

        Raises StepError where it exits with anything but 0.
        """
        with self._started(arguments) as process:
            while True:
                try:
                    code = process.wait(_POLL)
                except subprocess.TimeoutExpired:
                    watch()
                    continue
                break
        if code:
            raise self._failure(arguments, code)

    @contextmanager
    def api(self, port: int) -> Iterator[Api]:
        """Run the API on a port and yield it as soon as it is well.

        Raises StepError where that takes more than a minute or it ends by itself.
        """
        arguments = ("api",)
        api = Api("127.0.0.1", port)
        with self._started(arguments) as process:
            deadline = time.monotonic() + _API_START
            while not api.is_healthy():
                code = process.poll()
                if code is not None or time.monotonic() > deadline:
                    raise self._failure(arguments, code)
                time.sleep(_POLL / 5)
            yield api

    @contextmanager
    def _started(self, arguments: tuple[str, ...]) -> Iterator[subprocess.Popen[bytes]]:
        """Start a command and end it, in whatever way this is left."""
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
            process.terminate()
            try:
                process.wait(_GRACE)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def _log(self, arguments: tuple[str, ...]) -> Path:
        return self.folder / f"{arguments[0]}.log"

    def _failure(self, arguments: tuple[str, ...], code: int | None) -> StepError:
        lines = self._log(arguments).read_text("utf-8", "replace").splitlines()[-_TAIL:]
        outcome = "did not become ready" if code is None else f"ended with exit code {code}"
        command = shlex.join(["python", "-m", *arguments])
        return StepError("\n".join([f"{command} {outcome}. It said last:", *lines]))


def free_port() -> int:
    """Return a port of 127.0.0.1 that nobody listens on."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port
