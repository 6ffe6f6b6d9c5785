"""One Bytewax cluster on this machine: its processes start and end together."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from queue import SimpleQueue
from threading import Thread
from typing import Final

from mobility.settings import PREFIX, Settings, to_environ
from runtime.failures import EXIT_REFUSED
from runtime.flows import FlowName
from runtime.recovery_lock import RecoveryLock

# How long the other processes may run after one has ended. No snapshot is completed without it, so
# they only need the time to print their errors.
_EXIT_SECONDS: Final = 2.0

_INTERRUPTED: Final = (-signal.SIGTERM, -signal.SIGINT)
"""Exit codes of a process that was asked to stop before it had its signal handlers."""


class ProcessGroup:
    """The running processes of a cluster.

    They inherit the descriptor `lock`, and with it the lock of the recovery folder, and end when
    their standard input does, which is when the process that started them is gone.
    """

    def __init__(
        self,
        module: str,
        processes: int,
        options: list[str],
        environ: Mapping[str, str],
        lock: int,
    ) -> None:
        self._ended: SimpleQueue[int] = SimpleQueue()
        self._stopping = False
        with _without_interrupts():
            self._processes = [
                subprocess.Popen(  # noqa: S603 - our own program
                    [sys.executable, "-m", "bytewax.run", module, *options, *cluster],
                    env=environ,
                    stdin=subprocess.PIPE,
                    pass_fds=(lock,),
                )
                for cluster in _cluster_options(processes)
            ]
        for process in self._processes:
            Thread(target=self._wait_for, args=(process,), daemon=True).start()

    def stop(self) -> None:
        """Ask every process to end with a final snapshot."""
        self._stopping = True
        for process in self._processes:
            process.terminate()

    def wait(self) -> int:
        """Wait until all have ended; return 0, or the exit code of a failure.

        A process left alone would wait for the others for ever, so when one fails all are ended.
        Where one refuses to run, that is why the others failed.
        """
        codes: list[int] = []
        for _ in self._processes:
            code = self._ended.get()
            codes.append(code)
            if self._stopping and code in _INTERRUPTED:
                # The cluster had not started, so nothing is lost, and it can't start any more.
                self._kill()
                return 0
            if code:
                codes += self._end()
                break
        return (
            EXIT_REFUSED if EXIT_REFUSED in codes else _as_exit_code(next(filter(None, codes), 0))
        )

    def _end(self) -> list[int]:
        deadline = time.monotonic() + _EXIT_SECONDS
        codes = []
        for process in self._processes:
            try:
                codes.append(process.wait(max(0.0, deadline - time.monotonic())))
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        return codes

    def _kill(self) -> None:
        for process in self._processes:
            process.kill()
            process.wait()

    def _wait_for(self, process: subprocess.Popen[bytes]) -> None:
        code = process.wait()
        if process.stdin is not None:
            process.stdin.close()
        self._ended.put(code)


def start_flow(
    flow: FlowName, processes: int, settings: Settings, lock: RecoveryLock
) -> ProcessGroup:
    """Start the processes of a flow on the folder of a lock. Of MOBILITY_* they get `settings`."""
    options = ["-r", str(lock.folder), "-s", str(settings.snapshot_interval), "-b", "0"]
    others = {name: value for name, value in os.environ.items() if not name.startswith(PREFIX)}
    environ = others | to_environ(settings)
    return ProcessGroup(f"dataflows.{flow}", processes, options, environ, lock.fileno())


@contextmanager
def _without_interrupts() -> Iterator[None]:
    """Block SIGINT and SIGHUP, and so in the processes that are started meanwhile, for their lives.

    A terminal sends a Ctrl-C to them too, where it would raise KeyboardInterrupt in a process that
    still starts, and a SIGHUP when it is closed, which would kill them. Only the launcher receives
    these, and passes them on as SIGTERM.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT, signal.SIGHUP])
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _as_exit_code(code: int) -> int:
    return code if code >= 0 else 128 - code


def _cluster_options(processes: int) -> list[list[str]]:
    if processes == 1:
        return [[]]
    addresses = ";".join(f"127.0.0.1:{port}" for port in _free_ports(processes))
    return [["-i", str(number), "-a", addresses] for number in range(processes)]


def _free_ports(count: int) -> list[int]:
    with ExitStack() as stack:
        # All are open at the same time, so that the ports differ.
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [int(each.getsockname()[1]) for each in sockets]
