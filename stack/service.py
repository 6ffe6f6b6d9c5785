"""What a service is, and how one is started: once, healthy within a bound, or with a reason."""

import asyncio
import signal
import sys
import time
from abc import ABC, abstractmethod
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import ClassVar, Final

from stack.processes import Account, Process, find, forget, rotate, spawn, with_log, write_down

_STOP_GRACE: Final = 20.0
_PAUSE: Final = 0.1


class StartError(RuntimeError):
    """Something did not start; the message says what, why, and where its log is."""


class Service(ABC):
    """A server of this machine: its data and its log are in a state folder.

    `ports` maps what the service listens on to the port it would like; `stop_signal` asks it to
    end in good order; `start_limit` bounds its start in seconds, preparation left out.
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
        """The log, beside the data folder."""
        return self.folder / f"{self.name}.log"

    @property
    def account(self) -> Account | None:
        """The user that the service runs as; None for the caller."""
        return None

    @property
    @abstractmethod
    def url(self) -> str:
        """What `MOBILITY_<NAME>` is to be, password included."""

    @abstractmethod
    async def prepare(self) -> list[str | Path]:
        """Make the data folder where it is new; return the command that runs the service.

        Raises StartError.
        """

    @abstractmethod
    async def is_healthy(self) -> bool:
        """Ask the service in its own protocol whether it serves."""


async def start(service: Service) -> Process:
    """Start a service, or find the one that runs already; return once it is healthy.

    Raises StartError; nothing is left running then, nor when this is cancelled.
    """
    process = find(service.folder, service.name) or await _launch(service)
    try:
        await _until_healthy(service, process)
    except BaseException:
        await stop(service.folder, service.name)
        raise
    return process


async def stop(folder: Path, name: str, grace: float = _STOP_GRACE) -> bool:
    """Stop what is recorded under a name; return whether it ended without being killed."""
    process = find(folder, name)
    in_order = process is None or await process.stop(grace)
    forget(folder, name)
    return in_order


async def _launch(service: Service) -> Process:
    try:
        rotate(service.log)
        command = await service.prepare()
        process = spawn(
            command,
            service.log,
            stop_signal=service.stop_signal,
            account=service.account,
            cwd=service.folder,
        )
    except OSError as error:
        raise failure(service, f"can't be started: {error}") from error
    write_down(service.folder, service.name, process)
    return process


async def _until_healthy(service: Service, process: Process) -> None:
    deadline = time.monotonic() + service.start_limit
    while process.alive:
        if await service.is_healthy():
            return
        if time.monotonic() > deadline:
            raise failure(service, f"does not answer after {service.start_limit:.0f} s")
        await asyncio.sleep(_PAUSE)
    raise failure(service, f"ended at its start with exit code {process.exit_code}")


def failure(service: Service, what: str) -> StartError:
    """Return the error that tells what failed, and where its log is."""
    return StartError(with_log(f"{service.name} {what}", service.log))


def wheel(package: str, service: str) -> Path:
    """Return the folder of an installed package, found without importing it.

    Raises StartError with what to do instead where there is none.
    """
    spec = find_spec(package) if sys.platform == "linux" else None
    if spec is None or spec.origin is None:
        why = f"the package {package} is not installed"
        if sys.platform != "linux":
            why = f"its binaries are for Linux, and this is {sys.platform}"
        msg = (
            f"{service} can't be started on this machine: {why}.\n"
            f"Set MOBILITY_{service.upper()} to one that runs, start everything in Docker with "
            "`just up docker`, or, on Linux, `pip install -r requirements.lock`."
        )
        raise StartError(msg)
    return Path(spec.origin).parent
