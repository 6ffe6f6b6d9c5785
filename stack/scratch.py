"""One command with new services, which are stopped and removed when it ends.

Then its processes are stopped too: a test run that is interrupted has no time to do that.
"""

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
from stack.command_processes import marked_environ, stop_command
from stack.services import (
    discard_folder,
    open_folder,
    service_environ,
    start_services,
    stop_services,
)

_NOT_FOUND: Final = 127
_SIGNALLED: Final = 128


class _SignalForwarder:
    """Forwards SIGINT and SIGTERM to a callback, which ends the start or signals the command."""

    def __init__(self) -> None:
        self.received = 0
        self._callback: Callable[[int], object] | None = None
        for number in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(number, self._receive, number)

    def forward_to(self, callback: Callable[[int], object]) -> None:
        """Call `callback` for signals from now on, and for one that was received before."""
        self._callback = callback
        if self.received:
            callback(self.received)

    def _receive(self, number: int) -> None:
        self.received = number
        if self._callback is not None:
            self._callback(number)


async def run_with_services(folder: Path | None, argv: list[str]) -> int:
    """Run a command with `MOBILITY_KAFKA`, `_REDIS` and `_POSTGRES` set; return its exit code.

    Without a folder the services use a temporary one, which is removed at the end. Raises
    StackStartError.
    """
    signals = _SignalForwarder()
    async with _scratch_folder() if folder is None else _given_folder(folder) as state_folder:
        starting = asyncio.ensure_future(
            start_services(state_folder, os.environ, usual_ports=folder is not None)
        )
        signals.forward_to(lambda _: starting.cancel())
        try:
            reports = await starting
        except asyncio.CancelledError:
            return _SIGNALLED + signals.received
        return await _run_command(state_folder, argv, service_environ(reports), signals)


async def _run_command(
    folder: Path, argv: list[str], variables: dict[str, str], signals: _SignalForwarder
) -> int:
    # At a terminal the command is in our process group, which gets the Ctrl-C: if it was forwarded
    # too, the command would get it twice. Otherwise it has its own group.
    is_foreground = _is_in_foreground()
    try:
        command = await asyncio.create_subprocess_exec(
            *argv,
            env=marked_environ(folder, {**os.environ, **variables}),
            process_group=None if is_foreground else 0,
        )
    except OSError as error:
        sys.stderr.write(f"{argv[0]} can't be run: {error}\n")
        return _NOT_FOUND

    def forward(number: int) -> None:
        if command.returncode is None and not (is_foreground and number == signal.SIGINT):
            command.send_signal(number)

    signals.forward_to(forward)
    code = await command.wait()
    await stop_command(folder)
    return code if code >= 0 else _SIGNALLED - code


def _is_in_foreground() -> bool:
    try:
        return os.tcgetpgrp(sys.stdin.fileno()) == os.getpgrp()
    except OSError:  # no terminal
        return False


@asynccontextmanager
async def _scratch_folder() -> AsyncIterator[Path]:
    folder = open_folder(Path(tempfile.mkdtemp(prefix="mobility-")))
    cleanup = subprocess.Popen(  # noqa: ASYNC220, S603 - our own module; does not block
        [sys.executable, "-m", "stack.scratch_cleanup", folder],
        stdin=subprocess.PIPE,
        start_new_session=True,
        env=module_environ(),
    )
    try:
        yield folder
    finally:
        await discard_folder(folder)
        cleanup.communicate()


@asynccontextmanager
async def _given_folder(folder: Path) -> AsyncIterator[Path]:
    try:
        yield folder
    finally:
        await stop_services(folder)
