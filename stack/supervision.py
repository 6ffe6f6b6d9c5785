"""Components are started in order, watched, and stopped in order, come what may."""

import asyncio
import signal
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final

from stack.components import Component
from stack.processes import Process, find, forget, rotate, spawn, with_log, write_down
from stack.service import StartError

_PAUSE: Final = 0.1
_GRACEFUL: Final = {0, -signal.SIGTERM, 128 + signal.SIGTERM}

Show = Callable[[str, str], None]
"""Shows the state of a component: its name and a few words."""


class CrashError(RuntimeError):
    """A component ended that should not have; the message says which, how, and where its log is."""


class Supervisor:
    """Runs components with their records and logs in a state folder.

    `command` is what comes before a component's own arguments.
    """

    def __init__(
        self,
        folder: Path,
        show: Show,
        command: Sequence[str] = (sys.executable, "-m"),
    ) -> None:
        self._folder = folder
        self._show = show
        self._command = command
        self._running: dict[str, tuple[Component, Process]] = {}

    def log(self, name: str) -> Path:
        """Return the log of a component."""
        return self._folder / f"{name}.log"

    async def start(self, component: Component, environ: Mapping[str, str]) -> None:
        """Start a component; return once it is ready, or done if it runs once.

        Raises CrashError where it ends instead, StartError where it takes too long.
        """
        self._show(component.name, "starting")
        rotate(self.log(component.name))
        process = spawn(
            [*self._command, *component.argv], self.log(component.name), environ=environ
        )
        write_down(self._folder, component.name, process)
        self._running[component.name] = (component, process)
        deadline = time.monotonic() + component.start_limit
        while not await self._has_started(component):
            if time.monotonic() > deadline:
                late = f"{component.name} is not ready after {component.start_limit:.0f} s"
                raise StartError(with_log(late, self.log(component.name)))
            await asyncio.sleep(_PAUSE)
        if component.name in self._running:
            self._show(component.name, "running")

    def check(self) -> None:
        """Raise CrashError where a component has ended that should not have."""
        for component, process in list(self._running.values()):
            if not process.alive:
                self._ended(component, process)

    async def stop(self, order: Sequence[str]) -> list[str]:
        """Stop the components in order, each when the one before has ended.

        Returns a complaint for each that did not end in good order.
        """
        complaints = []
        for name in order:
            if name in self._running:
                component, process = self._running.pop(name)
                complaints += await self._stop(component, process)
        return complaints

    async def _stop(self, component: Component, process: Process) -> list[str]:
        name = component.name
        self._show(name, "stopping")
        in_time = await process.stop(component.grace)
        forget(self._folder, name)
        self._show(name, "stopped")
        if not in_time:
            what = f"did not stop within {component.grace:.0f} s and was killed"
        elif process.exit_code in _GRACEFUL:
            return []
        else:
            what = f"ended with exit code {process.exit_code} when it was stopped"
        return [f"{name} {what}; its log: {self.log(name)}"]

    async def _has_started(self, component: Component) -> bool:
        self.check()
        if component.runs == "once":
            return component.name not in self._running
        return component.is_ready is None or await component.is_ready()

    def _ended(self, component: Component, process: Process) -> None:
        name = component.name
        del self._running[name]
        forget(self._folder, name)
        if component.runs != "forever" and process.exit_code == 0:
            self._show(name, "done")
            return
        what = f"ended with exit code {process.exit_code}"
        self._show(name, what)
        raise CrashError(with_log(f"{name} {what}", self.log(name)))


async def stop_leftovers(folder: Path, order: Sequence[str], grace: float = 60.0) -> list[str]:
    """Stop the components that an earlier run left; return the names of those that ran."""
    left = []
    for name in order:
        if process := find(folder, name):
            await process.stop(grace)
            left.append(name)
        forget(folder, name)
    return left
