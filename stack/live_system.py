"""One run of the system on native services: started, watched and stopped in order."""

import asyncio
import os
import signal
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final

from mobility.files import try_file_lock
from mobility.settings import Settings, masked, read_settings
from stack.components import STOP_ORDER, SystemComponent, system_components, system_environ
from stack.display import Display
from stack.flow_status import FlowStatusReader, ProcessStatus
from stack.jars import cache_folder
from stack.processes import delete_record, find_process, identify, save_record, with_log_tail
from stack.service import StackStartError
from stack.services import (
    SERVICES,
    ServiceReport,
    service_environ,
    service_reports,
    start_services,
    stop_services,
)
from stack.start_turn import start_turn
from stack.supervision import CrashError, Supervisor, stop_leftovers
from stack.with_settings import save_settings

_NAME: Final = "up"
_STOP_SECONDS: Final = 180.0
_CHECK_INTERVAL: Final = 1.0

MakeComponents = Callable[[Path, Settings], tuple[SystemComponent, ...]]
MakeEnviron = Callable[[Path, Mapping[str, str]], dict[str, str]]

Arrival = Callable[[Settings, list[ProcessStatus]], Awaitable[str | None]]
"""Called every second with the status of the flow, until it returns what people are told."""


async def nothing_to_tell(_settings: Settings, _statuses: list[ProcessStatus]) -> str:
    """Tell nothing: the system is started."""
    return ""


@dataclass(frozen=True, slots=True)
class SystemPlan:
    """What runs on the services: its components, their environment, and what is told of it."""

    make_components: MakeComponents = system_components
    make_environ: MakeEnviron = system_environ
    arrival: Arrival = nothing_to_tell


def lock_folder(folder: Path) -> IO[str] | None:
    """Return the lock of a state folder, which a run holds; None if a system runs there."""
    return try_file_lock(folder / "up.lock")


def run_system(folder: Path, lock: IO[str], plan: SystemPlan) -> int:
    """Run a system in a state folder whose lock is held until it is stopped; return the exit code.

    The URL of its API is written to the lock.
    """
    lock.truncate(0)
    with Display() as display:
        return asyncio.run(LiveSystem(folder, display, lock, plan).run())


def describe_running(folder: Path, stop: str) -> str:
    """Return which system runs in a folder, and that the command `stop` stops it."""
    process = find_process(folder, _NAME)
    pid = f", process {process.pid}" if process else ""
    api = (folder / "up.lock").read_text()
    at = f", API at {api}" if api else ""
    return f"The system is running already{pid}{at}; Ctrl-C there or `{stop}` stops it."


def is_running(folder: Path) -> bool:
    """Tell whether a system runs in a folder."""
    return find_process(folder, _NAME) is not None


async def stop_everything(folder: Path) -> list[str]:
    """Stop a system, or what a crashed one has left running; return the names of what ran."""
    stopped = await stop_leftovers(folder, [_NAME], _STOP_SECONDS)
    stopped += await stop_leftovers(folder, STOP_ORDER)
    stopped += [
        report.name for report in await service_reports(folder, {}) if report.pid is not None
    ]
    await stop_services(folder)
    return stopped


class LiveSystem:
    """One run of the system in a state folder; the URL of the API is written to the `lock` file."""

    def __init__(self, folder: Path, display: Display, lock: IO[str], plan: SystemPlan) -> None:
        self._folder = folder
        self._display = display
        self._lock = lock
        self._plan = plan
        self._supervisor = Supervisor(folder, display.show_state)

    async def run(self) -> int:
        """Run until Ctrl-C, SIGTERM, a closed terminal or a crash, then stop all in order.

        Returns the exit code.
        """
        save_record(self._folder, _NAME, identify(os.getpid()))
        run = asyncio.ensure_future(self._start_and_watch())
        self._on_signal(run.cancel)
        failed = False
        try:
            await run
        except asyncio.CancelledError:
            self._display.print_message("stopping: producer, flow, API, services")
        except (CrashError, StackStartError) as error:
            failed = True
            self._display.print_message(f"{error}\n\nstopping the others")
        finally:
            self._on_signal(lambda: self._display.print_message("already stopping"))
            failed = not await self._stop_all() or failed
            delete_record(self._folder, _NAME)
        return 1 if failed else 0

    def _on_signal(self, callback: Callable[[], object]) -> None:
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            asyncio.get_running_loop().add_signal_handler(number, callback)

    async def _start_and_watch(self) -> None:
        if stopped := await stop_leftovers(self._folder, STOP_ORDER):
            names = ", ".join(stopped)
            self._display.print_message(f"stopped components of an earlier run: {names}")
        async with start_turn(cache_folder(), self._display.print_message):
            environ = self._plan.make_environ(self._folder, os.environ)
            self._display.print_message("starting Kafka, Redis and Postgres")
            reports = await start_services(self._folder, os.environ)
            for report in reports:
                self._display.show_state(report.name, report.state, masked(report.url))
            environ |= service_environ(reports)
            save_settings(self._folder, environ)
            status_reader = FlowStatusReader(Path(environ["MOBILITY_STATUS_DIR"]))
            status_reader.clear()
            settings = read_settings(environ)
            components = self._plan.make_components(self._folder, settings)
            self._show_waiting(components)
            for component in components:
                if not component.is_shown:
                    await self._supervisor.start(component, environ)
        for component in components:
            if component.is_shown:
                with self._display.handed_over():
                    await self._supervisor.start(component, environ)
        await self._watch(reports, status_reader, settings)

    def _show_waiting(self, components: Sequence[SystemComponent]) -> None:
        for component in components:
            self._display.show_state(component.name, "waiting", component.url)
            if component.url:
                self._lock.write(component.url)
                self._lock.flush()

    async def _watch(
        self, reports: list[ServiceReport], status_reader: FlowStatusReader, settings: Settings
    ) -> None:
        told = False
        while True:
            self._supervisor.check()
            for report in reports:
                self._check_service(report)
            if summary := status_reader.read():
                self._display.show_status(str(summary))
                if not told:
                    told = await self._tell(settings, status_reader.statuses())
            await asyncio.sleep(_CHECK_INTERVAL)

    async def _tell(self, settings: Settings, statuses: list[ProcessStatus]) -> bool:
        """Print what people are told once the system has got somewhere; return whether it has."""
        message = await self._plan.arrival(settings, statuses)
        if message:
            self._display.print_message(message)
        return message is not None

    def _check_service(self, report: ServiceReport) -> None:
        if report.log is not None and find_process(self._folder, report.name) is None:
            self._display.show_state(report.name, "ended")
            raise CrashError(with_log_tail(f"{report.name} ended", report.log))

    async def _stop_all(self) -> bool:
        problems = await self._supervisor.stop(STOP_ORDER)
        ours = [kind.name for kind in SERVICES if find_process(self._folder, kind.name)]
        for name in await stop_services(self._folder):
            problems.append(f"{name} did not stop in time and was killed")
        for name in ours:
            self._display.show_state(name, "stopped")
        for problem in problems:
            self._display.print_message(problem)
        return not problems
