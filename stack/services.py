"""The three services together, in one state folder, given as an absolute path."""

import asyncio
import os
import shutil
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from mobility.files import try_file_lock
from mobility.secrets import file_variable
from mobility.settings import PREFIX, masked
from stack.kafka import Kafka
from stack.ports import choose_ports, saved_ports
from stack.postgres import Postgres
from stack.processes import find_process, recorded_names
from stack.redis import Redis
from stack.service import Service, StackStartError, start_service, stop_service

SERVICES: Final[tuple[type[Service], ...]] = (Kafka, Redis, Postgres)

_POLL_SECONDS: Final = 0.1

STATE_FOLDER: Final = Path(".mobility")
"""The default state folder, in the caller's folder."""


@dataclass(frozen=True, slots=True)
class ServiceReport:
    """The state of a service; `url` is empty if it does not run, or if a file holds the URL.

    `set_by` is the variable that names an external service.
    """

    name: str
    state: Literal["running", "stopped", "not answering", "external"]
    url: str
    pid: int | None = None
    log: Path | None = None
    set_by: str | None = None

    def __str__(self) -> str:
        """Return one line of text, with the password masked."""
        words = [f"{self.name:<9} {self.state:<13} {masked(self.url):<58}"]
        if self.set_by is not None:
            words.append(f"set by {self.set_by}")
        if self.pid is not None:
            words.append(f"pid {self.pid}")
        if self.log is not None:
            words.append(f"log {self.log}")
        return "  ".join(words).rstrip()


def variable(name: str) -> str:
    """Return the environment variable with the URL of a service."""
    return f"{PREFIX}{name.upper()}"


def naming_variable(environ: Mapping[str, str], name: str) -> str | None:
    """Return the variable that sets the URL of a service, or its file; None if neither is set."""
    names = (variable(name), file_variable(variable(name)))
    return next((each for each in names if each in environ), None)


def open_folder(folder: Path) -> Path:
    """Create the state folder if it does not exist; return its absolute path.

    It is private. If root owns it, others may enter it, for the user of Postgres, but not list it;
    what is inside is private as well.
    """
    folder = folder.absolute()
    folder.mkdir(parents=True, exist_ok=True)
    folder.chmod(0o711 if os.geteuid() == 0 else 0o700)
    return folder


async def start_services(
    folder: Path, environ: Mapping[str, str], *, usual_ports: bool = True
) -> list[ServiceReport]:
    """Start the services that have no URL in the environment, all at once.

    Without `usual_ports` they listen on random ports. Raises StackStartError, after it has stopped
    the services that it started.
    """
    folder = open_folder(folder)
    async with _exclusive(folder):
        await _start_all(folder, environ, usual_ports)
    return await service_reports(folder, environ)


async def _start_all(folder: Path, environ: Mapping[str, str], usual_ports: bool) -> None:
    ours = [kind for kind in SERVICES if naming_variable(environ, kind.name) is None]
    before = {kind.name for kind in ours if find_process(folder, kind.name)}
    wanted = {
        name: port if usual_ports else 0
        for kind in ours
        if kind.name not in before
        for name, port in kind.ports.items()
    }
    choose_ports(folder, wanted)
    try:
        await _start_together([kind(folder, saved_ports(folder)) for kind in ours])
    except BaseException:
        await _stop_all(folder, [kind.name for kind in ours if kind.name not in before])
        raise


async def _start_together(services: list[Service]) -> None:
    failures: list[Exception] = []
    try:
        async with asyncio.TaskGroup() as group:
            for service in services:
                group.create_task(start_service(service))
    except* StackStartError as failed:
        failures += failed.exceptions
    if failures:
        raise StackStartError("\n\n".join(map(str, failures)))


async def stop_services(folder: Path) -> list[str]:
    """Stop the services of a folder; return the names of those that had to be killed."""
    return await _stop_all(folder, [kind.name for kind in SERVICES])


async def service_reports(folder: Path, environ: Mapping[str, str]) -> list[ServiceReport]:
    """Return the state of each service."""
    return list(await asyncio.gather(*(_report(folder, environ, kind) for kind in SERVICES)))


def service_environ(reports: list[ServiceReport]) -> dict[str, str]:
    """Return the environment variables with the URLs of the services, unless a file holds it."""
    return {variable(report.name): report.url for report in reports if report.url}


async def discard_folder(folder: Path) -> None:
    """Stop all processes that are recorded in a folder, and remove it with all data."""
    await _stop_all(folder, recorded_names(folder))
    outside = folder / Postgres.name
    if outside.is_symlink():
        home = outside.resolve()
        shutil.rmtree(home, ignore_errors=True)
        with suppress(OSError):  # it may have data of others
            home.parent.rmdir()
    shutil.rmtree(folder, ignore_errors=True)


@asynccontextmanager
async def _exclusive(folder: Path) -> AsyncIterator[None]:
    # Two starts at once would run two servers on the same data; Redis would not notice.
    while (lock := try_file_lock(folder / "services.lock")) is None:  # noqa: ASYNC110 - a file lock
        await asyncio.sleep(_POLL_SECONDS)
    with lock:
        yield


async def _stop_all(folder: Path, names: list[str]) -> list[str]:
    are_graceful = await asyncio.gather(*(stop_service(folder, name) for name in names))
    return [name for name, is_graceful in zip(names, are_graceful, strict=True) if not is_graceful]


async def _report(folder: Path, environ: Mapping[str, str], kind: type[Service]) -> ServiceReport:
    if set_by := naming_variable(environ, kind.name):
        url = environ.get(variable(kind.name), "")
        return ServiceReport(kind.name, "external", url, set_by=set_by)
    service = kind(folder, saved_ports(folder))
    process = find_process(folder, kind.name)
    if process is None:
        return ServiceReport(
            kind.name, "stopped", "", log=service.log if service.log.exists() else None
        )
    state: Literal["running", "not answering"] = (
        "running" if await service.health() == "healthy" else "not answering"
    )
    return ServiceReport(kind.name, state, service.url, process.pid, service.log)
