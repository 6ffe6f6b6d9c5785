"""Services that may be killed, and start again on the same ports with the same data."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from mobility.settings import Settings, read_settings
from stack.checkout import module_environ
from stack.ports import saved_ports
from stack.processes import RecordedProcess, find_process
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


def _session_of(pid: int) -> int | None:
    try:
        return os.getsid(pid)
    except ProcessLookupError:
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
        """Stop all processes of a service, which then takes requests and answers none."""
        stopped: list[int] = []
        try:
            while running := [pid for pid in self._processes(name) if pid not in stopped]:
                for pid in running:
                    os.kill(pid, signal.SIGSTOP)
                stopped += running
            yield
        finally:
            for pid in stopped:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGCONT)

    def _processes(self, name: str) -> list[int]:
        """Return the process ids of a service: its session is that of the one that was started."""
        session = self.process(name).pid
        return [
            int(path.name)
            for path in Path("/proc").glob("[0-9]*")
            if _session_of(int(path.name)) == session
        ]

    def _discard(self) -> None:
        asyncio.run(discard_folder(self.folder))
        self._cleanup.communicate()
