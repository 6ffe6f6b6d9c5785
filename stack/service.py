"""Services: started once, healthy within a time limit, or an error with the reason."""

import asyncio
import signal
import sys
import time
from abc import ABC, abstractmethod
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import ClassVar, Final, Literal

from stack.processes import (
    RecordedProcess,
    SystemUser,
    delete_record,
    find_process,
    rotate,
    save_record,
    spawn,
    with_log_tail,
)

_STOP_SECONDS: Final = 20.0
_POLL_SECONDS: Final = 0.1


Health = Literal["healthy", "loading", "silent"]
"""Whether a service answers requests, or says that it loads its data, which may be much."""


class StackStartError(RuntimeError):
    """A service or component did not start; the message says why, and where its log is."""


class Service(ABC):
    """A server on this machine, with its data and log in a state folder.

    `ports` has the preferred port of each listener; `stop_signal` requests a graceful end;
    `start_limit` is the maximum time of its start in seconds, without preparation and without the
    time in which it says that it loads its data.
    """

    name: ClassVar[str]
    ports: ClassVar[Mapping[str, int]]
    stop_signal: ClassVar[int] = signal.SIGTERM
    start_limit: ClassVar[float] = 60.0

    def __init__(self, folder: Path, ports: Mapping[str, int]) -> None:
        self.folder = folder
        self.port = ports.get(self.name, 0)

    @property
    def data(self) -> Path:
        """The data folder."""
        return self.folder / self.name

    @property
    def log(self) -> Path:
        """The log, next to the data folder."""
        return self.folder / f"{self.name}.log"

    @property
    def user(self) -> SystemUser | None:
        """The user that the service runs as; None for the caller."""
        return None

    @property
    @abstractmethod
    def url(self) -> str:
        """The value of `MOBILITY_<NAME>`, with the password."""

    @abstractmethod
    async def prepare(self) -> list[str | Path]:
        """Create the data folder if it does not exist; return the command of the service.

        Raises StackStartError.
        """

    @abstractmethod
    async def health(self) -> Health:
        """Ask with the service's own protocol whether it answers requests."""


async def start_service(service: Service) -> RecordedProcess:
    """Start a service, or find it if it runs already; return once it is healthy.

    Raises StackStartError. After an error or a cancellation it does not run.
    """
    process = find_process(service.folder, service.name) or await _launch(service)
    try:
        await _until_healthy(service, process)
    except BaseException:
        await stop_service(service.folder, service.name)
        raise
    return process


async def stop_service(folder: Path, name: str, grace: float = _STOP_SECONDS) -> bool:
    """Stop the recorded process of a name; return whether it ended without being killed."""
    process = find_process(folder, name)
    is_graceful = process is None or await process.stop(grace)
    delete_record(folder, name)
    return is_graceful


async def _launch(service: Service) -> RecordedProcess:
    try:
        rotate(service.log)
        command = await service.prepare()
        process = spawn(
            command,
            service.log,
            stop_signal=service.stop_signal,
            user=service.user,
            cwd=service.folder,
        )
    except OSError as error:
        raise start_failure(service, f"can't be started: {error}") from error
    save_record(service.folder, service.name, process)
    return process


async def _until_healthy(service: Service, process: RecordedProcess) -> None:
    deadline = time.monotonic() + service.start_limit
    while process.is_alive:
        health = await service.health()
        if health == "healthy":
            return
        if health == "loading":
            deadline = time.monotonic() + service.start_limit
        if time.monotonic() > deadline:
            raise start_failure(service, f"does not answer after {service.start_limit:.0f} s")
        await asyncio.sleep(_POLL_SECONDS)
    raise start_failure(service, f"ended at its start with exit code {process.exit_code}")


def start_failure(service: Service, what: str) -> StackStartError:
    """Return the error with what failed, and where the log is."""
    return StackStartError(with_log_tail(f"{service.name} {what}", service.log))


def wheel_folder(package: str, service: str) -> Path:
    """Return the folder of an installed package, without importing it.

    Raises StackStartError, with the alternatives, if it is not installed.
    """
    spec = find_spec(package) if sys.platform == "linux" else None
    if spec is None or spec.origin is None:
        why = f"the package {package} is not installed"
        if sys.platform != "linux":
            why = f"its binaries are for Linux, and this is {sys.platform}"
        msg = (
            f"{service} can't be started on this machine: {why}.\n"
            f"Set MOBILITY_{service.upper()} to a running one, start everything in Docker with "
            "`just up docker`, or, on Linux, `pip install -r requirements.lock`."
        )
        raise StackStartError(msg)
    return Path(spec.origin).parent
