"""Services that may be killed, and start again on the same ports with the same data."""

import asyncio
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from mobility.settings import Settings, read_settings
from stack.checkout import module_environ
from stack.ports import saved_ports
from stack.processes import RecordedProcess, find_process, identify
from stack.service import start_service, stop_service
from stack.services import (
    SERVICES,
    discard_folder,
    service_environ,
    service_reports,
    start_services,
)

_KIND: Final = {kind.name: kind for kind in SERVICES}
_END: Final = 30.0


def _parent_of(path: Path) -> int | None:
    """Return the parent of the process of a folder in /proc, None where it has ended."""
    try:
        return int((path / "stat").read_text().rpartition(")")[2].split()[1])
    except (FileNotFoundError, ProcessLookupError):
        return None


class KillableServices:
    """Kafka, Redis and Postgres in a temporary folder, by the names kafka, redis and postgres."""

    settings: Settings

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __enter__(self) -> Self:
        # It removes everything when this process has ended, even by kill -9.
        self._cleanup = subprocess.Popen(
            [sys.executable, "-m", "stack.scratch_cleanup", self.folder],
            stdin=subprocess.PIPE,
            start_new_session=True,
            env=module_environ(),
        )
        try:
            asyncio.run(start_services(self.folder, {}, usual_ports=False))
            environ = service_environ(asyncio.run(service_reports(self.folder, {})))
        except BaseException:
            self._discard()
            raise
        self.settings = read_settings(environ)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._discard()

    def process(self, name: str) -> RecordedProcess:
        """Return the process of a running service."""
        process = find_process(self.folder, name)
        assert process is not None, f"{name} is not running"
        return process

    def start(self, name: str) -> None:
        """Start a service; return once it is healthy."""
        asyncio.run(start_service(_KIND[name](self.folder, saved_ports(self.folder))))

    def start_all(self) -> None:
        """Start those that do not run: a test that failed has not started them again."""
        for name in _KIND:
            if find_process(self.folder, name) is None:
                self.start(name)

    def stop(self, name: str) -> None:
        """Stop a service gracefully."""
        assert asyncio.run(stop_service(self.folder, name)), f"{name} had to be killed"

    def kill(self, name: str, number: int = signal.SIGKILL) -> None:
        """End a service with a signal that it can't handle gracefully."""
        process = self.process(name)
        process.send(number)
        assert asyncio.run(process.wait_for_exit(_END)), f"{name} still runs after signal {number}"

    @contextmanager
    def frozen(self, name: str) -> Iterator[None]:
        """Stop a service and its child processes: it takes requests and answers none."""
        process = self.process(name)
        process.send(signal.SIGSTOP)  # first, so that it starts no more
        children = [
            identify(int(path.name))
            for path in Path("/proc").glob("[0-9]*")
            if _parent_of(path) == process.pid
        ]
        for child in children:
            child.send(signal.SIGSTOP)
        try:
            yield
        finally:
            for each in (process, *children):
                each.send(signal.SIGCONT)

    def _discard(self) -> None:
        asyncio.run(discard_folder(self.folder))
        self._cleanup.communicate()
