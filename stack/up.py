"""`python -m stack.up`: the whole system until Ctrl-C (`just up` and `just down`)."""

import argparse
import asyncio
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import IO, Final

from mobility.files import try_file_lock
from mobility.settings import Settings, SettingsError, masked, read_settings
from mobility.value_settings import unwritable
from stack.components import STOP_ORDER, SystemComponent, system_components, system_environ
from stack.display import Display
from stack.docker import compose_down, compose_up, is_docker_available
from stack.flow_status import FlowStatusReader
from stack.processes import delete_record, find_process, identify, save_record, with_log_tail
from stack.service import StackStartError
from stack.services import (
    SERVICES,
    STATE_FOLDER,
    ServiceReport,
    open_folder,
    service_environ,
    service_reports,
    start_services,
    stop_services,
)
from stack.supervision import CrashError, Supervisor, stop_leftovers
from stack.with_settings import save_settings

_NAME: Final = "up"
_DESCRIPTION: Final = "Run the whole system until Ctrl-C, or stop it with `down`."
_STOP_SECONDS: Final = 180.0
_CHECK_INTERVAL: Final = 1.0

MakeComponents = Callable[[Path, Settings], tuple[SystemComponent, ...]]


def main() -> int:
    """Run the command line; return its exit code."""
    arguments = _parser().parse_args()
    folder = (arguments.folder or STATE_FOLDER).absolute()
    try:
        match arguments.what:
            case "down":
                return _stop(folder)
            case "docker":
                return _docker()
            case "native":
                return run_native(folder)
        return _docker() if is_docker_available() else run_native(folder)
    except SettingsError as error:
        sys.stderr.write(f"{error}\n")
        return 2


def _docker() -> int:
    try:
        compose_up()
    except OSError as error:
        sys.stderr.write(f"Docker can't be run: {error}. `just up native` needs no Docker.\n")
    return 1


def run_native(folder: Path, make_components: MakeComponents = system_components) -> int:
    """Run a system on native services until it is stopped; return the exit code.

    If one runs in the folder already, print that and return 0.
    """
    if faults := list(unwritable(read_settings(os.environ), "the producer of `just up`")):
        raise SettingsError(faults)
    open_folder(folder)
    lock = try_file_lock(folder / "up.lock")
    if lock is None:
        sys.stdout.write(f"{_describe_running(folder)}\n")
        return 0
    with lock, Display() as display:
        lock.truncate(0)
        return asyncio.run(LiveSystem(folder, display, lock, make_components).run())


def _describe_running(folder: Path) -> str:
    process = find_process(folder, _NAME)
    pid = f", process {process.pid}" if process else ""
    api = (folder / "up.lock").read_text()
    at = f", API at {api}" if api else ""
    return f"The system is running already{pid}{at}; Ctrl-C there or `just down` stops it."


def _stop(folder: Path) -> int:
    if folder.exists():
        stopped = asyncio.run(_stop_everything(folder))
        sys.stdout.write(f"stopped: {', '.join(stopped) or 'nothing was running'}\n")
    return compose_down() if is_docker_available() else 0


async def _stop_everything(folder: Path) -> list[str]:
    stopped = await stop_leftovers(folder, [_NAME], _STOP_SECONDS)
    stopped += await stop_leftovers(folder, STOP_ORDER)
    stopped += [
        report.name for report in await service_reports(folder, {}) if report.pid is not None
    ]
    await stop_services(folder)
    return stopped


class LiveSystem:
    """One run of the system in a state folder; the URL of the API is written to the `lock` file."""

    def __init__(
        self, folder: Path, display: Display, lock: IO[str], make_components: MakeComponents
    ) -> None:
        self._folder = folder
        self._display = display
        self._lock = lock
        self._make_components = make_components
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
        environ = system_environ(self._folder, os.environ)
        self._display.print_message("starting Kafka, Redis and Postgres")
        reports = await start_services(self._folder, os.environ)
        for report in reports:
            self._display.show_state(report.name, report.state, masked(report.url))
        environ |= service_environ(reports)
        save_settings(self._folder, environ)
        status_reader = FlowStatusReader(Path(environ["MOBILITY_STATUS_DIR"]))
        status_reader.clear()
        await self._start_components(environ)
        await self._watch(reports, status_reader)

    async def _start_components(self, environ: dict[str, str]) -> None:
        settings = read_settings(environ)
        components = self._make_components(self._folder, settings)
        for component in components:
            self._display.show_state(component.name, "waiting", component.url)
            if component.url:
                self._lock.write(component.url)
                self._lock.flush()
        for component in components:
            await self._supervisor.start(component, environ)

    async def _watch(self, reports: list[ServiceReport], status_reader: FlowStatusReader) -> None:
        while True:
            self._supervisor.check()
            for report in reports:
                self._check_service(report)
            if summary := status_reader.read():
                self._display.show_status(str(summary))
            await asyncio.sleep(_CHECK_INTERVAL)

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


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="just up", description=_DESCRIPTION)
    parser.add_argument(
        "what",
        nargs="?",
        choices=("native", "docker", "down"),
        help="where to run it (default: docker if an engine answers), or stop a running system",
    )
    parser.add_argument("--folder", type=Path, help="state folder (default: .mobility)")
    return parser


if __name__ == "__main__":
    sys.exit(main())
