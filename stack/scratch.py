"""One command on services of its own, of which nothing is left afterwards."""

import asyncio
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

from stack.checkout import module_environ
from stack.processes import forget, identify, write_down
from stack.services import discard, down, open_folder, service_environ, up

_NOT_FOUND: Final = 127
_SIGNALLED: Final = 128


class _Signals:
    """Where SIGINT and SIGTERM go: they end the start, or reach the command."""

    def __init__(self) -> None:
        self.received = 0
        self._act: Callable[[int], object] | None = None
        for number in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(number, self._receive, number)

    def to(self, act: Callable[[int], object]) -> None:
        """Send what comes from now on to `act`, and what came while there was nobody to hear."""
        self._act = act
        if self.received:
            act(self.received)

    def _receive(self, number: int) -> None:
        self.received = number
        if self._act is not None:
            self._act(number)


async def run(folder: Path | None, argv: list[str]) -> int:
    """Run a command with `MOBILITY_KAFKA`, `_REDIS` and `_POSTGRES` set; return its exit code.

    Without a folder the services live in a scratch one, removed at the end together with them.
    Raises StartError.
    """
    signals = _Signals()
    async with _scratch() if folder is None else _kept(folder) as place:
        starting = asyncio.ensure_future(up(place, os.environ, usual_ports=folder is not None))
        signals.to(lambda _: starting.cancel())
        try:
            reports = await starting
        except asyncio.CancelledError:
            return _SIGNALLED + signals.received
        return await _run_command(place, argv, service_environ(reports), signals)


async def _run_command(
    place: Path, argv: list[str], variables: dict[str, str], signals: _Signals
) -> int:
    # At a terminal the command shares our process group, which is what a Ctrl-C goes to: passed
    # on as well it would come twice. Elsewhere it has a group of its own and hears only us.
    foreground = _in_foreground()
    try:
        command = await asyncio.create_subprocess_exec(
            *argv, env={**os.environ, **variables}, process_group=None if foreground else 0
        )
    except OSError as error:
        sys.stderr.write(f"{argv[0]} can't be run: {error}\n")
        return _NOT_FOUND

    write_down(place, "command", identify(command.pid))  # for the guard, should we be killed

    def pass_on(number: int) -> None:
        if command.returncode is None and not (foreground and number == signal.SIGINT):
            command.send_signal(number)

    signals.to(pass_on)
    code = await command.wait()
    forget(place, "command")
    return code if code >= 0 else _SIGNALLED - code


def _in_foreground() -> bool:
    try:
        return os.tcgetpgrp(sys.stdin.fileno()) == os.getpgrp()
    except OSError:  # no terminal
        return False


@asynccontextmanager
async def _scratch() -> AsyncIterator[Path]:
    folder = open_folder(Path(tempfile.mkdtemp(prefix="mobility-")))
    guard = subprocess.Popen(  # noqa: ASYNC220, S603 - our own module; takes no time
        [sys.executable, "-m", "stack.guard", folder],
        stdin=subprocess.PIPE,
        start_new_session=True,
        env=module_environ(),
    )
    try:
        yield folder
    finally:
        await discard(folder)
        guard.communicate()


@asynccontextmanager
async def _kept(folder: Path) -> AsyncIterator[Path]:
    try:
        yield folder
    finally:
        await down(folder)
