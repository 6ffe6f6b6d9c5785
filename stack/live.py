"""`python -m stack.live`: the whole system, live, until Ctrl-C (`just up` and `just down`)."""

import argparse
import asyncio
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import IO, Final

from mobility.settings import Settings, SettingsError, masked, read_settings
from stack.beside import leave_settings
from stack.components import STOP_ORDER, Component, system, system_environ
from stack.display import Display
from stack.docker import compose_down, compose_up, engine_answers
from stack.locks import try_lock
from stack.meter import Meter
from stack.processes import find, forget, identify, with_log, write_down
from stack.service import StartError
from stack.services import (
    SERVICES,
    STATE_FOLDER,
    Report,
    down,
    open_folder,
    service_environ,
    status,
    up,
)
from stack.supervision import CrashError, Supervisor, stop_leftovers

_NAME: Final = "up"
_STOP_LIMIT: Final = 180.0
_PAUSE: Final = 1.0

System = Callable[[Path, Settings], tuple[Component, ...]]


def main() -> int:
    """Run the command line; return its exit code."""
    arguments = _parser().parse_args()
    folder = (arguments.folder or STATE_FOLDER).absolute()
    try:
        match arguments.what:
            case "down":
                return _down(folder)
            case "docker":
                return _docker()
            case "native":
                return native(folder)
        return _docker() if engine_answers() else native(folder)
    except SettingsError as error:
        sys.stderr.write(f"The settings can't be used:\n{error}\n")
        return 2


def _docker() -> int:
    try:
        compose_up()
    except OSError as error:
        sys.stderr.write(f"Docker can't be run: {error}. `just up native` does without.\n")
    return 1


def native(folder: Path, system: System = system) -> int:
    """Run a system on native services until it is stopped; return the exit code.

    Where one runs in the folder already, say so: what was asked for is the case.
    """
    read_settings(os.environ)
    open_folder(folder)
    lock = try_lock(folder / "up.lock")
    if lock is None:
        sys.stdout.write(f"{_who_runs(folder)}\n")
        return 0
    with lock, Display() as display:
        lock.truncate(0)
        return asyncio.run(Live(folder, display, lock, system).run())


def _who_runs(folder: Path) -> str:
    process = find(folder, _NAME)
    pid = f", process {process.pid}" if process else ""
    api = (folder / "up.lock").read_text()
    where = f", API at {api}" if api else ""
    return f"The system is running already{pid}{where}; Ctrl-C there or `just down` stops it."


def _down(folder: Path) -> int:
    if folder.exists():
        left = asyncio.run(_stop_everything(folder))
        sys.stdout.write(f"stopped: {', '.join(left) or 'nothing was running'}\n")
    return compose_down() if engine_answers() else 0


async def _stop_everything(folder: Path) -> list[str]:
    left = await stop_leftovers(folder, [_NAME], _STOP_LIMIT)
    left += await stop_leftovers(folder, STOP_ORDER)
    left += [report.name for report in await status(folder, {}) if report.pid is not None]
    await down(folder)
    return left


class Live:
    """One run of the system in a state folder; `lock` is where others read the API's address."""

    def __init__(self, folder: Path, display: Display, lock: IO[str], system: System) -> None:
        self._folder = folder
        self._display = display
        self._lock = lock
        self._system = system
        self._supervisor = Supervisor(folder, display.state)

    async def run(self) -> int:
        """Run until Ctrl-C, SIGTERM, a closed terminal or a crash, then stop all in order.

        Returns the exit code.
        """
        write_down(self._folder, _NAME, identify(os.getpid()))
        work = asyncio.ensure_future(self._work())
        self._on_signal(work.cancel)
        failed = False
        try:
            await work
        except asyncio.CancelledError:
            self._display.note("stopping: producer, flow, API, services")
        except (CrashError, StartError) as error:
            failed = True
            self._display.note(f"{error}\n\nstopping the others")
        finally:
            self._on_signal(lambda: self._display.note("stopping already"))
            failed = not await self._stop() or failed
            forget(self._folder, _NAME)
        return 1 if failed else 0

    def _on_signal(self, act: Callable[[], object]) -> None:
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            asyncio.get_running_loop().add_signal_handler(number, act)

    async def _work(self) -> None:
        if left := await stop_leftovers(self._folder, STOP_ORDER):
            self._display.note(f"stopped what an earlier run left: {', '.join(left)}")
        environ = system_environ(self._folder, os.environ)
        self._display.note("starting Kafka, Redis and Postgres")
        reports = await up(self._folder, os.environ)
        for report in reports:
            self._display.state(report.name, report.state, masked(report.url))
        environ |= service_environ(reports)
        leave_settings(self._folder, environ)
        meter = Meter(Path(environ["MOBILITY_STATUS_DIR"]))
        meter.clear()
        await self._start_components(environ)
        await self._watch(reports, meter)

    async def _start_components(self, environ: dict[str, str]) -> None:
        settings = read_settings(environ)
        components = self._system(self._folder, settings)
        for component in components:
            self._display.state(component.name, "waiting", component.url)
            if component.url:
                self._lock.write(component.url)
                self._lock.flush()
        for component in components:
            await self._supervisor.start(component, environ)

    async def _watch(self, reports: list[Report], meter: Meter) -> None:
        while True:
            self._supervisor.check()
            for report in reports:
                self._check_service(report)
            if reading := meter.read():
                self._display.line(str(reading))
            await asyncio.sleep(_PAUSE)

    def _check_service(self, report: Report) -> None:
        if report.log is not None and find(self._folder, report.name) is None:
            self._display.state(report.name, "ended")
            raise CrashError(with_log(f"{report.name} ended", report.log))

    async def _stop(self) -> bool:
        complaints = await self._supervisor.stop(STOP_ORDER)
        ours = [kind.name for kind in SERVICES if find(self._folder, kind.name)]
        for name in await down(self._folder):
            complaints.append(f"{name} did not stop in time and was killed")
        for name in ours:
            self._display.state(name, "stopped")
        for complaint in complaints:
            self._display.note(complaint)
        return not complaints


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m stack.live", description=__doc__)
    parser.add_argument(
        "what",
        nargs="?",
        choices=("native", "docker", "down"),
        help="where to run it (default: docker where an engine answers), or stop what was left",
    )
    parser.add_argument("--folder", type=Path, help="state folder (default: .mobility)")
    return parser


if __name__ == "__main__":
    sys.exit(main())
