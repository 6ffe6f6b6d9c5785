"""Supervision: components are started in order, watched, and stopped in order."""

import asyncio
import signal
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final

from stack.components import SystemComponent
from stack.processes import (
    RecordedProcess,
    delete_record,
    find_process,
    rotate,
    save_record,
    spawn,
    with_log_tail,
)
from stack.service import StackStartError

_POLL_SECONDS: Final = 0.1
_GRACEFUL_CODES: Final = {0, -signal.SIGTERM, 128 + signal.SIGTERM}

ShowState = Callable[[str, str], None]
"""Shows the state of a component, given its name and a text."""


class CrashError(RuntimeError):
    """A component ended unexpectedly; the message says which, how, and where its log is."""


class Supervisor:
    """Runs components, with their records and logs in a state folder.

    `command` is put before a component's arguments.
    """

    def __init__(
        self,
        folder: Path,
        show_state: ShowState,
        command: Sequence[str] = (sys.executable, "-m"),
    ) -> None:
        self._folder = folder
        self._show_state = show_state
        self._command = command
        self._running: dict[str, tuple[SystemComponent, RecordedProcess]] = {}

    def log(self, name: str) -> Path:
        """Return the log of a component."""
        return self._folder / f"{name}.log"

    async def start(self, component: SystemComponent, environ: Mapping[str, str]) -> None:
        """Start a component; return once it is ready, or has exited if it runs once.

        Raises CrashError if it ends instead, StackStartError if it takes too long.
        """
        self._show_state(component.name, "starting")
        rotate(self.log(component.name))
        log = None if component.is_shown else self.log(component.name)
        process = spawn([*self._command, *component.argv], log, environ=environ)
        save_record(self._folder, component.name, process)
        self._running[component.name] = (component, process)
        deadline = time.monotonic() + component.start_limit
        while not await self._has_started(component):
            if time.monotonic() > deadline:
                message = f"{component.name} is not ready after {component.start_limit:.0f} s"
                raise StackStartError(with_log_tail(message, self.log(component.name)))
            await asyncio.sleep(_POLL_SECONDS)
        if component.name in self._running:
            self._show_state(component.name, "running")

    def check(self) -> None:
        """Raise CrashError if a component has ended unexpectedly."""
        for component, process in list(self._running.values()):
            if not process.is_alive:
                self._on_exit(component, process)

    async def stop(self, order: Sequence[str]) -> list[str]:
        """Stop the components in order, each when the one before has ended.

        Returns a message for each that did not end gracefully.
        """
        problems = []
        for name in order:
            if name in self._running:
                component, process = self._running.pop(name)
                problems += await self._stop(component, process)
        return problems

    async def _stop(self, component: SystemComponent, process: RecordedProcess) -> list[str]:
        name = component.name
        self._show_state(name, "stopping")
        in_time = await process.stop(component.grace)
        delete_record(self._folder, name)
        self._show_state(name, "stopped")
        if not in_time:
            what = f"did not stop within {component.grace:.0f} s and was killed"
        elif process.exit_code in _GRACEFUL_CODES:
            return []
        else:
            what = f"ended with exit code {process.exit_code} when it was stopped"
        where = "its output is above" if component.is_shown else f"its log: {self.log(name)}"
        return [f"{name} {what}; {where}"]

    async def _has_started(self, component: SystemComponent) -> bool:
        self.check()
        if component.runs == "once":
            return component.name not in self._running
        return component.is_ready is None or await component.is_ready()

    def _on_exit(self, component: SystemComponent, process: RecordedProcess) -> None:
        name = component.name
        del self._running[name]
        delete_record(self._folder, name)
        if component.runs != "forever" and process.exit_code == 0:
            self._show_state(name, "done")
            return
        what = f"ended with exit code {process.exit_code}"
        self._show_state(name, what)
        if component.is_shown:
            msg = f"{name} {what}; its output above says why"
            raise CrashError(msg)
        raise CrashError(with_log_tail(f"{name} {what}", self.log(name)))


async def stop_leftovers(folder: Path, order: Sequence[str], grace: float = 60.0) -> list[str]:
    """Stop the components of an earlier run; return the names of those that were running."""
    stopped = []
    for name in order:
        if process := find_process(folder, name):
            await process.stop(grace)
            stopped.append(name)
        delete_record(folder, name)
    return stopped
