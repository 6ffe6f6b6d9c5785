"""The three services together, in one state folder, which is always given as absolute path."""

import asyncio
import os
import shutil
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from mobility.settings import PREFIX, masked
from stack.kafka import Kafka
from stack.locks import try_lock
from stack.ports import choose, remembered
from stack.postgres import Postgres
from stack.processes import find, recorded
from stack.redis import Redis
from stack.service import Service, StartError, start, stop

SERVICES: Final[tuple[type[Service], ...]] = (Kafka, Redis, Postgres)

_PAUSE: Final = 0.1

STATE_FOLDER: Final = Path(".mobility")
"""Where the state is by default: in the caller's folder."""


@dataclass(frozen=True, slots=True)
class Report:
    """How a service stands; `url` is empty where nothing listens."""

    name: str
    state: Literal["running", "stopped", "not answering", "given"]
    url: str
    pid: int | None = None
    log: Path | None = None

    def __str__(self) -> str:
        """Return one line for people, the password masked."""
        words = [f"{self.name:<9} {self.state:<13} {masked(self.url):<58}"]
        if self.state == "given":
            words.append(f"by {variable(self.name)}")
        if self.pid is not None:
            words.append(f"pid {self.pid}")
        if self.log is not None:
            words.append(f"log {self.log}")
        return "  ".join(words).rstrip()


def variable(name: str) -> str:
    """Return the environment variable that names a service."""
    return f"{PREFIX}{name.upper()}"


def open_folder(folder: Path) -> Path:
    """Make the state folder where it is new; return its absolute path.

    It is private. Root lets others pass through, for the account that Postgres runs as, but not
    look: what is inside is private by itself.
    """
    folder = folder.absolute()
    folder.mkdir(parents=True, exist_ok=True)
    folder.chmod(0o711 if os.geteuid() == 0 else 0o700)
    return folder


async def up(folder: Path, environ: Mapping[str, str], *, usual_ports: bool = True) -> list[Report]:
    """Start the services that the environment does not name, all at once.

    Without `usual_ports` they listen anywhere, out of the way of others. Raises StartError, and
    stops then what it started.
    """
    folder = open_folder(folder)
    async with _alone(folder):
        await _start_all(folder, environ, usual_ports)
    return await status(folder, environ)


async def _start_all(folder: Path, environ: Mapping[str, str], usual_ports: bool) -> None:
    ours = [kind for kind in SERVICES if variable(kind.name) not in environ]
    before = {kind.name for kind in ours if find(folder, kind.name)}
    wanted = {
        name: port if usual_ports else 0
        for kind in ours
        if kind.name not in before
        for name, port in kind.ports.items()
    }
    choose(folder, wanted)
    try:
        await _start_together([kind(folder, remembered(folder)) for kind in ours])
    except BaseException:
        await _stop_all(folder, [kind.name for kind in ours if kind.name not in before])
        raise


async def _start_together(services: list[Service]) -> None:
    failures: list[Exception] = []
    try:
        async with asyncio.TaskGroup() as group:
            for service in services:
                group.create_task(start(service))
    except* StartError as failed:
        failures += failed.exceptions
    if failures:
        raise StartError("\n\n".join(map(str, failures)))


async def down(folder: Path) -> list[str]:
    """Stop what is recorded in the folder; return the names that had to be killed."""
    return await _stop_all(folder, [kind.name for kind in SERVICES])


async def status(folder: Path, environ: Mapping[str, str]) -> list[Report]:
    """Tell how each service stands."""
    return list(await asyncio.gather(*(_report(folder, environ, kind) for kind in SERVICES)))


def service_environ(reports: list[Report]) -> dict[str, str]:
    """Return the variables that name the services."""
    return {variable(report.name): report.url for report in reports}


async def discard(folder: Path) -> None:
    """Stop everything that is recorded in a folder, and remove it with all data."""
    await _stop_all(folder, recorded(folder))
    outside = folder / Postgres.name
    if outside.is_symlink():
        home = outside.resolve()
        shutil.rmtree(home, ignore_errors=True)
        with suppress(OSError):  # others live there too
            home.parent.rmdir()
    shutil.rmtree(folder, ignore_errors=True)


@asynccontextmanager
async def _alone(folder: Path) -> AsyncIterator[None]:
    # Two starts at once would put two servers on the same data; Redis alone would not notice.
    while (lock := try_lock(folder / "services.lock")) is None:  # noqa: ASYNC110 - a lock of files
        await asyncio.sleep(_PAUSE)
    with lock:
        yield


async def _stop_all(folder: Path, names: list[str]) -> list[str]:
    in_order = await asyncio.gather(*(stop(folder, name) for name in names))
    return [name for name, ended in zip(names, in_order, strict=True) if not ended]


async def _report(folder: Path, environ: Mapping[str, str], kind: type[Service]) -> Report:
    if given := environ.get(variable(kind.name)):
        return Report(kind.name, "given", given)
    service = kind(folder, remembered(folder))
    process = find(folder, kind.name)
    if process is None:
        return Report(kind.name, "stopped", "", log=service.log if service.log.exists() else None)
    state: Literal["running", "not answering"] = (
        "running" if await service.is_healthy() else "not answering"
    )
    return Report(kind.name, state, service.url, process.pid, service.log)
